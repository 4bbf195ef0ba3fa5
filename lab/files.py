"""Reading files that others wrote: a path in, bytes or an :class:`InputError` out, never a hang."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lab.errors import InputError

MIB = 1 << 20


def read_input(path: Path, *, limit_bytes: int) -> bytes:
    """Return the content of a regular file.

    A pipe would be waited for and a device read without end, so both are refused; symbolic links are followed.

    :param limit_bytes: a larger file is refused instead of filling the memory.
    :raise InputError: it cannot be read, is no regular file, or is too large.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
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


def _why(err: OSError | ValueError) -> str:
    return (err.strerror if isinstance(err, OSError) else None) or str(err)
