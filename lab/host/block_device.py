"""A host block device and what the job says about it to the permission to write, or to the reason why not.

A device is written only if nothing uses it and nothing is on it: it is not write-protected, not mounted, no swap, held
by nobody (device mapper, RAID, a loop device, another QEMU), and neither it nor a partition of it has a partition
table, a file system, or anything else that blkid(8) knows. What is on a device may be overlooked by naming the device
twice; what uses it may not.

While a run writes, the device is claimed with O_EXCL, as mount(8) does it: nobody can mount it meanwhile (open(2)).
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.command import run
from lab.errors import HostError

_NOTHING_FOUND = 2
_SEVERAL_FOUND = 8
"""Exit statuses of blkid --probe (blkid(8))."""
_VFIO = "vfio-pci"
_QEMU_LOCKS = (100, 200)
"""First of the bytes that QEMU may lock in what it opens, and their number: those from RAW_LOCK_PERM_BASE and from
RAW_LOCK_SHARED_BASE on (block/file-posix.c)."""

Probe = Callable[[Path], str]


@dataclass(frozen=True)
class BlockDevice:
    """A block device as the kernel sees it.

    :param name: of the kernel, ``nvme0n1`` or ``sda1``.
    :param number: ``MAJOR:MINOR``.
    :param whole: the disk it is a partition of, with its number; None for a whole disk.
    :param partitions: of a whole disk, each with its number.
    :param holders: what is built on it or on a partition of it.
    """

    name: str
    number: str
    whole: tuple[str, str] | None
    partitions: tuple[tuple[str, str], ...]
    holders: tuple[str, ...]

    @property
    def names(self) -> dict[str, str]:
        """Name to number of all that shares its blocks: itself, its partitions, the disk it is a part of."""
        return dict(((self.name, self.number), *self.partitions, *([self.whole] if self.whole else [])))


def device_number(path: Path) -> str:
    """Return ``MAJOR:MINOR`` of a block device; symbolic links are followed.

    :raise HostError: there is no block device of that name.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as err:
        raise HostError(f"there is no device {path}: {err}", remedy="'lsblk' lists those there are") from err
    if not stat.S_ISBLK(found.st_mode):
        raise HostError(f"{path} is not a block device", remedy="'lsblk' lists those there are")
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def read_device(number: str, root: Path = Path("/")) -> BlockDevice:
    """Return what sysfs says about a device (Documentation/ABI/stable/sysfs-block in Linux).

    :param root: of a tree with ``sys/``.
    :raise HostError: sysfs does not know it.
    """
    try:
        folder = (root / "sys/dev/block" / number).resolve(strict=True)
        is_partition = (folder / "partition").exists()
        parts = () if is_partition else tuple(sorted(path.parent for path in folder.glob("*/partition")))
        whole = (folder.parent.name, _number(folder.parent)) if is_partition else None
        return BlockDevice(
            name=folder.name,
            number=number,
            whole=whole,
            partitions=tuple((part.name, _number(part)) for part in parts),
            holders=tuple(holder for part in (folder, *parts) for holder in _holders(part))
            + (_holders(folder.parent) if is_partition else ()),
        )
    except OSError as err:
        raise HostError(
            f"the kernel shows no device {number} in /sys/dev/block: {err.strerror}",
            remedy="without sysfs nobody can say what uses the device, so it is not written",
        ) from err


