"""Folders for what is needed for a moment, such as sockets and logs of one machine, which outlive nobody.

A folder belongs to whoever has a lock on the file in it. The kernel lets go of the lock when its owner ends, however
that happens, so the next life can tell a folder that is in use from one that was left: that one's lock can be had.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_PREFIX = "lab-scratch-"
_LOCK = ".lock"
_UNLOCKED_S = 600.0
"""A folder without a lock file is being made, or its maker was killed between two system calls."""


@contextmanager
def scratch_folder(root: Path | None = None) -> Iterator[Path]:
    """Make a folder whose path is short enough for a Unix socket; it is removed at the end of the block.

    The first of a process also removes those of lives that ended without doing so. There is a hidden file in it.

    :param root: where to make it; by default where temporary files are made.
    """
    _swept(root or Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    lock = os.open(folder / ".new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / ".new").rename(folder / _LOCK)  # only now can anybody else find it, and it is ours
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@cache
def _swept(root: Path) -> None:
    remove_left_folders(root)


def remove_left_folders(root: Path) -> int:
    """Remove the folders of lives that ended without doing so, and say how many."""
    removed = 0
    for folder in root.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another start removes it at the same time, or it is somebody else's
            if folder.stat().st_uid == os.getuid() and _is_left(folder):
                shutil.rmtree(folder)
                removed += 1
    return removed


def _is_left(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _UNLOCKED_S
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
