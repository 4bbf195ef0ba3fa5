"""What a machine is made of: the typed specification that becomes a QEMU command line.

Pure data. Everything a storage benchmark varies is a field here, so that it can be a factor of an experiment.
"""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lab.errors import InputError
from lab.machine.backend import Backend, Filter, HostDeviceBackend, NullBackend
from lab.machine.mapping import Device, IOThreadMapping

__all__ = [
    "TCG_CPU_MODEL",
    "Controller",
    "Disk",
    "GuestMemory",
    "IOThread",
    "MachineSpec",
    "MemoryPolicy",
    "NullBackend",
    "ScsiDisk",
    "Topology",
    "disk_device",
    "iothread_ids",
]

_MAX_IOTHREADS = 64
_MAX_DISKS = len(string.ascii_lowercase)

TCG_CPU_MODEL = "Nehalem,+rdrand"
"""The guest boots fastest with this model under TCG: in 2.2 s, against 2.75 s with ``max``, which has no constant TSC,
so that Linux measures its delay loop on every vCPU. Without ``rdrand`` its host key waits for entropy; fio is as fast
with either (docs/decisions/0003-guest-image.md)."""


class ScsiDisk(StrEnum):
    """The device that a virtio-scsi controller offers a disk through."""

    HD = "scsi-hd"
    BLOCK = "scsi-block"
    """Passes the guest's SCSI commands to a SCSI disk of the host; it takes nothing but a host block device."""


@dataclass(frozen=True)
class Disk:
    """A disk of the guest.

    :param id: names the device and its block node.
    :param filters: on top of the backend, from the bottom to the top.
    :param scsi: the device on a virtio-scsi controller; virtio-blk has none.
    :raise InputError: scsi-block on something that is not a host block device, or without a write cache.
    """

    id: str
    backend: Backend
    filters: tuple[Filter, ...] = ()
    scsi: ScsiDisk = ScsiDisk.HD

    def __post_init__(self) -> None:
        if self.scsi is not ScsiDisk.BLOCK:
            return
        if not isinstance(self.backend, HostDeviceBackend) or self.filters:
            raise InputError(
                f"{self.id}: scsi-block passes commands to a host block device, without filters",
                remedy="write driver = 'host_device' and the path of a SCSI disk",
            )
        if not self.backend.cache.write_cache:
            raise InputError(
                f"{self.id}: scsi-block leaves the write cache to the disk: cache must be none or writeback"
            )


@dataclass(frozen=True)
class Controller:
    """A virtio-scsi controller with its disks, or one virtio-blk disk.

    :param num_queues: request queues; for virtio-scsi the command virtqueues only.
    :param queue_size: descriptors of a queue; None leaves QEMU's default.
    :param mapping: which IOThread serves which queue; None leaves it to ``iothread`` or the main loop.
    :param iothread: the one IOThread that serves all queues; excludes ``mapping``.
    """

    id: str
    model: Device
    num_queues: int
    disks: tuple[Disk, ...]
    mapping: IOThreadMapping | None = None
    iothread: str | None = None
    queue_size: int | None = None

    def __post_init__(self) -> None:
        if self.model is Device.VIRTIO_BLK and len(self.disks) != 1:
            raise InputError(f"{self.id}: a virtio-blk device is one disk, {len(self.disks)} are given")


@dataclass(frozen=True)
class IOThread:
    """An IOThread object.

    :param poll_max_ns: longest busy polling; 0 turns polling off; None leaves QEMU's default (32768).
    """

    id: str
    poll_max_ns: int | None = None
    poll_grow: int | None = None
    poll_shrink: int | None = None
    aio_max_batch: int | None = None


class MemoryPolicy(StrEnum):
    """What the kernel does about NUMA nodes (``HostMemPolicy`` in qapi/qom.json, set_mempolicy(2))."""

    BIND = "bind"
    PREFERRED = "preferred"
    INTERLEAVE = "interleave"


