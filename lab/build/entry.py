"""Entries of the build cache: found and verified, stored at once or not at all, listed and pruned.

An entry is a folder named after its key. ``build.json`` has the digest of every other file, so a damaged entry is
noticed wherever it is damaged. An entry appears by one rename, when everything in it is on disk: a killed build
leaves only a folder whose name begins with ``.new-``, which the next store sweeps away.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lab.build.build import Build
from lab.build.purpose import Purpose, purposes_of
from lab.errors import InputError
from lab.files import sync
from lab.settings import cache_dir

_DESCRIPTION = "build.json"
_UNFINISHED = ".new-"
_STALE_S = 6 * 3600.0


@dataclass(frozen=True)
class EntryInfo:
    """One line of ``lab build --list``.

    :param build: None where the entry is damaged.
    :param purposes: what it was asked for, the latest first.
    :param used_at: seconds since the epoch when it was last built or found.
    """

    folder: Path
    build: Build | None
    size_bytes: int
    used_at: float
    purposes: tuple[Purpose, ...] = ()


def find_entry(key: str) -> Build | None:
    """Return the build of a key, every file of it verified, or None; a damaged entry is removed."""
    folder = cache_dir("builds") / key
    if not folder.is_dir():
        return None
    try:
        build = _verified(folder)
    except InputError:
        remove_entry(folder)
        return None
    os.utime(folder)  # when it was last used, for --prune
    return replace(build, cached=True)


def _verified(folder: Path) -> Build:
    """Return the build of an entry.

    :raise InputError: a file is missing or not what was stored.
    """
    try:
        value = json.loads((folder / _DESCRIPTION).read_text())
        digests = dict(value["files"])
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise InputError(f"{folder / _DESCRIPTION} cannot be read: {err}") from err
    try:
        found = digests_of(folder)
    except RecursionError as err:  # a thousand folders in one another: the lab stored none
        raise InputError(f"the files in {folder} are nested too deep") from err
    if digests != found:
        raise InputError(f"the files in {folder} are not those that were stored")
    return replace(Build.from_json(value), folder=folder)


def digests_of(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file of an entry but its description, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != _DESCRIPTION:
            with path.open("rb") as stream:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


@contextmanager
def new_entry(key: str) -> Iterator[tuple[Path, Callable[[Build], Build]]]:
    """Give a folder to fill and a function that makes an entry of it; without that call nothing stays.

    Where another process stored the same key meanwhile, its entry is kept: equal keys are equal builds.
    """
    root = cache_dir("builds")
    _sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=root))

    def store(build: Build) -> Build:
        target = root / key
        value = {**build.to_json(), "folder": str(target), "files": digests_of(folder)}
        (folder / _DESCRIPTION).write_text(json.dumps(value, indent=2) + "\n")
        folder.chmod(0o755)
        for path in folder.rglob("*"):
            sync(path)
        with suppress(OSError):  # not empty: it is there already
            folder.rename(target)
        sync(root)
        return replace(build, folder=target)

    try:
        yield folder, store
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove what killed builds left; a fresh one may be another process's."""
    for folder in root.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _STALE_S:
                shutil.rmtree(folder, ignore_errors=True)


def list_entries() -> tuple[EntryInfo, ...]:
    """Return every entry, the latest used first."""
    entries = []
    for folder in cache_dir("builds").iterdir():
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        try:
            build = replace(
                Build.from_json(json.loads((folder / _DESCRIPTION).read_text())), folder=folder, cached=True
            )
        except (InputError, OSError, ValueError):
            build = None
        used_at = folder.stat().st_mtime
        entries.append(EntryInfo(folder, build, size_of(folder), used_at, purposes_of(folder.name)))
    return tuple(sorted(entries, key=lambda entry: -entry.used_at))


def size_of(folder: Path) -> int:
    """Return how many bytes the files below a folder have; what is nested too deep is not counted."""
    size = 0
    with suppress(RecursionError):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                size += path.lstat().st_size
    return size


def remove_entry(folder: Path) -> bool:
    """Remove a folder and tell whether it is gone; one that is nested deeper than Python walks stays."""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
