"""Prints what building costs: from nothing, with a series on top, and from the cache, side by side with ratios.

Builds in a cache of its own, so that nothing is found in the user's, and removes it. A cold build takes minutes:

    python benchmarks/build.py [TARBALL-OR-TREE]

Without an argument the distribution's source package is built (fetched with the user's cache).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lab.build.arms import build_arms
from lab.build.builder import Builder
from lab.build.distribution import source_from_distribution
from lab.build.source import SourceTree, source_from_path
from lab.progress import SilentProgress, TerminalProgress
from lab.series.apply import apply_series
from lab.series.read import read_series
from lab.settings import project_dir

T = TypeVar("T")
QUIET = SilentProgress()


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """Return how many seconds an action took, and what it returned."""
    start = time.monotonic()
    result = action()
    return time.monotonic() - start, result


def measure(source: SourceTree, cache: Path) -> list[tuple[str, float, str]]:
    """Return the rows of the table: what, seconds, remark."""
    os.environ["LAB_CACHE"] = str(cache)
    series = read_series(project_dir() / "jobs" / "series" / "virtio-scsi-busy-wait")
    apply_s, application = timed(lambda: apply_series(source.repository, source.commit, series))
    builder = Builder.open(source, TerminalProgress())
    cold_s, baseline = timed(lambda: builder.build(source.commit, title="baseline"))
    candidate_s, candidate = timed(lambda: builder.build(application.commit, title="candidate"))
    hit_s, arms = timed(lambda: build_arms(source, series, progress=QUIET))
    assert arms.baseline.cached and arms.candidate.cached
    shutil.rmtree(cache / "builds")
    nothing_s, _ = timed(lambda: builder.build(application.commit, title="candidate again, nothing to do"))
    return [
        ("cold build of the baseline", cold_s, f"{baseline.steps} steps"),
        ("candidate on its objects", candidate_s, f"{candidate.steps} steps, {len(series.files)} files"),
        ("entry lost, objects there", nothing_s, "0 steps: copy, digest, fsync"),
        ("both arms from the cache", hit_s, "every byte verified"),
        ("applying the series alone", apply_s, f"{len(series.patches)} patches"),
    ]


def main() -> None:
    """Measure and print."""
    progress = TerminalProgress()
    if len(sys.argv) > 1:
        import_s, source = timed(lambda: source_from_path(Path(sys.argv[1]), None, progress=progress))
    else:
        import_s, source = timed(lambda: source_from_distribution(progress=progress))
    with tempfile.TemporaryDirectory(prefix="lab-benchmark-", ignore_cleanup_errors=True) as folder:
        rows = [("source to git tree, or found there", import_s, source.origin), *measure(source, Path(folder))]
    cold_s = rows[1][1]
    print(f"QEMU {source.version}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"{'':<36}{'seconds':>9}{'of cold':>9}")
    for what, seconds, remark in rows:
        print(f"{what:<36}{seconds:>9.2f}{seconds / cold_s:>9.3f}  {remark}")


if __name__ == "__main__":
    main()
