"""A schedule to records."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab.experiment.runner import MAX_ATTEMPTS, pending_runs, run_schedule
from lab.experiment.schedule import cells_from_points, draw_schedule, points_from_factors
from lab.experiment.store import ResultsFolder
from lab.progress import SilentProgress
from lab.record import Outcome, RunRecord, ScheduledRun
from lab.testing import RecordingProgress

RUNS = draw_schedule(cells_from_points(points_from_factors({"iothreads": (1, 2)})), blocks=2, seed=1)


def record_of(run: ScheduledRun, attempt: int, outcome: Outcome = Outcome.OK) -> RunRecord:
    """An attempt with an outcome."""
    metrics = {"iops": 1.0} if outcome is Outcome.OK else {}
    return RunRecord(run, attempt, outcome, "2025-02-13T18:00:43Z", 1.0, "f00d", "tcg", metrics, reason="because")


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    """A begun experiment of eight runs."""
    with ResultsFolder(tmp_path / "r") as results:
        results.begin(experiment="", host={}, builds={}, schedule=RUNS)
    return results


def run(folder: ResultsFolder, realise: object) -> tuple[RunRecord, ...]:
    """Run what is pending, silently."""
    return run_schedule(folder, realise, expected_run_s=1, progress=SilentProgress())  # type: ignore[arg-type]


def test_runs_are_done_in_the_order_of_the_schedule(folder: ResultsFolder) -> None:
    """The order drawn before the first boot is the order of the boots."""
    order: list[str] = []

    def realise(scheduled: ScheduledRun, attempt: int, evidence: Path) -> RunRecord:
        order.append(scheduled.id)
        return record_of(scheduled, attempt)

    run(folder, realise)
    assert order == [scheduled.id for scheduled in RUNS]


def test_each_record_is_stored_before_the_next_run_begins(folder: ResultsFolder) -> None:
    """A run sees all earlier records on disk."""
    stored: list[int] = []

    def realise(scheduled: ScheduledRun, attempt: int, evidence: Path) -> RunRecord:
        stored.append(len(folder.records()))
        return record_of(scheduled, attempt)

    run(folder, realise)
    assert stored == list(range(len(RUNS)))


def test_an_interrupted_experiment_goes_on_where_it_stopped(folder: ResultsFolder) -> None:
    """Ctrl-C in the fourth run loses that run only; the next call does it and the rest."""
    seen: list[str] = []

    def interrupted(scheduled: ScheduledRun, attempt: int, evidence: Path) -> RunRecord:
        if len(folder.records()) == 3:
            raise KeyboardInterrupt
        return record_of(scheduled, attempt)

    with pytest.raises(KeyboardInterrupt):
        run(folder, interrupted)
    assert len(folder.records()) == 3

    def finishing(scheduled: ScheduledRun, attempt: int, evidence: Path) -> RunRecord:
        seen.append(scheduled.id)
        return record_of(scheduled, attempt)

    assert len(run(folder, finishing)) == len(RUNS)
    assert seen == [scheduled.id for scheduled in RUNS[3:]]


def test_a_finished_experiment_runs_nothing(folder: ResultsFolder) -> None:
    """A second call on a complete folder boots no guest."""
    for scheduled in RUNS:
        folder.append(record_of(scheduled, 1))
    assert len(run(folder, None)) == len(RUNS)


def test_a_hung_guest_is_tried_once_more_and_both_attempts_stay(folder: ResultsFolder) -> None:
    """The failed attempt is a record too, with its number."""
    hung = RUNS[1].id

    def realise(scheduled: ScheduledRun, attempt: int, evidence: Path) -> RunRecord:
        failed = scheduled.id == hung and attempt == 1
        return record_of(scheduled, attempt, Outcome.GUEST_HUNG if failed else Outcome.OK)

    records = run(folder, realise)
    assert [(r.attempt, r.outcome) for r in records if r.scheduled.id == hung] == [
        (1, Outcome.GUEST_HUNG),
        (2, Outcome.OK),
    ]


def test_a_run_that_keeps_failing_is_given_up(folder: ResultsFolder) -> None:
    """After the last attempt a run is no longer pending."""
    failed = [record_of(RUNS[0], n, Outcome.BOOT_FAILED) for n in range(1, MAX_ATTEMPTS + 1)]
    records = [record_of(RUNS[1], 1), *failed]
    assert [scheduled for scheduled, _ in pending_runs(RUNS, records)] == list(RUNS[2:])


@pytest.mark.parametrize("outcome", [Outcome.QEMU_CRASHED, Outcome.WORKLOAD_FAILED, Outcome.VOID])
def test_what_the_binary_did_wrong_is_not_tried_again(outcome: Outcome) -> None:
    """A crash is a result, and trying until it goes away would hide it."""
    records = [record_of(RUNS[0], 1, outcome), record_of(RUNS[1], 1)]
    assert [scheduled for scheduled, _ in pending_runs(RUNS, records)] == list(RUNS[2:])


def test_when_nothing_ever_works_the_rest_is_not_tried(folder: ResultsFolder) -> None:
    """Hours of the same failure help nobody; what to do next is said."""
    progress = RecordingProgress()
    records = run_schedule(
        folder,
        lambda scheduled, attempt, evidence: record_of(scheduled, attempt, Outcome.QEMU_CRASHED),
        expected_run_s=1,
        progress=progress,
    )
    assert len(records) == 4 < len(RUNS)
    assert "no run worked, and 4 were not tried" in progress.lines[-1] and "call again" in progress.lines[-1]


@pytest.mark.parametrize("outcome", [Outcome.QEMU_CRASHED, Outcome.VOID, Outcome.BOOT_FAILED])
def test_an_experiment_in_which_nothing_worked_is_done_again(folder: ResultsFolder, outcome: Outcome) -> None:
    """What made everything fail may have been mended; each failed attempt stays on record, and each block is whole."""
    for _ in range(2):
        run(folder, lambda scheduled, attempt, evidence: record_of(scheduled, attempt, outcome))
    failed = len(folder.records())
    assert {record.attempt for record in folder.records()} >= {1, 2}
    progress = RecordingProgress()
    records = run_schedule(
        folder,
        lambda scheduled, attempt, evidence: record_of(scheduled, attempt),
        expected_run_s=1,
        progress=progress,
    )
    assert [record.scheduled for record in records[failed:]] == list(RUNS)
    assert {record.outcome for record in records[failed:]} == {Outcome.OK}
    assert len({record.id for record in records}) == len(records)
    assert progress.lines[0].startswith(f"none of {failed} runs has worked so far: all are done again")
    assert pending_runs(folder.schedule(), folder.records()) == ()


def test_each_attempt_has_an_evidence_folder_of_its_own(folder: ResultsFolder) -> None:
    """The folder is named after the attempt and exists before the boot."""

    def realise(scheduled: ScheduledRun, attempt: int, evidence: Path) -> RunRecord:
        assert evidence.is_dir()
        assert evidence.name == f"{scheduled.id}-a{attempt}"
        return record_of(scheduled, attempt)

    run(folder, realise)


def test_a_line_says_what_a_run_is_about(folder: ResultsFolder) -> None:
    """Its IOPS; with a scenario the gap, or the time where it has none; a count of instructions."""
    scenario: list[dict[str, float]] = [{"service_gap_ms": 80.0, "scenario_ms": 9.0}, {"scenario_ms": 9.0}]
    metrics = iter([{"iops": 5.0}, *scenario, {"instructions_per_io": 13_193.5}])

    def realise(scheduled: ScheduledRun, attempt: int, evidence: Path) -> RunRecord:
        assert evidence.is_dir()
        return replace(record_of(scheduled, attempt), metrics=next(metrics, {"iops": 5.0}))

    progress = RecordingProgress()
    run_schedule(folder, realise, expected_run_s=1, progress=progress)
    assert [line.partition(": ")[2] for line in progress.lines[:4]] == [
        "5 IOPS, 1 s",
        "service gap 80 ms, 1 s",
        "time the scenario took 9 ms, 1 s",
        "instructions per I/O 13,194, 1 s",
    ]
