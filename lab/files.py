"""Reading files that others wrote, which never hangs, and writing files that outlive a power cut, whole or not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lab.errors import InputError

MIB = 1 << 20
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read_input(path: Path, *, limit_bytes: int) -> bytes:
    """Return the content of a regular file.

    A pipe would be waited for and a device read without end, so both are refused; symbolic links are followed.

    :param limit_bytes: a larger file is refused instead of filling the memory.
    :raise InputError: it cannot be read, is no regular file, or is too large.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as err:
        remedy = "check the name; a relative one starts at the current folder"
        raise InputError(f"{path} cannot be read: {_why(err)}", remedy=remedy) from err
    except (OSError, ValueError) as err:  # ValueError: the name holds a NUL
        raise InputError(f"{path} cannot be read: {_why(err)}") from err
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path} cannot be read: it is not a regular file")
    with os.fdopen(handle, "rb") as stream:
        try:
            content = stream.read(limit_bytes + 1)
        except OSError as err:
            raise InputError(f"{path} cannot be read: {_why(err)}") from err
    if len(content) > limit_bytes:
        raise InputError(f"{path} cannot be read: it is larger than {limit_bytes / MIB:g} MiB")
    return content


def read_text_input(path: Path, *, limit_bytes: int) -> str:
    """Return the content of a regular file that is UTF-8, its line ends as they are.

    :raise InputError: as for :func:`read_input`, or it is not UTF-8.
    """
    try:
        return read_input(path, limit_bytes=limit_bytes).decode("utf-8")
    except UnicodeDecodeError as err:
        raise InputError(f"{path} cannot be read: it is not UTF-8 (byte {err.start})") from err


def part_of(path: Path) -> Path:
    """Return where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.part")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file by another one in a single step, on the disk before this returns.

    A symbolic link of its name, or of that of the part that is written first, is replaced and never followed.

    :raise OSError: it cannot be written.
    """
    part = part_of(path)
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, _CREATE, 0o666), "wb") as sink:
        sink.write(content.encode() if isinstance(content, str) else content)
        sink.flush()
        os.fsync(sink.fileno())
    part.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    :raise OSError: it is not there, or the disk fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why(err: OSError | ValueError) -> str:
    return (err.strerror if isinstance(err, OSError) else None) or str(err)
