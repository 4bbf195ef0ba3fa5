"""Machine specification to argv."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.machine.backend import Aio, Cache, FileBackend, HostDeviceBackend, NullBackend, Throttle
from lab.machine.blockdev import blockdev_from_backend
from lab.machine.command_line import (
    GuestBoot,
    Wiring,
    argv_from_spec,
    devices_from_controller,
    kernel_command_line,
    object_from_iothread,
    object_from_memory,
)
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.spec import (
    Controller,
    Disk,
    GuestMemory,
    IOThread,
    MachineSpec,
    MemoryPolicy,
    ScsiDisk,
    Topology,
    iothread_ids,
)

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


def test_sizes_are_plain_integers() -> None:
    """-blockdev takes 8589934592, not 8G."""
    assert blockdev_from_backend("d", NullBackend()) == {"driver": "null-co", "node-name": "d", "size": 8 << 30}


def test_null_options_appear_only_when_they_are_asked_for() -> None:
    """Latency and read-zeroes are left to QEMU's defaults unless set."""
    options = blockdev_from_backend("d", NullBackend(latency_ns=5, read_zeroes=True))
    assert (options["latency-ns"], options["read-zeroes"]) == (5, True)


def test_a_file_is_opened_through_the_raw_driver_with_its_aio() -> None:
    """A file backend carries aio and cache.direct to the protocol layer."""
    options = blockdev_from_backend("d", FileBackend(Path("/disk.raw"), aio=Aio.NATIVE))
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


def test_plain_memory_is_left_to_qemu() -> None:
    """The command line of a machine that asks for nothing has no memory backend."""
    argv = argv_of(machine(scsi()))
    assert values_of(argv, "-machine") == ["q35"]
    assert values_of(argv, "-smp") == ["4"]
    assert object_from_memory(GuestMemory(), 1024) is None


def test_memory_is_an_object_that_the_machine_names() -> None:
    """Huge pages, NUMA nodes, preallocation and sharing are properties of the backend."""
    memory = GuestMemory(2048, prealloc=True, share=True, host_nodes=(0, 1), policy=MemoryPolicy.BIND)
    argv = argv_of(replace(machine(scsi()), memory=memory, machine_type="pc"))
    assert values_of(argv, "-machine") == ["pc,memory-backend=memory0"]
    assert json.loads(values_of(argv, "-object")[0]) == {
        "qom-type": "memory-backend-memfd",
        "id": "memory0",
        "size": 1 << 30,
        "share": True,
        "hugetlb": True,
        "hugetlbsize": 2 << 20,
        "prealloc": True,
        "host-nodes": [0, 1],
        "policy": "bind",
    }


def test_memory_of_a_folder_is_a_file_of_it() -> None:
    """hugetlbfs and tmpfs are mounted somewhere."""
    found = object_from_memory(GuestMemory(folder=Path("/dev/hugepages")), 1)
    assert found is not None
    assert (found["qom-type"], found["mem-path"]) == ("memory-backend-file", "/dev/hugepages")


def test_a_topology_names_what_was_asked_for_only() -> None:
    """QEMU fills in the rest."""
    argv = argv_of(replace(machine(scsi()), topology=Topology(cores=2, threads=2)))
    assert values_of(argv, "-smp") == ["4,cores=2,threads=2"]


def test_haltpoll_is_an_argument_of_the_guest_s_kernel() -> None:
    """Before those of the job, which may say otherwise."""
    spec = replace(machine(), haltpoll=True, kernel_arguments="x")
    assert kernel_command_line(spec, BOOT) == "console=ttyS0 quiet cpuidle_haltpoll.force=1 x"


def test_the_limits_of_a_throttled_disk_come_before_it() -> None:
    """The block node names the group, so the object is made first."""
    disk = Disk("disk0", NullBackend(), (Throttle(iops=5),))
    argv = argv_of(machine(scsi(disks=(disk,)), iothreads=0))
    assert argv.index("-object") < argv.index("-blockdev")
    assert json.loads(values_of(argv, "-object")[0])["id"] == "disk0-limits"


@pytest.mark.parametrize(("cache", "said"), [(Cache.NONE, "on"), (Cache.DIRECTSYNC, "off")])
def test_the_device_has_its_half_of_the_cache_mode(cache: Cache, said: str) -> None:
    """write-cache is a property of scsi-hd and virtio-blk; scsi-block and null disks have none."""
    disk = Disk("d", FileBackend(Path("/d"), cache=cache))
    assert devices_from_controller(scsi(disks=(disk,)))[1]["write-cache"] == said
    assert devices_from_controller(scsi(model=Device.VIRTIO_BLK, disks=(disk,)))[0]["write-cache"] == said
    passed = Disk("d", HostDeviceBackend(Path("/dev/x")), scsi=ScsiDisk.BLOCK)
    device = devices_from_controller(scsi(disks=(passed,)))[1]
    assert device["driver"] == "scsi-block"
    assert "write-cache" not in device
    assert "write-cache" not in devices_from_controller(scsi())[1]
