"""The machines of a job to what must be there before a boot (files, devices, pages), and to its protection during it.

Disk files of the lab are made once, written once, and used again by every experiment that asks for the same size and
format: a read that met a hole would measure the file system's way of making zeroes. What belongs to the user is looked
at and claimed, never made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from lab.command import run
from lab.errors import CommandError, HostError, InputError
from lab.host.block_device import claimed, device_number, require_vfio
from lab.host.hugepages import require_hugepages
from lab.machine.backend import Backend, FileBackend, HostDeviceBackend, ImageFormat, NvmeBackend
from lab.machine.spec import MachineSpec
from lab.progress import Progress

_GIB = 1 << 30
_KEPT_FREE_BYTES = 2 * _GIB
_SLOWEST_BYTES_PER_S = 20 << 20
_BLOCK_BYTES = 512
"""The unit of st_blocks (stat(2)), whatever the file system."""


def prepare_storage(specs: Iterable[MachineSpec], qemu_img: Path, progress: Progress) -> None:
    """Make the lab's disk files that are missing, and make sure that everything else is there and may be used.

    :param qemu_img: the image tool that makes and reads images; of the baseline, so that both arms use one file.
    :raise InputError: a file of the user is not what the job says.
    :raise HostError: too little room or too few huge pages, a device that is not there, or one that must not be
        written.
    """
    machines = tuple(specs)
    for spec in machines:
        if spec.memory.hugepage_kib is not None:
            require_hugepages(spec.memory_mib, spec.memory.hugepage_kib)
    backends = dict.fromkeys(disk.backend for spec in machines for disk in spec.disks)
    for backend in backends:
        if isinstance(backend, FileBackend) and not backend.made_by_lab:
            _check_file(backend, qemu_img)
    made = {b.path: b for b in backends if isinstance(b, FileBackend) and b.made_by_lab}
    for backend in made.values():
        _make_file(backend, qemu_img, progress)
    for backend in backends:
        with ExitStack() as stack:  # each by itself: cells that differ in aio or cache have one device
            _hold(backend, stack)


@contextmanager
def storage_held(spec: MachineSpec) -> Iterator[None]:
    """Hold the host's devices of a machine while it runs: what is written is claimed, as mount(8) would.

    :raise HostError: a device is not there any more, or has come into use since the experiment began.
    """
    with ExitStack() as stack:
        for backend in dict.fromkeys(disk.backend for disk in spec.disks):
            _hold(backend, stack)
        yield


def _hold(backend: Backend, stack: ExitStack) -> None:
    if isinstance(backend, HostDeviceBackend):
        device_number(backend.path)
        if not backend.read_only:
            stack.enter_context(claimed(backend.path, forced=backend.forced))
    elif isinstance(backend, NvmeBackend):
        require_vfio(backend.pci_address)
        if not backend.read_only and not backend.forced:
            raise HostError(
                f"PCI device {backend.pci_address} is not written: what is on it cannot be seen from here",
                remedy=f'if it may be lost, write force_device = "{backend.pci_address}"',
            )


def _check_file(backend: FileBackend, qemu_img: Path) -> None:
    """Make sure that a user's image is a regular file that stands alone.

    An image can name other files, which QEMU would open, too: one for what it does not hold, another for its data.
    """
    if not backend.path.is_file():
        raise InputError(f"{backend.path} is not a regular file", remedy="a device goes with driver = 'host_device'")
    if backend.format is ImageFormat.RAW:
        return
    said = run((qemu_img, "info", "--output=json", "-f", backend.format.value, backend.path), check=False)
    if said.returncode != 0:
        raise InputError(f"{backend.path} is no {backend.format} image: {said.tail(1)}")
    image = _object_from_json(said.stdout)
    inner = image.get("format-specific", {}).get("data", {})
    if "backing-filename" in image or "data-file" in inner:
        raise InputError(
            f"{backend.path} is built on another file, which the job does not name",
            remedy="flatten it: qemu-img convert -O qcow2 IMAGE COPY",
        )


def _object_from_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise HostError("qemu-img info printed no JSON object")
    return value


def _make_file(backend: FileBackend, qemu_img: Path, progress: Progress) -> None:
    """Make a disk file in one step that others see, with every block written."""
    with FileLock(backend.path.with_suffix(".lock")):
        if backend.path.exists():
            return
        begun = backend.path.with_suffix(".part")
        begun.unlink(missing_ok=True)  # of a call that was killed
        free = shutil.disk_usage(begun.parent).free
        if free < backend.size_bytes + _KEPT_FREE_BYTES:
            raise HostError(
                f"{begun.parent} has {free / _GIB:.1f} GiB free, too little for a disk of "
                f"{backend.size_bytes / _GIB:g} GiB",
                remedy="make room, set LAB_CACHE to a folder with more of it, or give a smaller size_gib",
            )
        clusters = f",cluster_size={backend.cluster_bytes}" if backend.format is ImageFormat.QCOW2 else ""
        argv = ("create", "-q", "-f", backend.format.value, "-o", f"preallocation=full{clusters}")
        try:
            with progress.stage(f"writing a {backend.format} disk of {backend.size_bytes / _GIB:g} GiB"):
                timeout_s = 60 + backend.size_bytes / _SLOWEST_BYTES_PER_S
                run((qemu_img, *argv, begun, str(backend.size_bytes)), timeout_s=timeout_s)
            if begun.stat().st_blocks * _BLOCK_BYTES < backend.size_bytes:
                raise HostError(
                    f"the file system of {begun.parent} does not keep the zeroes of a new disk, so reads would miss it",
                    remedy="set LAB_CACHE to a folder without compression",
                )
            begun.replace(backend.path)
        except CommandError as err:
            raise HostError(f"no disk file could be made in {begun.parent}: {err.message}") from err
        finally:
            with suppress(OSError):
                begun.unlink(missing_ok=True)
