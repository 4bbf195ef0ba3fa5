"""Where a verb may write: told before it has worked for minutes, and never where somebody else's files are."""

from __future__ import annotations

import os
import stat
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from lab.cli.types import PATH
from lab.errors import HostError, InputError
from lab.files import part_of
from lab.settings import cache_dir

_LONGEST_NAME = 255
"""Bytes of a file's name (limits.h, NAME_MAX)."""

evidence_option = click.option(
    "--evidence", type=PATH, metavar="FOLDER", help="New folder for the evidence. [in the lab's cache]"
)


def evidence_folder(asked: Path | None, kind: str) -> Path:
    """Return a folder for evidence: the one that was named, made if need be, or one of the cache that is not there yet.

    Evidence of a case replaces what an earlier attempt left, so a folder with anything in it is refused.

    :param kind: folder of the cache, where none is named.
    :raise InputError: the one that was named is not empty, or cannot be made.
    :raise HostError: the cache cannot be made.
    """
    if asked is None:
        return cache_dir(kind) / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    try:
        asked.mkdir(parents=True, exist_ok=True)
        taken = any(asked.iterdir())
    except OSError as err:
        raise InputError(f"{asked} cannot be a folder for evidence: {err.strerror}") from err
    if taken:
        raise InputError(f"{asked} is not empty", remedy="name a new folder for the evidence")
    return asked.absolute()


def require_place(path: Path | None, ending: str) -> None:
    """Tell now whether a file can be written later.

    :param path: None where none is asked for.
    :param ending: that its name must have.
    :raise InputError: it has another one, its name is too long, or there is something that is no file.
    :raise HostError: nothing can be written there, or it is somebody else's.
    """
    if path is None:
        return
    if path.suffix != ending:
        more = "; the SVG file is put beside it in any case" if ending == ".png" else ""
        raise InputError(f"{path} does not end in {ending}", remedy=f"name a file that does{more}")
    for file in (path, path.with_suffix(".svg")) if ending == ".png" else (path,):
        _require_replaceable(file)
    remedy = "give a folder that is there and is yours"
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as err:
        raise HostError(f"{path} cannot be written: {err.strerror}", remedy=remedy) from err


def _require_replaceable(path: Path) -> None:
    """Make sure that what bears a name now, if anything does, is a file that may be replaced."""
    if len(os.fsencode(part_of(path).name)) > _LONGEST_NAME:
        raise InputError(f"{path} cannot be written: its name is too long", remedy="give a shorter one")
    if path.is_dir():
        raise InputError(f"{path} is a folder", remedy="name a file")
    if path.exists() and not path.is_file():  # a pipe or a device: it would be gone
        raise InputError(f"{path} is no regular file", remedy="name a file, or one that is not there yet")
    if path.is_symlink() or path.exists():
        folder, file = path.parent.stat(), path.lstat()
        if folder.st_mode & stat.S_ISVTX and os.geteuid() not in (0, folder.st_uid, file.st_uid):
            raise HostError(f"{path} cannot be written: it is somebody else's", remedy="name another file")
