"""A real guest: booted, talked to, proved, ended."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lab.build.build import Build
from lab.errors import BootError, DeadlineError, GuestError, MonitorError
from lab.host.accelerator_choice import AcceleratorChoice
from lab.image.guest_image import GuestImage
from lab.machine.blockdev import blockdev_from_backend
from lab.machine.command_line import GuestBoot, devices_from_controller, object_from_iothread
from lab.machine.cost import metrics_from_cost, readings_during, steady_cost
from lab.machine.guest import Guest, booted, fallback_warning, mapping_difference
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, NullBackend, disk_device, iothread_ids
from tests.real.conftest import boot_of

IDS = iothread_ids(2)
MAPPED = Controller(
    "scsi0",
    Device.VIRTIO_SCSI,
    4,
    (Disk("disk0", NullBackend()),),
    IOThreadMapping.from_short("iothread0:0-1,iothread1:2-3"),
)
BLK = Controller("blk0", Device.VIRTIO_BLK, 2, (Disk("disk1", NullBackend()),), IOThreadMapping.round_robin(IDS))


def machine(accelerator: AcceleratorChoice) -> MachineSpec:
    """A four-vCPU machine with a mapped virtio-scsi disk and a mapped virtio-blk disk."""
    return MachineSpec(accelerator.accelerator, 4, 1024, tuple(IOThread(name) for name in IDS), (MAPPED, BLK))


@pytest.fixture(scope="module")
def guest(
    tmp_path_factory: pytest.TempPathFactory,
    qemu_binary: Build,
    guest_image: GuestImage,
    accelerator: AcceleratorChoice,
) -> Iterator[Guest]:
    """One guest for the tests that do not disturb it."""
    evidence = tmp_path_factory.mktemp("guest")
    with booted(
        qemu_binary.qemu, qemu_binary.firmware, machine(accelerator), boot_of(guest_image), evidence=evidence
    ) as running:
        yield running


def test_the_guest_has_the_cpus_and_disks_that_were_asked_for(guest: Guest) -> None:
    """Four vCPUs, a SCSI disk and a virtio disk of 8 GiB."""
    said = guest.shell.run("nproc; cat /sys/block/sda/size /sys/block/vda/size", timeout_s=20).stdout.split()
    assert said == ["4", str(8 << 21), str(8 << 21)]


def test_the_mapping_that_qemu_stored_is_the_one_asked_for(guest: Guest) -> None:
    """Explicit for virtio-scsi, round robin for virtio-blk; both read back equal, and another one is seen."""
    assert mapping_difference(guest, MAPPED) is None
    assert mapping_difference(guest, BLK) is None
    assert fallback_warning(guest.evidence) is None
    other = replace(MAPPED, mapping=IOThreadMapping.round_robin(IDS))
    assert mapping_difference(guest, other) is not None


def test_qmp_names_every_thread(guest: Guest) -> None:
    """Four vCPUs, two IOThreads and the main loop, each a thread of the process."""
    names = sorted(guest.threads.names.values())
    assert names == ["iothread0", "iothread1", "main-loop", "vcpu0", "vcpu1", "vcpu2", "vcpu3"]
    assert set(guest.threads.names) <= {thread.id for thread in psutil.Process(guest.process.pid).threads()}


def test_the_queue_s_iothread_does_the_work(guest: Guest) -> None:
    """A worker on vCPU 3 uses queue 3, which iothread1 serves: it spends the CPU time, iothread0 next to none."""
    disk = disk_device(Device.VIRTIO_SCSI, 0)
    fio = (
        f"cd /tmp && fio --name=j --filename={disk} --rw=randread --bs=4k --iodepth=16 --ioengine=libaio --direct=1 "
        "--time_based=1 --runtime=3 --cpus_allowed=3 --output-format=json"
    )
    with readings_during(guest) as readings:
        guest.shell.run(fio, timeout_s=60)
    cost = steady_cost(readings, guest.threads, ramp_time_s=0, runtime_s=3)
    assert cost is not None
    spent = cost.cpu.by_name_ns
    assert spent["iothread1"] > 10 * spent["iothread0"]
    assert metrics_from_cost(cost)["cpu_ns_per_io"] > 1000


def test_a_command_that_fails_or_never_ends_is_an_error(guest: Guest) -> None:
    """Exit status and deadline are told apart, and the shell works afterwards."""
    with pytest.raises(GuestError, match=r"exit status 3"):
        guest.shell.run("echo no; exit 3", timeout_s=20)
    with pytest.raises(DeadlineError):
        guest.shell.run("sleep 30", timeout_s=0.5)
    assert guest.shell.run("echo yes", timeout_s=20).stdout == "yes\n"


def test_a_file_arrives_as_it_was_sent(guest: Guest) -> None:
    """Bytes a shell would read otherwise included."""
    guest.shell.put(b"$(reboot)\n'\"\x00\xff", "/tmp/sent")
    said = guest.shell.run("od -An -tx1 /tmp/sent", timeout_s=20).stdout
    assert bytes.fromhex(said.replace("\n", "")) == b"$(reboot)\n'\"\x00\xff"


def test_a_refused_qmp_command_holds_qemus_words(guest: Guest) -> None:
    """The real binary's message comes through."""
    with pytest.raises(MonitorError, match="nope"):
        guest.monitor.execute("device_add", {"driver": "nope"})


