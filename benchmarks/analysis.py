"""Prints how long analysis takes and how much memory it needs, over the number of runs: it must grow in step.

Writes made-up results folders (10 metrics per run, a trace of 60 seconds on request), then reads, judges and tabulates
each in a process of its own.

    python benchmarks/analysis.py [--runs 100000] [--trace 0]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab.analysis.compare import compare_results
from lab.analysis.results import read_results
from lab.record import (
    Arm,
    Cell,
    Outcome,
    Point,
    RunRecord,
    ScheduledRun,
    json_from_record,
    json_from_scheduled,
)
from lab.report.text import mail_text, terminal_text
from lab.units import METRICS

BLOCKS = 10
LIMIT_S, LIMIT_MIB = 20.0, 2048.0
EXPERIMENT = """title = "made up"
[judge]
metrics = ["iops"]
[experiment]
job = "made-up"
profile = "full"
"""


def write_folder(folder: Path, runs: int, trace: int) -> None:
    """Write a results folder of so many runs: as many points as it takes, ten blocks."""
    rng = random.Random(1)  # noqa: S311 - made-up numbers, the same ones each time
    names = list(METRICS)[:10]
    points = max(1, runs // (2 * BLOCKS))
    cells = [Cell(arm, Point.from_levels({"point": number})) for number in range(points) for arm in Arm]
    folder.mkdir()
    (folder / "experiment.toml").write_text(EXPERIMENT)
    (folder / "host.json").write_text(json.dumps({"fingerprint": "00", "accelerator": "tcg"}))
    (folder / "builds.json").write_text("{}")
    with (folder / "schedule.jsonl").open("w") as schedule, (folder / "runs.jsonl").open("w") as done:
        for block in range(1, BLOCKS + 1):
            for position, cell in enumerate(rng.sample(cells, len(cells)), start=1):
                run = ScheduledRun(block, position, cell, seed=position)
                values = {name: 1000.0 * (1 + index) * rng.gauss(1, 0.03) for index, name in enumerate(names)}
                readings = {"iops": tuple(rng.gauss(1000, 10) for _ in range(trace))} if trace else {}
                record = RunRecord(run, 1, Outcome.OK, "2026-01-01T00:00:00Z", 9.0, "00", "tcg", values, readings)
                schedule.write(json.dumps(json_from_scheduled(run)) + "\n")
                done.write(json.dumps(json_from_record(record)) + "\n")


def measure(folder: Path) -> dict[str, float]:
    """Return the seconds of each step, and the most memory that this process ever had."""
    start = time.monotonic()
    results = read_results(folder)
    loaded = time.monotonic()
    comparison = compare_results(results)
    judged = time.monotonic()
    text = terminal_text(comparison, (), folder) + mail_text(comparison)
    tabulated = time.monotonic()
    assert text
    return {
        "load": loaded - start,
        "compare": judged - loaded,
        "tabulate": tabulated - judged,
        "total": tabulated - start,
        "cpu": time.process_time(),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure and print; the exit status says whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000, help="the largest; a tenth and a third come before it")
    parser.add_argument("--trace", type=int, default=0, help="readings per run")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder is not None:
        print(json.dumps(measure(options.folder)))
        return
    print(f"10 metrics per run, {options.trace} readings, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"{'runs':>8}{'load':>8}{'compare':>9}{'tabulate':>10}{'total':>8}{'CPU':>8}{'us/run':>8}{'MiB':>7}")
    said: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="lab-benchmark-") as scratch:
        for runs in (options.runs // 10, options.runs // 3, options.runs):
            folder = Path(scratch) / str(runs)
            write_folder(folder, runs, options.trace)
            argv = (sys.executable, __file__, "--folder", str(folder))
            said = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
            steps = f"{said['load']:>8.2f}{said['compare']:>9.2f}{said['tabulate']:>10.2f}{said['total']:>8.2f}"
            steps += f"{said['cpu']:>8.2f}"
            print(f"{runs:>8}{steps}{1e6 * said['total'] / runs:>8.0f}{said['mib']:>7.0f}", flush=True)
    if said["total"] > LIMIT_S or said["mib"] > LIMIT_MIB:
        raise SystemExit(f"over the limit of {LIMIT_S:g} s and {LIMIT_MIB:g} MiB")


if __name__ == "__main__":
    main()
