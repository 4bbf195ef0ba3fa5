"""What a machine is made of: the typed specification that becomes a QEMU command line.

Pure data. Everything a storage benchmark varies is a field here, so that it can be a factor of an experiment.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.errors import InputError
from lab.machine.mapping import Device, IOThreadMapping

_GIB = 1 << 30
_MAX_IOTHREADS = 64

TCG_CPU_MODEL = "Nehalem,+rdrand"
"""The guest boots fastest with this model under TCG: in 2.2 s, against 2.75 s with ``max``, which has no constant TSC,
so that Linux measures its delay loop on every vCPU. Without ``rdrand`` its host key waits for entropy; fio is as fast
with either (docs/decisions/0003-guest-image.md)."""


@dataclass(frozen=True)
class NullBackend:
    """QEMU's null-co or null-aio driver: requests succeed without any I/O, so only QEMU and the guest are measured.

    :param size_bytes: what the guest sees; a plain integer because ``-blockdev`` takes no suffixes.
    :param latency_ns: each request is held this long; not cancellable.
    :param read_zeroes: fill the buffer of a read, as the driver does not by default.
    """

    driver: str = "null-co"
    size_bytes: int = 8 * _GIB
    latency_ns: int = 0
    read_zeroes: bool = False


@dataclass(frozen=True)
class FileBackend:
    """A raw file or host block device opened through the file driver.

    :param path: what is opened.
    :param aio: ``threads``, ``native`` or ``io_uring``; native needs ``direct``.
    :param direct: bypass the host's page cache (cache=none).
    """

    path: Path
    aio: str = "io_uring"
    direct: bool = True


Backend = NullBackend | FileBackend


@dataclass(frozen=True)
class Disk:
    """A disk of the guest.

    :param id: names the device and its block node.
    """

    id: str
    backend: Backend


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


@dataclass(frozen=True)
class MachineSpec:
    """A whole machine.

    :param accelerator: ``tcg`` or ``kvm``.
    :param cpu_model: as ``-cpu`` takes it.
    :param kernel_arguments: appended to those of the guest image.
    """

    accelerator: str
    vcpus: int
    memory_mib: int
    iothreads: tuple[IOThread, ...]
    controllers: tuple[Controller, ...]
    machine_type: str = "q35"
    cpu_model: str = TCG_CPU_MODEL
    kernel_arguments: str = ""


def iothread_ids(count: int) -> tuple[str, ...]:
    """Return the names of the first IOThreads: ``iothread0``, ``iothread1`` and so on.

    :raise InputError: fewer than none, or more than anybody has CPUs for.
    """
    if not 0 <= count <= _MAX_IOTHREADS:
        raise InputError(f"{count} IOThreads are not between 0 and {_MAX_IOTHREADS}")
    return tuple(f"iothread{number}" for number in range(count))
