"""The machine specification refuses what no QEMU could be."""

from pathlib import Path

import pytest

from lab.errors import InputError
from lab.machine.backend import Backend, Cache, Filter, HostDeviceBackend, NullBackend, Throttle
from lab.machine.mapping import Device
from lab.machine.spec import (
    Controller,
    Disk,
    GuestMemory,
    MachineSpec,
    MemoryPolicy,
    ScsiDisk,
    Topology,
    disk_device,
    iothread_ids,
)

PASSED = HostDeviceBackend(Path("/dev/sg"))


def controller(name: str, model: Device, *disks: str) -> Controller:
    """A controller with null disks."""
    return Controller(name, model, 1, tuple(Disk(disk, NullBackend()) for disk in disks))


@pytest.mark.parametrize(
    "topology", [Topology(), Topology(sockets=2), Topology(1, 2, 2), Topology(cores=4), Topology(threads=2)]
)
def test_vcpus_that_can_be_arranged(topology: Topology) -> None:
    """What is not said is QEMU's to fill in."""
    topology.check(4)


@pytest.mark.parametrize(
    ("topology", "text"),
    [
        (Topology(sockets=3), "4 vCPUs cannot be arranged as 3 sockets"),
        (Topology(1, 1, 2), "4 vCPUs cannot be arranged as 1 sockets x 1 cores x 2 threads"),
        (Topology(cores=8), "4 vCPUs cannot be arranged as 8 cores"),
    ],
)
def test_vcpus_that_cannot_be_arranged(topology: Topology, text: str) -> None:
    """QEMU's own rule: the product is the number of vCPUs."""
    with pytest.raises(InputError, match=text):
        MachineSpec("tcg", 4, 256, (), (), topology=topology)


@pytest.mark.parametrize(
    ("nodes", "policy"), [((0,), None), ((), MemoryPolicy.BIND)], ids=["nodes-alone", "policy-alone"]
)
def test_nodes_and_policy_belong_together(nodes: tuple[int, ...], policy: MemoryPolicy | None) -> None:
    """One without the other is refused by QEMU or means nothing."""
    with pytest.raises(InputError, match="belong together"):
        GuestMemory(host_nodes=nodes, policy=policy)


def test_a_folder_of_memory_has_its_own_pages() -> None:
    """The size of huge pages is a mount option of hugetlbfs."""
    with pytest.raises(InputError, match="decides the size of its pages"):
        GuestMemory(folder=Path("/dev/hugepages"), hugepage_kib=2048)


@pytest.mark.parametrize(
    ("backend", "filters", "text"),
    [
        (NullBackend(), (), "scsi-block passes commands to a host block device"),
        (PASSED, (Throttle(1),), "without filters"),
        (HostDeviceBackend(Path("/dev/sg"), cache=Cache.DIRECTSYNC), (), "leaves the write cache to the disk"),
    ],
)
def test_scsi_block_takes_a_plain_host_device(backend: Backend, filters: tuple[Filter, ...], text: str) -> None:
    """It passes commands on, so nothing may stand between."""
    with pytest.raises(InputError, match=text):
        Disk("d", backend, filters, ScsiDisk.BLOCK)


def test_disks_are_named_by_kind_as_linux_does() -> None:
    """SCSI disks and virtio disks are counted apart."""
    controllers = (
        controller("scsi0", Device.VIRTIO_SCSI, "a", "b"),
        controller("blk0", Device.VIRTIO_BLK, "c"),
        controller("scsi1", Device.VIRTIO_SCSI, "d"),
    )
    spec = MachineSpec("tcg", 1, 256, (), controllers)
    assert sorted(spec.guest_devices) == ["/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/vda"]
    assert [disk.id for disk in spec.disks] == ["a", "b", "c", "d"]


def test_more_disks_than_letters_are_refused() -> None:
    """/dev/sdz is the last."""
    names = [f"d{number}" for number in range(27)]
    with pytest.raises(InputError, match="27 disks are more than the 26"):
        MachineSpec("tcg", 1, 256, (), (controller("scsi0", Device.VIRTIO_SCSI, *names),))


def test_a_virtio_blk_device_with_two_disks_is_refused() -> None:
    """virtio-blk is one disk by definition."""
    with pytest.raises(InputError, match="a virtio-blk device is one disk, 2 are given"):
        controller("blk0", Device.VIRTIO_BLK, "a", "b")


@pytest.mark.parametrize("count", [-1, 65])
def test_a_senseless_number_of_iothreads_is_refused(count: int) -> None:
    """IOThreads are counted from 0 to 64."""
    with pytest.raises(InputError, match="IOThreads are not between"):
        iothread_ids(count)


def test_disks_are_named_as_linux_names_them() -> None:
    """virtio-scsi gives sdX, virtio-blk vdX."""
    assert disk_device(Device.VIRTIO_SCSI, 1) == "/dev/sdb"
    assert disk_device(Device.VIRTIO_BLK, 0) == "/dev/vda"
