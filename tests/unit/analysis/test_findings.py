"""Failures that speak against the candidate."""

import pytest

from lab.analysis.findings import findings
from lab.record import Arm, Cell, Outcome, Point, RunRecord, ScheduledRun


def record(arm: Arm, outcome: Outcome, *, block: int = 1, iothreads: int = 1, attempt: int = 1) -> RunRecord:
    """One attempt at a run."""
    run = ScheduledRun(block, 1, Cell(arm, Point.from_levels({"iothreads": iothreads})), 1)
    metrics = {"iops": 1.0} if outcome is Outcome.OK else {}
    reason = "" if outcome is Outcome.OK else "QEMU ended by itself with signal SIGABRT:\nassertion failed"
    return RunRecord(run, attempt, outcome, "2025-02-13T18:00:43Z", 1.0, "f00d", "tcg", metrics, reason=reason)


def both(baseline: Outcome, candidate: Outcome, *, blocks: int = 3) -> list[RunRecord]:
    """The same outcome of each arm in every block."""
    return [
        record(arm, outcome, block=block)
        for block in range(1, blocks + 1)
        for arm, outcome in ((Arm.BASELINE, baseline), (Arm.CANDIDATE, candidate))
    ]


def test_an_experiment_without_failures_has_no_findings() -> None:
    """Whatever its numbers say, and with no records at all."""
    assert findings(both(Outcome.OK, Outcome.OK)) == ()
    assert findings(()) == ()


def test_a_single_crash_of_the_candidate_is_a_finding() -> None:
    """Nobody expects one; the first one is named with its reason, on one line."""
    records = [*both(Outcome.OK, Outcome.OK), record(Arm.CANDIDATE, Outcome.QEMU_CRASHED, block=4)]
    (found,) = findings(records)
    assert "crashed in 1 of 4 runs, the baseline's in none of 3" in found
    assert "b04-p01-candidate.iothreads=1-a1: QEMU ended by itself with signal SIGABRT" in found
    assert "\n" not in found


def test_a_crash_that_the_baseline_has_too_is_no_finding() -> None:
    """The series did not bring it."""
    assert findings(both(Outcome.QEMU_CRASHED, Outcome.QEMU_CRASHED)) == ()


@pytest.mark.parametrize("outcome", [Outcome.BOOT_FAILED, Outcome.GUEST_HUNG, Outcome.WORKLOAD_FAILED, Outcome.VOID])
def test_a_candidate_that_never_works_where_the_baseline_always_does_is_a_finding(outcome: Outcome) -> None:
    """The point and the outcomes are named."""
    (found,) = findings(both(Outcome.OK, outcome))
    assert found == (f"at iothreads=1 the candidate failed in all 3 attempts ({outcome} 3), the baseline in none")


@pytest.mark.parametrize(
    "records",
    [
        both(Outcome.OK, Outcome.GUEST_HUNG, blocks=1),
        both(Outcome.GUEST_HUNG, Outcome.GUEST_HUNG),
        both(Outcome.OK, Outcome.INFRASTRUCTURE),
        [*both(Outcome.OK, Outcome.GUEST_HUNG), record(Arm.CANDIDATE, Outcome.OK, attempt=2)],
        [record(Arm.CANDIDATE, Outcome.GUEST_HUNG, block=n) for n in range(1, 4)],
        both(Outcome.OK, Outcome.VOID, blocks=2),
    ],
    ids=["once", "both", "host", "sometimes", "no-baseline", "void-by-chance"],
)
def test_failures_that_may_be_chance_or_the_host_s_are_no_findings(records: list[RunRecord]) -> None:
    """They are counted in the report, and missing data is never a regression."""
    assert findings(records) == ()


def test_a_single_scenario_that_the_candidate_does_not_take_is_a_finding() -> None:
    """As of a crash; where the baseline does not take it either, the series did not bring it."""
    (found,) = findings([*both(Outcome.OK, Outcome.OK), record(Arm.CANDIDATE, Outcome.SCENARIO_FAILED, block=4)])
    assert "the candidate's QEMU did not take the scenario in 1 of 4 runs, the baseline's in none of 3" in found
    assert findings(both(Outcome.SCENARIO_FAILED, Outcome.SCENARIO_FAILED)) == ()
    assert len(findings(both(Outcome.OK, Outcome.SCENARIO_FAILED))) == 1
