"""The build cache to a smaller one: by age, or the least recently used first until it fits.

Entries and work areas are both counted. Nothing is lost but time: what is asked for again is built again.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lab.build.area import WorkArea
from lab.build.entry import EntryInfo, list_entries, remove_entry, size_of
from lab.build.purpose import forget_purposes
from lab.errors import InputError
from lab.settings import cache_dir

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT])(i?)B?\s*$", re.IGNORECASE)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True)
class AreaInfo:
    """A work area: sources and objects that the next build of the same origin goes on from.

    :param used_at: seconds since the epoch when something was last built in it.
    """

    folder: Path
    size_bytes: int
    used_at: float


@dataclass(frozen=True)
class Pruned:
    """What was removed."""

    entries: tuple[EntryInfo, ...]
    areas: tuple[AreaInfo, ...]


def list_areas() -> tuple[AreaInfo, ...]:
    """Return every work area, the latest used first."""
    folders = (folder for folder in cache_dir("work").iterdir() if folder.is_dir())
    areas = (AreaInfo(folder, size_of(folder), _used_at(WorkArea(folder))) for folder in folders)
    return tuple(sorted(areas, key=lambda area: -area.used_at))


def prune_unused(unused_for_s: float, *, now: Callable[[], float] = time.time) -> Pruned:
    """Remove what was not used for so long, and damaged entries; a work area in use is left alone."""
    entries = [entry for entry in list_entries() if entry.build is None or now() - entry.used_at > unused_for_s]
    areas = [area for area in list_areas() if now() - area.used_at > unused_for_s]
    return _removed([*entries, *areas])


def prune_to(limit_bytes: int) -> Pruned:
    """Remove the least recently used, damaged entries first, until what is left has at most so many bytes.

    A work area in use is left alone, and the rest goes on to the next: more may stay than the limit.
    """
    found: list[EntryInfo | AreaInfo] = [*list_entries(), *list_areas()]
    found.sort(key=lambda one: 0.0 if isinstance(one, EntryInfo) and one.build is None else one.used_at)
    left_bytes = sum(one.size_bytes for one in found)
    removed: list[EntryInfo | AreaInfo] = []
    for one in found:
        if left_bytes <= limit_bytes:
            break
        if _remove(one):
            left_bytes -= one.size_bytes
            removed.append(one)
    return _as_pruned(removed)


def bytes_from_text(text: str) -> int:
    """Return the bytes that ``5GiB``, ``500 MiB`` or ``1.5G`` mean; a prefix alone is binary, ``GB`` is decimal.

    :raise InputError: not a size.
    """
    match = _SIZE.match(text)
    if match is None:
        raise InputError(f"'{text}' is not a size", remedy="write for example 5GiB or 500MiB")
    decimal = text.strip()[-1] in "bB" and not match.group(3)
    base: float = 1000 if decimal else 1024
    return int(float(match.group(1)) * base ** _POWERS[match.group(2).upper()])


def _removed(found: list[EntryInfo | AreaInfo]) -> Pruned:
    return _as_pruned([one for one in found if _remove(one)])


def _as_pruned(removed: list[EntryInfo | AreaInfo]) -> Pruned:
    forget_purposes(lambda key: (cache_dir("builds") / key).is_dir())
    return Pruned(
        tuple(one for one in removed if isinstance(one, EntryInfo)),
        tuple(one for one in removed if isinstance(one, AreaInfo)),
    )


def _remove(one: EntryInfo | AreaInfo) -> bool:
    return remove_entry(one.folder) if isinstance(one, EntryInfo) else _remove_area(WorkArea(one.folder))


def _remove_area(area: WorkArea) -> bool:
    """Remove a work area and tell whether it is gone; one that another process builds in stays."""
    lock = FileLock(area.lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    try:
        shutil.rmtree(area.folder, ignore_errors=True)
    except RecursionError:  # deeper than Python walks: it stays
        return False
    finally:
        lock.release()
    return True


def _used_at(area: WorkArea) -> float:
    return max(path.stat().st_mtime for path in (area.folder, area.log, area.lock_path) if path.exists())
