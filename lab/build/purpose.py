"""What a build was made for, remembered beside its entry: one build serves as many arms as have its tree.

The entry itself never changes once it is stored, so this is a file of its own, ``builds/.purposes/KEY.json``. It is for
people (``lab build --list``): one that is lost or damaged costs nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from lab.settings import cache_dir

_FOLDER = ".purposes"
_MOST = 8
"""Remembered for one build, the latest; a baseline serves every series of its base."""


class Role(StrEnum):
    """What a build is in the comparison it was made for."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"
    CONTROL = "control"
    PATCH = "patch"


@dataclass(frozen=True)
class Purpose:
    """What a build was asked for.

    :param series: title of the series; empty for a base.
    :param patch: the last patch of the series that is in it; 0 for a base.
    """

    role: Role
    series: str = ""
    patch: int = 0

    @property
    def text(self) -> str:
        """For people: ``patch 3 of 'virtio-scsi: ...'``."""
        what = f"patch {self.patch}" if self.role is Role.PATCH and self.patch else str(self.role)
        return f"{what} of '{self.series}'" if self.series else what


def remember_purpose(key: str, purpose: Purpose) -> None:
    """Note what a build was asked for, as the latest. A disk that cannot be written to is no reason to fail."""
    path = _path(key)
    known = [purpose, *(other for other in purposes_of(key) if other != purpose)][:_MOST]
    if known == list(purposes_of(key)):
        return
    text = json.dumps([asdict(one) for one in known]) + "\n"
    try:
        handle, part = tempfile.mkstemp(prefix=f"{key}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as sink:
            sink.write(text)
        Path(part).replace(path)
    except OSError:
        return


def purposes_of(key: str) -> tuple[Purpose, ...]:
    """Return what a build was asked for, the latest first; nothing where nobody knows."""
    try:
        values = json.loads(_path(key).read_text(encoding="utf-8"))
        return tuple(Purpose(Role(one["role"]), str(one["series"]), int(one["patch"])) for one in values)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()


def forget_purposes(kept: Callable[[str], bool], *, now: Callable[[], float] = time.time) -> None:
    """Remove what is remembered of builds that are gone; what is younger than an hour may be of one under way.

    :param kept: tells whether there is a build of a key.
    """
    for path in _path("").parent.iterdir():
        if not kept(path.name.partition(".")[0]) and now() - path.stat().st_mtime > 3600:
            path.unlink(missing_ok=True)


def _path(key: str) -> Path:
    return cache_dir("builds", _FOLDER) / f"{key}.json"
