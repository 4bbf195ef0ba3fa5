"""Machine specification to argv."""

import json
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.machine.command_line import (
    GuestBoot,
    Wiring,
    argv_from_spec,
    blockdev_from_backend,
    devices_from_controller,
    kernel_command_line,
    object_from_iothread,
)
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.spec import Controller, Disk, FileBackend, IOThread, MachineSpec, NullBackend, iothread_ids

BOOT = GuestBoot(Path("/img/vmlinux"), Path("/img/initrd"), "quiet")


def scsi(**changes: object) -> Controller:
    """A virtio-scsi controller with one disk."""
    values: dict[str, object] = {"id": "scsi0", "model": Device.VIRTIO_SCSI, "num_queues": 4}
    return Controller(**{**values, "disks": (Disk("disk0", NullBackend()),), **changes})  # type: ignore[arg-type]


def machine(*controllers: Controller, iothreads: int = 2) -> MachineSpec:
    """A TCG machine with four vCPUs."""
    threads = tuple(IOThread(name) for name in iothread_ids(iothreads))
    return MachineSpec("tcg", 4, 1024, threads, controllers)


def values_of(argv: tuple[str, ...], option: str) -> list[str]:
    """Every value of a repeated option, in order."""
    return [argv[i + 1] for i, word in enumerate(argv) if word == option]


def argv_of(spec: MachineSpec, wiring: Wiring | None = None) -> tuple[str, ...]:
    """The argv with the lab's own wiring."""
    return argv_from_spec(Path("/q"), (Path("/fw"),), spec, BOOT, wiring or Wiring.for_lab(7, Path("/c.log")))


def test_every_device_is_json_because_qemu_makes_key_value_devices_first() -> None:
    """No -device is written as key=value."""
    argv = argv_of(machine(scsi()))
    assert [json.loads(text)["driver"] for text in values_of(argv, "-device")] == [
        "virtio-net-pci",
        "virtio-scsi-pci",
        "scsi-hd",
    ]


def test_a_mapping_stands_in_the_controller_as_a_list() -> None:
    """The iothread-vq-mapping property is QEMU's own JSON list."""
    controller = scsi(mapping=IOThreadMapping.round_robin(("iothread0", "iothread1")))
    assert devices_from_controller(controller)[0]["iothread-vq-mapping"] == [
        {"iothread": "iothread0"},
        {"iothread": "iothread1"},
    ]


def test_virtio_blk_is_one_device_with_its_own_spelling() -> None:
    """virtio-blk says num-queues and queue-size, and names its drive itself."""
    controller = scsi(id="blk0", model=Device.VIRTIO_BLK, queue_size=256, iothread="iothread0")
    assert devices_from_controller(controller) == (
        {
            "driver": "virtio-blk-pci",
            "id": "blk0",
            "num-queues": 4,
            "iothread": "iothread0",
            "queue-size": 256,
            "drive": "disk0",
        },
    )


def test_virtio_scsi_says_virtqueue_size_and_numbers_its_luns() -> None:
    """Two disks of a controller get LUN 0 and 1 on its bus."""
    disks = (Disk("a", NullBackend()), Disk("b", NullBackend()))
    head, *rest = devices_from_controller(scsi(queue_size=128, disks=disks))
    assert head["virtqueue_size"] == 128
    assert [(disk["id"], disk["bus"], disk["lun"]) for disk in rest] == [
        ("a-dev", "scsi0.0", 0),
        ("b-dev", "scsi0.0", 1),
    ]


def test_a_virtio_blk_device_with_two_disks_is_refused() -> None:
    """virtio-blk is one disk by definition."""
    with pytest.raises(InputError, match="a virtio-blk device is one disk, 2 are given"):
        scsi(model=Device.VIRTIO_BLK, disks=(Disk("a", NullBackend()), Disk("b", NullBackend())))


def test_sizes_are_plain_integers() -> None:
    """-blockdev takes 8589934592, not 8G."""
    assert blockdev_from_backend("d", NullBackend()) == {"driver": "null-co", "node-name": "d", "size": 8 << 30}


def test_null_options_appear_only_when_they_are_asked_for() -> None:
    """Latency and read-zeroes are left to QEMU's defaults unless set."""
    options = blockdev_from_backend("d", NullBackend(latency_ns=5, read_zeroes=True))
    assert (options["latency-ns"], options["read-zeroes"]) == (5, True)


def test_a_file_is_opened_through_the_raw_driver_with_its_aio() -> None:
    """A file backend carries aio and cache.direct to the protocol layer."""
    options = blockdev_from_backend("d", FileBackend(Path("/disk.raw"), aio="native"))
    assert (options["driver"], options["file"]["aio"], options["file"]["cache"]["direct"]) == ("raw", "native", True)


def test_polling_parameters_are_left_to_qemu_unless_set() -> None:
    """An IOThread names only what was asked for; 0 is a value."""
    assert object_from_iothread(IOThread("t")) == {"qom-type": "iothread", "id": "t"}
    assert object_from_iothread(IOThread("t", poll_max_ns=0))["poll-max-ns"] == 0


def test_the_console_comes_first_on_the_kernel_command_line() -> None:
    """Console, image, machine, in this order, and nothing for what is empty."""
    spec = MachineSpec("tcg", 1, 256, (), (), kernel_arguments="haltpoll=1")
    assert kernel_command_line(spec, BOOT) == "console=ttyS0 quiet haltpoll=1"


def test_a_comma_in_a_path_is_doubled_in_key_value_syntax() -> None:
    """A console log below a folder with a comma stays one value."""
    argv = argv_of(machine(scsi()), Wiring.for_lab(7, Path("/a,b/c.log")))
    assert "file,id=console0,path=/a,,b/c.log" in values_of(argv, "-chardev")


def test_the_guest_reaches_nothing_but_the_forwarded_port() -> None:
    """The user network is restricted and forwards to loopback only."""
    netdev = json.loads(values_of(argv_of(machine(scsi())), "-netdev")[0])
    assert netdev["restrict"] is True
    assert netdev["hostfwd"] == [{"str": "tcp:127.0.0.1:0-:22"}]


def test_people_get_a_console_and_a_socket() -> None:
    """The pasteable command line has the console on the terminal and QMP in the current folder."""
    chardevs = values_of(argv_of(machine(scsi()), Wiring.for_people(2222)), "-chardev")
    assert chardevs == ["socket,id=qmp0,path=qmp.sock,server=on,wait=off", "stdio,id=console0,signal=off"]


def test_the_same_specification_gives_the_same_words() -> None:
    """argv_from_spec is a function."""
    assert argv_of(machine(scsi())) == argv_of(machine(scsi()))


@pytest.mark.parametrize("count", [-1, 65])
def test_a_senseless_number_of_iothreads_is_refused(count: int) -> None:
    """IOThreads are counted from 0 to 64."""
    with pytest.raises(InputError, match="IOThreads are not between"):
        iothread_ids(count)
