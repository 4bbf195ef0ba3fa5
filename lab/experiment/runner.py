"""A schedule to records: each run a fresh boot, stored before the next one begins, resumable at any point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.experiment.evidence import seal
from lab.experiment.store import EVIDENCE, ResultsFolder
from lab.progress import Progress, headline
from lab.record import Outcome, RunRecord, ScheduledRun
from lab.units import COUNTED, METRICS, text_from_quantity, text_from_seconds

MAX_ATTEMPTS = 2
"""A guest under oversubscribed TCG hangs now and then (rcu stalls seen); each attempt stays on record."""
_TRY_AGAIN = frozenset({Outcome.BOOT_FAILED, Outcome.GUEST_HUNG, Outcome.INFRASTRUCTURE})
_GIVE_UP_AFTER = 4

Realise = Callable[[ScheduledRun, int, Path], RunRecord]


def pending_runs(
    schedule: Sequence[ScheduledRun], records: Sequence[RunRecord]
) -> tuple[tuple[ScheduledRun, int], ...]:
    """Return the runs that are still to be done, in order, each with the number of its next attempt.

    Where no run ever worked nothing was measured: whoever calls again has mended something, and all of them are to do.
    """
    return _pending(schedule, records, records[len(records) if nothing_worked(records) else 0 :])


def nothing_worked(records: Sequence[RunRecord]) -> bool:
    """Tell whether runs were made and each of them failed."""
    return bool(records) and all(record.outcome is not Outcome.OK for record in records)


def run_schedule(
    folder: ResultsFolder, realise: Realise, *, expected_run_s: float, progress: Progress
) -> tuple[RunRecord, ...]:
    """Do all pending runs of a results folder.

    Stops early only when each of the first runs failed and none ever worked: then nothing here works, and hours of the
    same failure help nobody. Called again, it begins with the first once more: by then the host may have been mended.

    :param expected_run_s: duration of one run for the first estimate; measured durations replace it.
    :return: every record of the folder.
    """
    schedule = folder.schedule()
    records = list(folder.records())
    before = len(records) if nothing_worked(records) else 0
    if before:
        progress.say(f"none of {before} runs has worked so far: all are done again, and the failed ones stay on record")
    with progress.stage(f"running {len(schedule)} runs", len(schedule)) as stage:
        while pending := _pending(schedule, records, records[before:]):
            run, attempt = pending[0]
            done = len(schedule) - len(pending)
            if done >= _GIVE_UP_AFTER and nothing_worked(records):
                break
            seconds = _mean_duration(records, expected_run_s)
            stage.update(done, len(schedule), f"block {run.block}, {run.cell.id}", seconds * len(pending))
            evidence = folder.evidence_dir(f"{run.id}-a{attempt}")
            record = realise(run, attempt, evidence)
            seal(evidence)
            folder.append(record)
            records.append(record)
            progress.say(_line(record, done + 1, len(schedule)))
    if nothing_worked(records):
        progress.say(
            f"no run worked, and {len(pending)} were not tried: see {folder.path / EVIDENCE}, mend what is wrong, and "
            "call again: then all of them are done again"
        )
    return tuple(records)


def _pending(
    schedule: Sequence[ScheduledRun], records: Sequence[RunRecord], counted: Sequence[RunRecord]
) -> tuple[tuple[ScheduledRun, int], ...]:
    """Return what :func:`pending_runs` does.

    :param counted: those of the records that say which runs are done; the others only have numbers of attempts.
    """
    numbers = Counter(record.scheduled.id for record in records)
    tries: dict[str, list[Outcome]] = {}
    for record in counted:
        tries.setdefault(record.scheduled.id, []).append(record.outcome)
    return tuple((run, numbers[run.id] + 1) for run in schedule if _to_do(tries.get(run.id, ())))


def _to_do(outcomes: Sequence[Outcome]) -> bool:
    return not outcomes or (outcomes[-1] in _TRY_AGAIN and len(outcomes) < MAX_ATTEMPTS)


def _mean_duration(records: Sequence[RunRecord], expected_s: float) -> float:
    recent = [record.duration_s for record in records[-20:]]
    return sum(recent) / len(recent) if recent else expected_s


def _line(record: RunRecord, number: int, total: int) -> str:
    head = f"[{number}/{total}] {record.id}"
    if record.outcome is not Outcome.OK:
        return f"{head}: {record.outcome}: {headline(record.reason)}"
    return f"{head}: {_told(record)}, {text_from_seconds(record.duration_s)}"


def _told(record: RunRecord) -> str:
    """Return what a run is about: its IOPS, or what a scenario cost."""
    name = next(name for name in ("iops", "service_gap_ms", "scenario_ms", COUNTED) if name in record.metrics)
    metric = METRICS[name]
    quantity = text_from_quantity(record.metrics[name], metric.unit)
    return f"{quantity} IOPS" if name == "iops" else f"{metric.title} {quantity}"
