"""Reading in a results folder that somebody else may have made: no symbolic link there is followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def evidence_text(results: Path, run_id: str, name: str, *, limit_bytes: int, parent: str = "runs") -> str | None:
    """Return the beginning of a file that a run left behind; None where it is not there or is a link to elsewhere.

    :param results: the results folder.
    :param limit_bytes: no more than this is read.
    :param parent: folder of the results that has a folder for each.
    """
    runs = results / parent
    try:
        if runs.is_symlink() or (runs / run_id).is_symlink():
            return None
        handle = os.open(runs / run_id / name, _READ)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            return stream.read(limit_bytes).decode("utf-8", "replace")
    except (OSError, ValueError):  # ValueError: a name that no file can have, such as half a surrogate pair
        return None


def evidence_names(results: Path, run_id: str, *, limit: int) -> tuple[str, ...]:
    """Return the names of the files that a run left behind, sorted; links are left out.

    :param results: the results folder.
    :param limit: no more than this are returned.
    """
    runs = results / "runs"
    try:
        if runs.is_symlink() or (runs / run_id).is_symlink():
            return ()
        with os.scandir(runs / run_id) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except (OSError, ValueError):  # as above
        return ()
    return tuple(names[:limit])


def folder_names(parent: Path) -> tuple[str, ...]:
    """Return the names of the folders in a folder, sorted; links are left out, and nothing comes of a link."""
    try:
        if parent.is_symlink():
            return ()
        with os.scandir(parent) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False)))
    except OSError:  # it is not there
        return ()
