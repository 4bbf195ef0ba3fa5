"""The storage tables of a job to controllers with their disks. Pure, but for where the lab keeps its disk files.

Three ways to write it: one disk (``[machine]`` and ``[machine.backend]``), many alike (``disks = 4``), or each
controller and disk by itself (``[[machine.controller]]``, ``[[machine.controller.disk]]``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from lab.errors import InputError
from lab.experiment.job_tables import BackendTable, ControllerTable, MachineTable
from lab.machine.backend import (
    Aio,
    Backend,
    Blkdebug,
    Cache,
    FileBackend,
    Filter,
    HostDeviceBackend,
    ImageFormat,
    NbdBackend,
    NullBackend,
    NvmeBackend,
    Throttle,
)
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.spec import Controller, Disk

_GIB = 1 << 30
_MIB = 1 << 20
_KIB = 1 << 10
_DEFAULT_GIB = 8

_OPTIONS_OF = {
    "size_gib": ("null-co", "null-aio", "raw", "qcow2"),
    "latency_ns": ("null-co", "null-aio"),
    "read_zeroes": ("null-co", "null-aio"),
    "aio": ("raw", "qcow2", "host_device"),
    "cache": ("raw", "qcow2", "host_device", "nvme", "nbd"),
    "cluster_kib": ("qcow2",),
    "path": ("raw", "qcow2", "host_device"),
    "pci_address": ("nvme",),
    "namespace": ("nvme",),
    "address": ("nbd",),
    "export": ("nbd",),
    "destructive": ("raw", "qcow2", "host_device", "nvme", "nbd"),
    "force_device": ("host_device", "nvme"),
}
"""Which drivers have a use for a key; a key that is not here means something to every driver."""

_REQUIRED = {"host_device": "path", "nvme": "pci_address", "nbd": "address"}


@dataclass(frozen=True)
class Surroundings:
    """What the disks of a job are placed in.

    :param file_of: the path of a file that the job names.
    :param made_file: the path of a file that the lab makes, by its name.
    :param writes: whether the workload of the cell writes.
    """

    file_of: Callable[[str], Path]
    made_file: Callable[[str], Path]
    writes: bool


def controllers_from_table(
    table: MachineTable, iothreads: tuple[str, ...], around: Surroundings
) -> tuple[Controller, ...]:
    """Return the controllers of a machine with their disks.

    :param iothreads: the names of all IOThreads.
    :raise InputError: keys that do not go together; the message says which.
    """
    controllers = []
    numbers = {model: count() for model in Device}
    disk_numbers = count()
    for place, (model, said, backends) in enumerate(_layout(table)):
        prefix = "blk" if model is Device.VIRTIO_BLK else "scsi"
        disks = tuple(_disk(f"disk{next(disk_numbers)}", backend, model, around) for backend in backends)
        mapping, iothread = _threads_from_text(said.mapping or table.mapping, iothreads, model, place)
        controllers.append(
            Controller(
                id=f"{prefix}{next(numbers[model])}",
                model=model,
                num_queues=said.num_queues or table.num_queues or table.vcpus,
                queue_size=said.queue_size or table.queue_size,
                disks=disks,
                mapping=mapping,
                iothread=iothread,
            )
        )
    return _with_own_files(tuple(controllers))


def _layout(table: MachineTable) -> Iterator[tuple[Device, ControllerTable, tuple[BackendTable, ...]]]:
    """Yield model, table and disks of each controller."""
    if table.controller:
        if table.disks is not None or table.controllers is not None:
            raise InputError("disks and controllers of [machine] say what [[machine.controller]] says, too: use one")
        for said in table.controller:
            yield from _of_controller(table, said)
        return
    model, disks = table.device, table.disks or table.controllers or 1
    if model is Device.VIRTIO_BLK and table.controllers not in (None, disks):
        raise InputError("a virtio-blk disk is its own controller", remedy="give disks, and leave out controllers")
    controllers = disks if model is Device.VIRTIO_BLK else table.controllers or 1
    if disks % controllers:
        raise InputError(
            f"{disks} disks cannot be dealt evenly to {controllers} controllers",
            remedy="write a [[machine.controller]] for each, with its own disks",
        )
    for _ in range(controllers):
        yield model, ControllerTable(), (table.backend,) * (disks // controllers)


def _of_controller(
    table: MachineTable, said: ControllerTable
) -> Iterator[tuple[Device, ControllerTable, tuple[BackendTable, ...]]]:
    model = said.device or table.device
    if said.disk and said.disks is not None:
        raise InputError("disks = N of a [[machine.controller]] means N alike, its [[machine.controller.disk]] others")
    backends = tuple(_over(table.backend, disk) for disk in said.disk) or (table.backend,) * (said.disks or 1)
    if model is Device.VIRTIO_SCSI:
        yield model, said, backends
        return
    for backend in backends:  # a virtio-blk disk is its own controller: what is said holds for each
        yield model, said, (backend,)


def _over(below: BackendTable, said: BackendTable) -> BackendTable:
    """Return a disk's table: what is not said there is that of ``[machine.backend]``."""
    values = {name: getattr(said, name) for name in said.model_fields_set}
    return BackendTable.model_validate(below.model_dump(exclude_unset=True) | values)