def test_a_disk_can_be_plugged_into_the_running_guest(guest: Guest) -> None:
    """object-add, blockdev-add and device_add with the lab's own renderings; then everything is taken out again."""
    guest.monitor.execute("object-add", object_from_iothread(IOThread("hot")))
    guest.monitor.execute("blockdev-add", blockdev_from_backend("disk2", NullBackend()))
    hot = replace(MAPPED, disks=(Disk("disk2", NullBackend()),))
    device = devices_from_controller(hot)[1] | {"lun": 5}
    guest.monitor.execute("device_add", device)
    guest.shell.run("for i in $(seq 50); do test -b /dev/sdb && exit 0; sleep 0.1; done; exit 1", timeout_s=20)
    guest.monitor.execute("device_del", {"id": "disk2-dev"})
    guest.monitor.wait_event("DEVICE_DELETED", timeout_s=20, match=lambda data: data.get("device") == "disk2-dev")
    guest.monitor.execute("blockdev-del", {"node-name": "disk2"})
    guest.monitor.execute("object-del", {"id": "hot"})


def test_a_guest_that_panics_is_a_boot_error_within_seconds(
    tmp_path: Path, qemu_binary: Build, guest_image: GuestImage, accelerator: AcceleratorChoice
) -> None:
    """No init: the panic is read off the console, nothing waits for the deadline, nothing is left behind."""
    broken = GuestBoot(guest_image.kernel, guest_image.initrd, f"{guest_image.cmdline} rdinit=/nope init=/nope")
    with (
        pytest.raises(BootError, match=r"Kernel panic|QEMU ended by itself"),
        booted(qemu_binary.qemu, qemu_binary.firmware, machine(accelerator), broken, evidence=tmp_path),
    ):
        pass
    assert str(tmp_path) not in " ".join(" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))


def test_a_command_line_that_qemu_refuses_is_a_boot_error_with_its_message(
    tmp_path: Path, qemu_binary: Build, guest_image: GuestImage, accelerator: AcceleratorChoice
) -> None:
    """The error shows what QEMU said and the whole command."""
    wrong = replace(MAPPED, mapping=IOThreadMapping.from_short("iothread0:0,iothread1:1"))
    spec = replace(machine(accelerator), controllers=(wrong,))
    with (
        pytest.raises(BootError, match="missing vq 2 IOThread assignment"),
        booted(qemu_binary.qemu, qemu_binary.firmware, spec, boot_of(guest_image), evidence=tmp_path),
    ):
        pass


def test_a_guest_that_is_not_up_in_time_is_a_boot_error(
    tmp_path: Path, qemu_binary: Build, guest_image: GuestImage, accelerator: AcceleratorChoice
) -> None:
    """The deadline ends the wait, and QEMU with it."""
    with (
        pytest.raises(BootError, match=r"waited .* for the guest to say that it is ready"),
        booted(
            qemu_binary.qemu,
            qemu_binary.firmware,
            machine(accelerator),
            boot_of(guest_image),
            evidence=tmp_path,
            timeout_s=0.2,
        ),
    ):
        pass
