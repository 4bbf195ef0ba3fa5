"""Files to a newc cpio archive, the format of an initramfs.

Written here because the archive must be the same bytes each time, hold a device node and belong to root without being
made by root. Format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.errors import InputError

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"
_ALIGNMENT = 4
_BLOCK = 512


@dataclass(frozen=True)
class CpioEntry:
    """A file of the guest, owned by root, without a time stamp.

    :param path: absolute, in the guest.
    :param mode: type and permissions, as in ``st_mode``.
    :param data: content of a file, target of a symbolic link.
    :param device: major and minor number of a device node.
    """

    path: PurePosixPath
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(path: str | PurePosixPath, permissions: int = 0o755) -> CpioEntry:
    """Return a folder."""
    return CpioEntry(PurePosixPath(path), stat.S_IFDIR | permissions)


def regular_file(path: str | PurePosixPath, data: bytes, permissions: int = 0o644) -> CpioEntry:
    """Return a file."""
    return CpioEntry(PurePosixPath(path), stat.S_IFREG | permissions, data)


def symbolic_link(path: str | PurePosixPath, target: str) -> CpioEntry:
    """Return a symbolic link."""
    return CpioEntry(PurePosixPath(path), stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str | PurePosixPath, major: int, minor: int) -> CpioEntry:
    """Return a device node that only root may use."""
    return CpioEntry(PurePosixPath(path), stat.S_IFCHR | 0o600, device=(major, minor))


def archive_from_entries(entries: Iterable[CpioEntry]) -> bytes:
    """Return the archive: sorted by path, folders that were not named added, an entry named twice kept once.

    :raise InputError: a path is not absolute, or two different entries have the same path.
    """
    by_path: dict[PurePosixPath, CpioEntry] = {}
    for entry in entries:
        if not entry.path.is_absolute() or ".." in entry.path.parts:
            raise InputError(f"'{entry.path}' cannot be a path of the guest: it is not absolute")
        if by_path.setdefault(entry.path, entry) != entry:
            raise InputError(
                f"two different files were given for '{entry.path}' of the guest",
                remedy="take the programs from packages or from this host, not a mix of both",
            )
    for path in tuple(by_path):
        for parent in path.parents:
            by_path.setdefault(parent, directory(parent))
    out = bytearray()
    for number, path in enumerate(sorted(by_path), start=1):
        _append(out, str(path.relative_to("/")), by_path[path], number)  # the root is "."
    _append(out, _TRAILER, CpioEntry(PurePosixPath("/"), 0), 0)
    out.extend(bytes(-len(out) % _BLOCK))
    return bytes(out)


def _append(out: bytearray, name: str, entry: CpioEntry, inode: int) -> None:
    encoded = name.encode() + b"\0"
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(encoded), 0)
    out.extend(_MAGIC.encode() + b"".join(b"%08X" % field for field in fields) + encoded)
    out.extend(bytes(-len(out) % _ALIGNMENT))
    out.extend(entry.data)
    out.extend(bytes(-len(out) % _ALIGNMENT))
