"""Makes results folders with synthetic numbers for the tests of analysis and report: every number here is invented."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lab.record import (
    Arm,
    Cell,
    Level,
    Outcome,
    Point,
    RunRecord,
    ScheduledRun,
    json_from_record,
    json_from_scheduled,
)

HOST = {
    "fingerprint": "00112233aabbccdd",
    "cpu_model": "Imaginary CPU 9000",
    "cpus": [0, 1],
    "usable_cpus": 2.0,
    "memory_mib": 8192,
    "distribution": "Debian GNU/Linux 12 (bookworm)",
    "kernel_release": "6.1.0-99-amd64",
    "governors": [],
    "accelerator": "tcg",
    "accelerator_reason": "/dev/kvm does not exist",
}
BUILD = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "tree_id": "1111111111111111111111111111111111111111",
    "configure_options": ["--target-list=x86_64-softmmu", "--without-default-features"],
    "compiler": "gcc 12.2.0",
    "binary_sha256": "a" * 64,
}
BUILDS = {
    "baseline": BUILD,
    "candidate": BUILD | {"commit": "fedcba9876543210fedcba9876543210fedcba98", "binary_sha256": "b" * 64},
    "series": {"title": "demo: busy loop in the request path", "patches": [{"subject": "virtio-scsi: waste time"}]},
}
EXPERIMENT = """\
title = "virtio-scsi: IOPS over the number of IOThreads"
question = "Does the series change how IOPS grow with the number of IOThreads?"
fio = "fio/randread-4k.fio"

[factors]
iothreads = [1, 2, 4]

[judge]
metrics = ["iops"]
smallest_effect = 0.02
alpha = 0.05

[reference]
table = "virtio-scsi-multiqueue-2025"
factor = "iothreads"

[experiment]
id = "demo"
job = "virtio-scsi-iothreads"
profile = "quick"
seed = 7
series = "my series.mbox"
known_verdict = ""
command = "lab bench --series 'my series.mbox'"
"""


@dataclass(frozen=True)
class Campaign:
    """What to invent.

    :param level: IOPS of the baseline at a point.
    :param effect: candidate over baseline at a point.
    :param noise: standard deviation of the logarithm of a run.
    :param fails: outcome of an attempt, None for ok.
    """

    factors: Mapping[str, Sequence[Level]] = field(default_factory=lambda: {"iothreads": (1, 2, 4)})
    blocks: int = 6
    level: Callable[[Point], float] = lambda point: 10_000.0 / (1 + 0.2 * point.levels[0][1])  # type: ignore[operator]
    effect: Callable[[Point], float] = lambda point: 1.0
    noise: float = 0.02
    drift: float = 0.0
    fails: Callable[[ScheduledRun], Outcome | None] = lambda run: None
    seed: int = 1
    accelerator: str = "tcg"

    def schedule(self) -> tuple[ScheduledRun, ...]:
        """Return complete blocks in random order."""
        points = [
            Point.from_levels(dict(zip(self.factors, levels, strict=True)))
            for levels in itertools.product(*self.factors.values())
        ]
        cells = [Cell(arm, point) for point in points for arm in Arm]
        order = random.Random(self.seed)
        runs = []
        for block in range(1, self.blocks + 1):
            shuffled = order.sample(cells, len(cells))
            runs += [ScheduledRun(block, place, cell, place) for place, cell in enumerate(shuffled, start=1)]
        return tuple(runs)

    def records(self) -> tuple[RunRecord, ...]:
        """Return one attempt per scheduled run."""
        rng = np.random.default_rng(self.seed)
        schedule = self.schedule()
        return tuple(self._record(run, place / len(schedule), rng) for place, run in enumerate(schedule))

    def _record(self, run: ScheduledRun, progress: float, rng: np.random.Generator) -> RunRecord:
        outcome = self.fails(run)
        point = run.cell.point
        effect = self.effect(point) if run.cell.arm is Arm.CANDIDATE else 1.0
        iops = self.level(point) * effect * float(np.exp(rng.normal(0, self.noise) + self.drift * progress))
        trace = tuple(float(x) for x in np.round(iops * np.exp(rng.normal(0, 0.01, 10)), 1))
        metrics = {
            "iops": round(iops, 3),
            "clat_p50_ns": round(64e9 / iops),
            "clat_p99_ns": round(2.5 * 64e9 / iops * float(np.exp(rng.normal(0, 0.05)))),
            "cpu_ns_per_io": round(2e9 / iops),
        }
        iothreads = dict(point.levels).get("iothreads", 1)
        return RunRecord(
            scheduled=run,
            attempt=1,
            outcome=outcome or Outcome.OK,
            started_at="2026-01-02T03:04:05+00:00",
            duration_s=12.5,
            host=str(HOST["fingerprint"]),
            accelerator=self.accelerator,
            metrics={} if outcome else metrics,
            traces={} if outcome else {"iops": trace},
            reason="the guest did not come up" if outcome else "",
            facts={"vcpus": 4, "iothreads": iothreads},
        )


def write_campaign(
    folder: Path,
    campaign: Campaign,
    *,
    experiment: str = EXPERIMENT,
    records: Sequence[RunRecord] | None = None,
    builds: Mapping[str, object] = BUILDS,
    host: Mapping[str, object] = HOST,
) -> Path:
    """Write a results folder as the lab's store does and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = campaign.records() if records is None else records
    (folder / "experiment.toml").write_text(experiment)
    (folder / "host.json").write_text(json.dumps(host))
    (folder / "builds.json").write_text(json.dumps(builds))
    write_lines(folder / "schedule.jsonl", [json_from_scheduled(run) for run in campaign.schedule()])
    write_lines(folder / "runs.jsonl", [json_from_record(record) for record in made])
    for record in made:
        evidence = folder / "runs" / record.id
        evidence.mkdir(parents=True)
        (evidence / "command-line.txt").write_text('qemu-system-x86_64 -nodefaults -device \'{"driver": "x"}\'\n')
    return folder


def write_lines(path: Path, values: Sequence[object]) -> None:
    """Write one JSON value per line."""
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values))