def uses(device: BlockDevice, root: Path = Path("/")) -> tuple[str, ...]:
    """Return who uses a device or what shares its blocks, each as a sentence; empty for nobody.

    :param root: of a tree with ``proc/`` and ``dev/``.
    :raise HostError: /proc cannot be read.
    """
    try:
        mounts = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        swaps = (root / "proc/swaps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()[1:]
    except OSError as err:
        raise HostError(f"what is mounted cannot be read: {err}", remedy="mount /proc") from err
    found = [f"{device.name} is held by {holder}" for holder in device.holders]
    found += _loops(device, root)
    for line in mounts:
        before, _, after = line.partition(" - ")
        fields, source = before.split(), [*after.split(), "", ""][1]
        # btrfs and others mount under numbers of no device: there the source tells.
        if len(fields) > 4 and (fields[2] in device.names.values() or _kernel_name(source, root) in device.names):
            name = next((n for n, number in device.names.items() if number == fields[2]), _kernel_name(source, root))
            found.append(f"{name} is mounted on {fields[4]}")
    for line in swaps:
        name = _kernel_name((line.split() or [""])[0], root)
        if name in device.names:
            found.append(f"{name} is swap space")
    return tuple(dict.fromkeys(found))


def content(path: Path) -> str:
    """Return what blkid finds on a device or in a file, for a sentence; empty for nothing.

    :raise HostError: blkid is not there, or cannot say.
    """
    blkid = shutil.which("blkid", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if blkid is None:
        raise HostError("'blkid' is needed to see what is on a device", remedy="install util-linux")
    said = run((blkid, "--probe", "--output", "export", "--", path), timeout_s=30, check=False)
    if said.returncode == _NOTHING_FOUND:
        return ""
    if said.returncode == _SEVERAL_FOUND:
        return "signatures of several kinds"
    if said.returncode != 0:
        raise HostError(f"blkid cannot say what is on {path}: {said.tail() or f'exit status {said.returncode}'}")
    values = dict(line.split("=", 1) for line in said.stdout.splitlines() if "=" in line)
    if "PTTYPE" in values:
        return f"a partition table ({values['PTTYPE']})"
    return f"{values.get('TYPE', 'something')} ({values.get('USAGE', 'unknown use')})"


@contextmanager
def claimed(path: Path, *, forced: bool, root: Path = Path("/"), probe: Probe = content) -> Iterator[None]:
    """Hold a device for writing as long as the block lasts.

    :param forced: the user named this very device to have what is on it overlooked.
    :param root: of a tree with ``sys/`` and ``proc/``.
    :raise HostError: it is used, something is on it, or it is write-protected; nothing was changed.
    """
    number = device_number(path)
    device = read_device(number, root)
    refused = uses(device, root)
    if refused:
        raise HostError(
            f"{path} is not written: {'; '.join(refused)}",
            remedy="unmount it, or name another device; nothing was done",
        )
    if _is_write_protected(number, root):
        raise HostError(f"{path} is write-protected", remedy="'blockdev --setrw' may lift that; or name another device")
    handle = _exclusive(path)
    try:
        if _number_of(handle) != number:
            raise HostError(f"{path} became another device while it was looked at", remedy="try again")
        if _is_open_in_qemu(handle):
            raise HostError(f"{path} is not written: another QEMU has it open", remedy="end it, or name another disk")
        if device.partitions and not forced:
            names = ", ".join(name for name, _ in device.partitions)
            raise _has_content(path, f"are partitions ({names})")
        found = "" if forced else probe(path)
        if found:
            raise _has_content(path, f"is {found}")
        yield
    finally:
        os.close(handle)


def require_vfio(pci_address: str, root: Path = Path("/")) -> None:
    """Make sure that a PCI device is free for QEMU's own NVMe driver: bound to vfio-pci and so no disk of the host.

    :raise HostError: it is not there, or another driver has it.
    """
    folder = root / "sys/bus/pci/devices" / pci_address
    if not folder.is_dir():
        raise HostError(f"there is no PCI device {pci_address}", remedy="'lspci -D' lists those there are")
    driver = (folder / "driver").resolve().name if (folder / "driver").exists() else "no driver"
    if driver != _VFIO:
        raise HostError(
            f"PCI device {pci_address} is bound to {driver}, not to {_VFIO}",
            remedy=f"bind it first: driverctl set-override {pci_address} {_VFIO}; its disk vanishes from this host",
        )


def _exclusive(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as err:
        if err.errno == errno.EBUSY:
            raise HostError(
                f"{path} is not written: the kernel says that somebody holds it",
                remedy="'lsblk' and 'fuser -v' may say who; it may be mounted in a container",
            ) from err
        raise HostError(f"{path} cannot be opened: {err.strerror}", remedy="may you read it? 'ls -l' says") from err


def _loops(device: BlockDevice, root: Path) -> Iterator[str]:
    """Yield the loop devices on a device: they are no holders for sysfs, and they leave O_EXCL free (loop(4))."""
    for file in sorted((root / "sys/block").glob("loop*/loop/backing_file")):
        try:
            name = _kernel_name(file.read_text(encoding="utf-8", errors="surrogateescape").strip(), root)
        except OSError:  # it was taken down meanwhile
            continue
        if name in device.names:
            yield f"{name} is held by {file.parent.parent.name}"


def _is_write_protected(number: str, root: Path) -> bool:
    try:
        return (root / "sys/dev/block" / number / "ro").read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False  # then QEMU says so


def _is_open_in_qemu(handle: int) -> bool:
    """Tell whether a QEMU has a device open, which it never does exclusively: its image locks show it (fcntl(2))."""
    first, length = _QEMU_LOCKS
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, first, length, 0)
    kind: int = struct.unpack_from("h", fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked))[0]
    return kind != fcntl.F_UNLCK


def _has_content(path: Path, what: str) -> HostError:
    return HostError(
        f"{path} is not written: there {what} on it",
        remedy=f'name another device; or wipe it; or, if it may be lost, write force_device = "{path}"',
    )


def _number_of(handle: int) -> str:
    number = os.fstat(handle).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def _number(folder: Path) -> str:
    return (folder / "dev").read_text(encoding="ascii").strip()


def _holders(folder: Path) -> tuple[str, ...]:
    held = folder / "holders"
    return tuple(sorted(path.name for path in held.iterdir())) if held.is_dir() else ()


def _kernel_name(source: str, root: Path) -> str:
    """Return the kernel's name of a device that a mount or swap names by its path; empty for what is no device."""
    if not source.startswith("/dev/"):
        return ""
    path = root / source.removeprefix("/").encode("utf-8", "surrogateescape").decode("unicode_escape", "replace")
    return Path(os.path.realpath(path)).name
