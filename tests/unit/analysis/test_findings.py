"""Failures that speak against the candidate."""

from collections.abc import Sequence

import pytest

from lab.analysis.findings import count_failures, failures_of, mends, p_of_failures
from lab.record import Arm, Cell, Outcome, Point, RunRecord, ScheduledRun


def findings(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return what speaks against the candidate."""
    return failures_of(records, 0.05).findings


def doubts(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return what may."""
    return failures_of(records, 0.05).doubts


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
    assert "crashed in 1 of 4 attempts, the baseline's in none of 3" in found
    assert "b04-p01-candidate.iothreads=1-a1: QEMU ended by itself with signal SIGABRT" in found
    assert found.endswith("; if both failed alike, chance alone does so in 57 % of cases")
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
    assert "the candidate's QEMU did not take the scenario in 1 of 4 attempts, the baseline's in none of 3" in found
    assert findings(both(Outcome.SCENARIO_FAILED, Outcome.SCENARIO_FAILED)) == ()
    assert len(findings(both(Outcome.OK, Outcome.SCENARIO_FAILED))) == 1


@pytest.mark.parametrize(
    ("outcome", "verb"), [(Outcome.SCENARIO_FAILED, "did not take the scenario"), (Outcome.QEMU_CRASHED, "crashed")]
)
def test_what_the_baseline_fails_and_the_candidate_does_not_is_mended(outcome: Outcome, verb: str) -> None:
    """Said with the numbers of both, and no finding."""
    (said,) = mends(both(outcome, Outcome.OK))
    assert said.startswith(f"The series mends this: the baseline's QEMU {verb} in 3 of 3 runs, the candidate's in none")
    assert findings(both(outcome, Outcome.OK)) == ()


@pytest.mark.parametrize(
    "records",
    [
        both(Outcome.OK, Outcome.OK),
        both(Outcome.SCENARIO_FAILED, Outcome.SCENARIO_FAILED),
        both(Outcome.SCENARIO_FAILED, Outcome.QEMU_CRASHED),
        both(Outcome.SCENARIO_FAILED, Outcome.OK, blocks=2),
        [*both(Outcome.OK, Outcome.OK, blocks=9), record(Arm.BASELINE, Outcome.SCENARIO_FAILED, block=10)],
        both(Outcome.GUEST_HUNG, Outcome.OK),
    ],
    ids=["nothing", "both", "another", "too-few", "once", "silent"],
)
def test_what_may_be_chance_is_not_mended(records: list[RunRecord]) -> None:
    """A claim needs more than a finding does: failures that come to the baseline's runs alone by luck prove nothing."""
    assert mends(records) == ()


@pytest.mark.parametrize(
    ("candidate", "baseline", "p"),
    [
        ((6, 6), (0, 6), 1 / 924),
        ((1, 8), (0, 8), 1 / 2),
        ((3, 4), (1, 4), (4 * 4 + 1) / 70),  # the tea of Fisher's lady
        ((0, 8), (0, 8), 1.0),
        ((4, 4), (4, 4), 1.0),
    ],
)
def test_failures_are_compared_exactly(candidate: tuple[int, int], baseline: tuple[int, int], p: float) -> None:
    """By hand: the ways to deal the failures out, over all ways."""
    assert p_of_failures(candidate, baseline) == pytest.approx(p)


def test_failures_of_many_runs_are_compared_at_once() -> None:
    """A hundred thousand runs of which half failed have numbers of thousands of digits, which nobody needs."""
    assert p_of_failures((25_000, 50_000), (25_000, 50_000)) == pytest.approx(0.5, abs=0.01)


def tries(arm: Arm, outcome: Outcome, failed: int, runs: int) -> list[RunRecord]:
    """Runs of an arm that went well, of which the first ones failed at their first attempt."""
    again = [record(arm, outcome, block=block) for block in range(1, failed + 1)]
    return [*again, *(record(arm, Outcome.OK, block=b, attempt=1 + (b <= failed)) for b in range(1, runs + 1))]


def test_a_guest_that_hangs_and_works_the_second_time_is_no_pass() -> None:
    """By hand: one of 7 attempts against none of 6 is a matter of luck in 7 of 13 cases. Neither finding nor pass."""
    records = [*tries(Arm.CANDIDATE, Outcome.GUEST_HUNG, 1, 6), *tries(Arm.BASELINE, Outcome.GUEST_HUNG, 0, 6)]
    assert findings(records) == ()
    (doubt,) = doubts(records)
    assert "guest failed in 1 of 7 attempts (guest-hung 1), the baseline's in none of 6" in doubt
    assert doubt.endswith("chance alone does so in 54 % of cases")


@pytest.mark.parametrize(("failed", "doubted"), [(1, 0), (4, 0), (6, 1)])
def test_void_runs_are_a_doubt_only_where_chance_is_unlikely(failed: int, doubted: int) -> None:
    """A busy host makes runs void, too; beside none of 6, 6 of 12 come by luck in C(12,6)/C(18,6) = 5.0 %."""
    records = [*tries(Arm.CANDIDATE, Outcome.VOID, failed, 6), *tries(Arm.BASELINE, Outcome.OK, 0, 6)]
    assert (len(findings(records)), len(doubts(records))) == (0, doubted)


@pytest.mark.parametrize(("failed", "sure"), [(4, False), (10, True)])
def test_a_guest_that_hangs_far_more_often_is_a_finding(failed: int, sure: bool) -> None:
    """By hand, beside none of 6: 4 of 10 come by luck in C(10,4)/C(16,4) = 11.5 %, 10 of 16 in 8008/646646 = 1.2 %."""
    records = [*tries(Arm.CANDIDATE, Outcome.GUEST_HUNG, failed, 6), *tries(Arm.BASELINE, Outcome.OK, 0, 6)]
    assert (len(findings(records)), len(doubts(records))) == ((1, 0) if sure else (0, 1))


def test_kinds_of_failure_share_the_chance_of_a_false_alarm() -> None:
    """By hand: 5 of 8 beside none of 8 come by luck in C(11,3)/C(16,8) = 1.3 %, 5 of 9 beside none of 9 in 1.5 %.

    Voids that both arms have alike say nothing by themselves, but they might have, so 1.25 % is the most then.
    """
    hangs = [
        record(arm, Outcome.GUEST_HUNG if arm is Arm.CANDIDATE and block <= 5 else Outcome.OK, block=block)
        for arm in Arm
        for block in range(1, 9)
    ]
    assert (len(findings(hangs)), len(doubts(hangs))) == (1, 0)
    beside_voids = [*hangs, *(record(arm, Outcome.VOID, block=9) for arm in Arm)]
    assert (len(findings(beside_voids)), len(doubts(beside_voids))) == (0, 1)


@pytest.mark.parametrize(
    ("mine", "theirs", "finding", "doubt"), [(8, 1, 1, 0), (2, 1, 0, 1), (1, 1, 0, 0), (1, 2, 0, 0)]
)
def test_a_crash_of_the_baseline_does_not_hide_those_of_the_candidate(
    mine: int, theirs: int, finding: int, doubt: int
) -> None:
    """Nine runs each: 8 crashes against 1 are a finding, 2 against 1 a doubt, and as many or fewer are neither."""
    records = [
        record(arm, Outcome.QEMU_CRASHED if block <= count else Outcome.OK, block=block)
        for arm, count in ((Arm.CANDIDATE, mine), (Arm.BASELINE, theirs))
        for block in range(1, 10)
    ]
    assert (len(findings(records)), len(doubts(records))) == (finding, doubt)


def test_failures_are_not_told_twice() -> None:
    """Where the candidate never works at a point, that is said, and its failures there are not counted once more."""
    elsewhere = [record(arm, Outcome.OK, block=b, iothreads=2) for arm in Arm for b in range(1, 4)]
    said = failures_of([*both(Outcome.OK, Outcome.GUEST_HUNG), *elsewhere], 0.05)
    assert len(said.findings) == 1 and said.doubts == ()


def test_failures_of_the_host_are_nobody_s() -> None:
    """They are not among the attempts."""
    assert count_failures(both(Outcome.INFRASTRUCTURE, Outcome.GUEST_HUNG), Arm.BASELINE) == (0, 0)
    assert count_failures(both(Outcome.INFRASTRUCTURE, Outcome.GUEST_HUNG), Arm.CANDIDATE) == (3, 3)
