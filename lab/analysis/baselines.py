"""Named baselines: copies of the data of finished results, kept until their owner removes them.

A baseline is a results folder without its evidence, in the folder of what must be kept (``LAB_STATE``), so that the
results it came from may be moved or deleted. It is made complete beside its place and renamed, and never changed.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from lab.analysis.results import Results, read_results
from lab.errors import HostError, InputError
from lab.files import sync
from lab.settings import state_path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_FILES = ("experiment.toml", "host.json", "builds.json", "schedule.jsonl", "runs.jsonl")


def save_baseline(name: str, folder: Path) -> Path:
    """Keep a copy of a results folder's data under a name.

    :return: where it is kept.
    :raise InputError: the name is no name or is taken, or the folder is damaged or not finished.
    :raise HostError: it cannot be written.
    """
    target = _path_of(name)
    results = read_results(folder)
    if results.undone or not results.ok:
        raise InputError(
            f"{folder} is not finished: {results.undone} of {len(results.schedule)} runs were not made, "
            f"{len(results.ok)} ended well",
            remedy="run 'lab run' again to go on with it",
        )
    if target.exists():
        raise InputError(f"there is a baseline '{name}' already: {target}", remedy="choose another name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=target.parent) as scratch:
            part = Path(scratch) / name
            part.mkdir()
            for file in _FILES:
                _copy(folder / file, part / file)
            sync(part)
            part.rename(target)
        sync(target.parent)
    except OSError as err:
        raise HostError(
            f"the baseline '{name}' cannot be written: {err.strerror}", remedy="see that the disk is not full"
        ) from err
    return target


def baseline_names() -> tuple[str, ...]:
    """Return the names of all baselines, sorted.

    :raise HostError: nobody knows where they are.
    """
    root = state_path("baselines")
    return tuple(sorted(path.name for path in root.glob("*/") if _NAME.fullmatch(path.name)))


def read_baseline(name: str) -> Results:
    """Return a baseline.

    :raise InputError: there is none of that name, or it is damaged.
    """
    path = _path_of(name)
    if not path.is_dir():
        known = ", ".join(baseline_names()) or "none yet; 'lab baseline save NAME RESULTS' keeps one"
        raise InputError(f"there is no baseline '{name}'", remedy=f"baselines are: {known}")
    return read_results(path)


def _path_of(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"'{name}' cannot be the name of a baseline", remedy="use letters, digits, dots, dashes; at most 60"
        )
    return state_path("baselines", name)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    sync(target)