@dataclass(frozen=True)
class GuestMemory:
    """What the guest's memory is made of; the default is QEMU's plain anonymous memory.

    :param hugepage_kib: size of the huge pages; None leaves them to the kernel.
    :param prealloc: all pages are there before the guest starts.
    :param share: mapped shared, as vhost-user wants it.
    :param folder: a mounted memory file system, ``/dev/hugepages`` say; None makes an anonymous file (memfd_create(2)).
    :param host_nodes: NUMA nodes the memory comes from.
    :raise InputError: a policy without nodes.
    """

    hugepage_kib: int | None = None
    prealloc: bool = False
    share: bool = False
    folder: Path | None = None
    host_nodes: tuple[int, ...] = ()
    policy: MemoryPolicy | None = None

    def __post_init__(self) -> None:
        if bool(self.host_nodes) != (self.policy is not None):
            raise InputError(
                "NUMA nodes and a policy belong together", remedy="give numa_nodes and numa_policy, or none of them"
            )
        if self.folder is not None and self.hugepage_kib is not None:
            raise InputError(
                "the file system of the memory's folder decides the size of its pages",
                remedy="give memory_folder or hugepages",
            )


@dataclass(frozen=True)
class Topology:
    """How the vCPUs look to the guest; None is QEMU's choice. Their product is the number of vCPUs."""

    sockets: int | None = None
    cores: int | None = None
    threads: int | None = None

    def check(self, vcpus: int) -> None:
        """Make sure that ``vcpus`` can be arranged so (hw/core/machine-smp.c).

        :raise InputError: they cannot.
        """
        given = {"sockets": self.sockets, "cores": self.cores, "threads": self.threads}
        product = math.prod(number for number in given.values() if number is not None)
        complete = None not in given.values()
        if vcpus % product or (complete and product != vcpus):
            text = " x ".join(f"{number} {name}" for name, number in given.items() if number is not None)
            raise InputError(f"{vcpus} vCPUs cannot be arranged as {text}")


@dataclass(frozen=True)
class MachineSpec:
    """A whole machine.

    :param accelerator: ``tcg`` or ``kvm``.
    :param cpu_model: as ``-cpu`` takes it.
    :param kernel_arguments: appended to those of the guest image.
    :param scheduler: I/O scheduler of the guest's disks; None leaves the guest's own choice.
    :param haltpoll: the guest's vCPUs poll before they halt (its cpuidle-haltpoll driver).
    :raise InputError: the vCPUs cannot be arranged as asked, or there are more disks than a guest can name.
    """

    accelerator: str
    vcpus: int
    memory_mib: int
    iothreads: tuple[IOThread, ...]
    controllers: tuple[Controller, ...]
    machine_type: str = "q35"
    cpu_model: str = TCG_CPU_MODEL
    kernel_arguments: str = ""
    topology: Topology = Topology()
    memory: GuestMemory = GuestMemory()
    scheduler: str | None = None
    haltpoll: bool = False

    def __post_init__(self) -> None:
        self.topology.check(self.vcpus)
        if len(self.disks) > _MAX_DISKS:
            raise InputError(f"{len(self.disks)} disks are more than the {_MAX_DISKS} that the lab can name in a guest")

    @property
    def disks(self) -> tuple[Disk, ...]:
        """Every disk, in the order in which the guest finds them."""
        return tuple(disk for controller in self.controllers for disk in controller.disks)

    @property
    def guest_devices(self) -> tuple[str, ...]:
        """The disks as Linux names them: ``/dev/sda``, ``/dev/vda`` and so on.

        The names are those of all disks together: Linux may find two SCSI disks in any order, so which of them is
        ``/dev/sda`` is not known.
        """
        counts = {model: sum(len(c.disks) for c in self.controllers if c.model is model) for model in Device}
        return tuple(disk_device(model, index) for model, count in counts.items() for index in range(count))


def disk_device(model: Device, index: int) -> str:
    """Return the path of the guest's disk number ``index``, as Linux names it: ``/dev/sda``, ``/dev/vda``."""
    prefix = "vd" if model is Device.VIRTIO_BLK else "sd"
    return f"/dev/{prefix}{string.ascii_lowercase[index]}"


def iothread_ids(count: int) -> tuple[str, ...]:
    """Return the names of the first IOThreads: ``iothread0``, ``iothread1`` and so on.

    :raise InputError: fewer than none, or more than anybody has CPUs for.
    """
    if not 0 <= count <= _MAX_IOTHREADS:
        raise InputError(f"{count} IOThreads are not between 0 and {_MAX_IOTHREADS}")
    return tuple(f"iothread{number}" for number in range(count))
