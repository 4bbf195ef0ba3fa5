"""What changes about a host from call to call: packages, the cache and its disk, QEMU processes of the lab."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.host.distribution import Distribution, read_distribution
from lab.host.packages import missing_optional_packages, missing_packages
from lab.host.requirements import Requirement
from lab.settings import cache_dir

_MIB = 1 << 20


@dataclass(frozen=True)
class CacheUse:
    """The cache folder, what it holds, and what is free on its disk."""

    path: Path
    used_mib: int
    free_mib: int


@dataclass(frozen=True)
class LabProcess:
    """A running QEMU that was built by a lab with this cache."""

    pid: int
    age_s: float


@dataclass(frozen=True)
class Surroundings:
    """Everything the doctor looks at beside the facts of the host.

    :param missing: what the lab needs and the host lacks.
    :param missing_optional: what single verbs need and the host lacks.
    """

    missing: tuple[Requirement, ...]
    distribution: Distribution
    is_root: bool
    cache: CacheUse
    processes: tuple[LabProcess, ...]
    missing_optional: tuple[Requirement, ...] = ()


def read_surroundings() -> Surroundings:
    """Look around."""
    cache = cache_dir()
    return Surroundings(
        missing=missing_packages(),
        distribution=read_distribution(),
        is_root=os.geteuid() == 0,
        cache=CacheUse(cache, used_mib(cache), shutil.disk_usage(cache).free // _MIB),
        processes=tuple(lab_processes(cache)),
        missing_optional=missing_optional_packages(),
    )


def used_mib(folder: Path) -> int:
    """Return the disk space below a folder; what vanishes while we look, or is nested too deep, counts as nothing."""
    blocks = 0
    with suppress(RecursionError):  # os.walk's for a thousand folders in one another
        for place, _folders, names in os.walk(folder):
            for name in names:
                with suppress(OSError):
                    blocks += (Path(place) / name).lstat().st_blocks
    return blocks * 512 // _MIB


def lab_processes(cache: Path, *, now_s: Callable[[], float] = time.time) -> Iterator[LabProcess]:
    """Yield the processes whose program lies in the cache: the QEMU of a run, live or left behind."""
    for process in psutil.process_iter():
        try:
            if Path(process.exe()).is_relative_to(cache):
                yield LabProcess(process.pid, max(0.0, now_s() - process.create_time()))
        except (psutil.Error, OSError):  # it ended meanwhile, or is not ours to look at
            continue