def _disk(disk_id: str, table: BackendTable, model: Device, around: Surroundings) -> Disk:
    filters: list[Filter] = []
    if table.blkdebug_align is not None or table.blkdebug_max_transfer_kib is not None:
        kib = table.blkdebug_max_transfer_kib
        filters.append(Blkdebug(table.blkdebug_align, None if kib is None else kib * _KIB))
    if table.throttle_iops or table.throttle_mib_s:
        filters.append(Throttle(table.throttle_iops, table.throttle_mib_s * _MIB))
    if model is Device.VIRTIO_BLK and "scsi" in table.model_fields_set:
        raise InputError(f"scsi = '{table.scsi}' is for virtio-scsi controllers")
    return Disk(disk_id, _backend(disk_id, table, around), tuple(filters), table.scsi)


def _backend(disk_id: str, table: BackendTable, around: Surroundings) -> Backend:
    """Return the backend of a table.

    :raise InputError: keys that do not go with the driver, a path that is none, or a workload that writes where it may
        not.
    """
    driver = table.driver
    for name, drivers in _OPTIONS_OF.items():
        if driver not in drivers and getattr(table, name) != BackendTable.model_fields[name].default:
            raise InputError(f"{name} says nothing to driver '{driver}'", remedy=f"it is for {', '.join(drivers)}")
    required = _REQUIRED.get(driver)
    if required is not None and getattr(table, required) is None:
        raise InputError(f"driver '{driver}' needs {required}", remedy="docs/jobs.md shows it")
    if driver in ("null-co", "null-aio"):
        size = (table.size_gib or _DEFAULT_GIB) * _GIB
        return NullBackend(driver, size, table.latency_ns, table.read_zeroes)
    cache = table.cache or (NvmeBackend.cache if driver == "nvme" else Cache.NONE)
    if driver in ("raw", "qcow2") and table.path is None:
        return _made_file(disk_id, table, cache, around)
    shared: dict[str, Any] = {"cache": cache, "read_only": _is_read_only(table, around.writes)}
    if driver == "nvme":
        forced = table.force_device == table.pci_address
        return NvmeBackend(str(table.pci_address), table.namespace, forced=forced, **shared)
    if driver == "nbd":
        return NbdBackend(str(table.address), table.export, **shared)
    aio = table.aio or Aio.THREADS
    if driver == "host_device":
        path = _device_path(str(table.path))
        return HostDeviceBackend(path, aio, forced=table.force_device == str(path), **shared)
    if table.size_gib is not None or table.cluster_kib is not None:
        raise InputError(
            "size_gib and cluster_kib are of files that the lab makes", remedy="leave them out, or the path"
        )
    return FileBackend(around.file_of(str(table.path)), ImageFormat(driver), aio, **shared)


def _made_file(disk_id: str, table: BackendTable, cache: Cache, around: Surroundings) -> FileBackend:
    size, cluster = table.size_gib or _DEFAULT_GIB, table.cluster_kib or 64
    image_format = ImageFormat(table.driver)
    clusters = f"-{cluster}k" if image_format is ImageFormat.QCOW2 else ""
    return FileBackend(
        path=around.made_file(f"{disk_id}-{size}g{clusters}.{image_format}"),
        format=image_format,
        aio=table.aio or Aio.THREADS,
        cache=cache,
        made_by_lab=True,
        size_bytes=size * _GIB,
        cluster_bytes=cluster * _KIB,
    )


def _is_read_only(table: BackendTable, writes: bool) -> bool:
    """Return whether a disk that is not the lab's own is opened for reading only.

    :raise InputError: the workload writes, and the job does not allow it.
    """
    if writes and not table.destructive:
        where = table.path or table.pci_address or table.address
        raise InputError(
            f"the workload writes to {where}, and the job does not allow that",
            remedy="everything on it would be lost; write destructive = true beside it if that is meant",
        )
    return not writes


def _device_path(text: str) -> Path:
    path = Path(text)
    if not path.is_relative_to("/dev") or ".." in path.parts:
        raise InputError(f"'{text}' is not the path of a block device", remedy="write for example /dev/nvme0n1")
    return path


def _with_own_files(controllers: tuple[Controller, ...]) -> tuple[Controller, ...]:
    """Make sure that no two disks share what they store in, which QEMU's image locking would refuse."""
    seen: set[object] = set()
    for disk in (disk for controller in controllers for disk in controller.disks):
        if isinstance(disk.backend, NullBackend):
            continue
        stored = replace(disk.backend, cache=Cache.NONE)
        if stored in seen and not stored.read_only:
            raise InputError(f"{disk.id}: another disk stores in the same place", remedy="give each disk its own")
        seen.add(stored)
    return controllers


def _threads_from_text(
    text: str, ids: tuple[str, ...], device: Device, place: int
) -> tuple[IOThreadMapping | None, str | None]:
    """Return the mapping and the ``iothread`` property that a job's ``mapping`` asks for.

    ``round-robin`` spreads the queues over all IOThreads, ``iothread`` gives each controller one of them, in turn,
    ``none`` leaves the queues to the main loop; anything else is the short form of docs/mapping.md.

    :param place: of the controller among all.
    """
    if text == "none" or (not ids and text in ("round-robin", "iothread")):
        return None, None
    if text == "iothread":
        return None, ids[place % len(ids)]
    if text == "round-robin":
        return IOThreadMapping.round_robin(ids), None
    return IOThreadMapping.from_text(text, device=device), None
