from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.analysis.compare import Comparison, compare_results
from lab.analysis.results import read_results
from lab.analysis.symptom import (
    Presence,
    Symptom,
    presence_at_point,
    presence_in_part,
    presence_in_patch,
    presence_in_whole,
    symptom_of,
    together,
)
from lab.analysis.verdict import Numbers, Verdict
from lab.record import Arm, Outcome, Point, RunRecord, ScheduledRun
from lab.units import Better
from tests.unit.analysis.campaign import Campaign, write_campaign

ONE, TWO = Point.from_levels({"iothreads": 1}), Point.from_levels({"iothreads": 2})
SHOWN, ABSENT, UNDECIDED = Presence.SHOWN, Presence.ABSENT, Presence.UNDECIDED


def compared(folder: Path, campaign: Campaign) -> Comparison:
    """Judge a campaign."""
    return compare_results(read_results(write_campaign(folder, campaign)))


def campaign(effect: float | Callable[[Point], float] = 1.0, *, noise: float = 0.01, blocks: int = 8) -> Campaign:
    """Return one with the same effect everywhere, or one for each point."""
    of = effect if callable(effect) else lambda _point: effect
    return Campaign(factors={"iothreads": (1, 2)}, effect=of, noise=noise, blocks=blocks)


def numbers(low: float, high: float, *, coverage: float = 0.99) -> Numbers:
    """Return an interval."""
    return Numbers(math.sqrt(low * high), low, high, coverage, 0.01)


def test_the_symptom_is_what_regressed_and_where(tmp_path: Path) -> None:
    """The points that did not regress are not followed."""
    whole = compared(tmp_path / "r", campaign(lambda point: 0.8 if point == ONE else 1.0))
    symptom = symptom_of(whole)
    assert symptom is not None and symptom.points == (ONE,) and not symptom.failing
    assert symptom.effects["iops", ONE] == pytest.approx(math.log(0.8), abs=0.03)
    assert presence_in_whole(whole) is SHOWN


@pytest.mark.parametrize(
    ("effect", "noise", "blocks", "presence"),
    [(1.0, 0.002, 8, ABSENT), (1.2, 0.01, 8, ABSENT), (1.0, 0.1, 8, UNDECIDED), (0.8, 0.01, 4, UNDECIDED)],
)
def test_a_whole_without_a_regression_has_no_symptom(
    tmp_path: Path, effect: float, noise: float, blocks: int, presence: Presence
) -> None:
    """Unchanged and improved are free of it; noise and too few blocks are not."""
    whole = compared(tmp_path / "r", campaign(effect, noise=noise, blocks=blocks))
    assert symptom_of(whole) is None
    assert presence_in_whole(whole) is presence


def test_a_series_that_mends_has_nothing_to_find(tmp_path: Path) -> None:
    """Although nothing was compared: the baseline never got through."""

    def fails(run: ScheduledRun) -> Outcome | None:
        return Outcome.SCENARIO_FAILED if run.cell.arm is Arm.BASELINE else None

    assert presence_in_whole(compared(tmp_path / "r", replace(campaign(), fails=fails))) is ABSENT


FULL = math.log(0.8)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "presence"),
    [
        (0.78, 0.82, Verdict.REGRESSED, SHOWN),
        (0.85, 0.95, Verdict.REGRESSED, SHOWN),  # it may be half
        (0.91, 0.95, Verdict.REGRESSED, ABSENT),  # it regressed, and by surely less than half
        (0.92, 1.05, Verdict.INCONCLUSIVE, ABSENT),
        (0.88, 1.05, Verdict.INCONCLUSIVE, UNDECIDED),
        (0.88, 0.99, Verdict.NO_CHANGE_DETECTED, ABSENT),  # too small to matter, whatever half is
        (1.1, 1.2, Verdict.IMPROVED, ABSENT),
    ],
)
def test_a_part_is_asked_for_half_of_the_whole(low: float, high: float, verdict: Verdict, presence: Presence) -> None:
    """The whole lost 20 %, so half is 10.6 %; the mirror image of it where less is better."""
    for interval, better, full in (
        (numbers(low, high), Better.HIGHER, FULL),
        (numbers(1 / high, 1 / low), Better.LOWER, -FULL),
    ):
        assert presence_at_point(interval, verdict, better, full=full, alpha=0.05, alone=False) is presence


@pytest.mark.parametrize(
    ("verdict", "presence"),
    [
        (Verdict.REGRESSED, SHOWN),
        (Verdict.INCONCLUSIVE, UNDECIDED),
        (Verdict.NO_CHANGE_DETECTED, ABSENT),
        (Verdict.IMPROVED, ABSENT),
    ],
)
def test_a_patch_alone_is_asked_whether_it_costs_anything(verdict: Verdict, presence: Presence) -> None:
    """Less than half, too: it is one of several then."""
    interval = numbers(0.95, 0.97)
    assert presence_at_point(interval, verdict, Better.HIGHER, full=FULL, alpha=0.05, alone=True) is presence


def test_an_interval_that_covers_too_little_rules_nothing_out() -> None:
    """Five blocks are not enough for 95 %; nor is one pair for an interval."""
    narrow = numbers(0.99, 1.01, coverage=0.9)
    for interval in (narrow, None):
        found = presence_at_point(interval, Verdict.INCONCLUSIVE, Better.HIGHER, full=FULL, alpha=0.05, alone=False)
        assert found is UNDECIDED


def test_one_point_that_shows_it_is_enough_and_all_must_be_free() -> None:
    """No point at all shows nothing."""
    assert together([ABSENT, SHOWN, UNDECIDED]) is SHOWN
    assert together([ABSENT, ABSENT]) is ABSENT
    assert together([ABSENT, UNDECIDED]) is UNDECIDED
    assert together([]) is UNDECIDED


def test_only_the_points_that_regressed_are_looked_at(tmp_path: Path) -> None:
    """What a part does elsewhere is another question."""
    part = compared(tmp_path / "r", campaign(lambda point: 0.8 if point == TWO else 1.0))
    assert presence_in_part(part, Symptom({("iops", ONE): FULL})) is ABSENT
    assert presence_in_part(part, Symptom({("iops", TWO): FULL})) is SHOWN
    assert presence_in_patch(part, Symptom({("iops", TWO): 2 * FULL})) is SHOWN


def test_an_unfinished_step_says_nothing(tmp_path: Path) -> None:
    """Its numbers may look as they like."""
    made = campaign(0.8)
    folder = write_campaign(tmp_path / "r", made, records=made.records()[:-1])
    part = compare_results(read_results(folder))
    assert presence_in_part(part, Symptom({("iops", ONE): FULL})) is UNDECIDED


def test_arms_that_are_unlike_say_nothing(tmp_path: Path) -> None:
    """Whatever their numbers are."""
    part = compared(tmp_path / "r", campaign(0.8))
    points = tuple(replace(point, verdict=Verdict.NOT_COMPARABLE) for point in part.points)
    assert presence_in_part(replace(part, points=points), Symptom({("iops", ONE): FULL})) is UNDECIDED


def crashing(arm: Arm, share: float) -> Callable[[ScheduledRun], Outcome | None]:
    """Return a rule by which the first blocks of an arm crash."""

    def fails(run: ScheduledRun) -> Outcome | None:
        return Outcome.QEMU_CRASHED if run.cell.arm is arm and run.block <= round(8 * share) else None

    return fails


def test_a_crash_outweighs_speed(tmp_path: Path) -> None:
    """It is followed alone, everywhere, and its frequency is known."""
    whole = compared(tmp_path / "r", replace(campaign(0.8), fails=crashing(Arm.CANDIDATE, 0.5)))
    symptom = symptom_of(whole)
    assert symptom == Symptom(failing=0.5) and symptom.points == ()
    assert presence_in_part(whole, symptom) is SHOWN


def test_one_crash_goes_on_with_the_search_and_names_nobody(tmp_path: Path) -> None:
    """A base that crashes in one run of twenty gives one arm a crash and the other none in a third of all pairs."""
    once = compared(tmp_path / "once", replace(campaign(), fails=crashing(Arm.CANDIDATE, 1 / 8)))
    assert presence_in_part(once, Symptom(failing=0.2)) is SHOWN
    assert presence_in_patch(once, Symptom(failing=0.2)) is UNDECIDED
    often = compared(tmp_path / "often", replace(campaign(), fails=crashing(Arm.CANDIDATE, 0.5)))
    assert presence_in_patch(often, Symptom(failing=0.5)) is SHOWN
    never = compared(tmp_path / "never", campaign())
    assert presence_in_patch(never, Symptom(failing=0.5)) is ABSENT


def test_no_crash_says_something_only_where_some_would_have_been_seen(tmp_path: Path) -> None:
    """16 runs without one rule out one in two, and not one in ten; a slower part is no answer."""
    part = compared(tmp_path / "r", campaign(0.5))
    assert presence_in_part(part, Symptom(failing=0.5)) is ABSENT
    assert presence_in_part(part, Symptom(failing=0.1)) is UNDECIDED


def test_failures_of_both_arms_do_not_answer_for_the_candidate(tmp_path: Path) -> None:
    """Something else is wrong then; the host's own failures do not count."""

    def both(run: ScheduledRun) -> Outcome | None:
        return Outcome.QEMU_CRASHED if run.block == 1 else None

    part = compared(tmp_path / "r", replace(campaign(), fails=both))
    assert presence_in_part(part, Symptom(failing=0.9)) is UNDECIDED

    def host(run: ScheduledRun) -> Outcome | None:
        return Outcome.INFRASTRUCTURE if run.block == 1 else None

    part = compared(tmp_path / "s", replace(campaign(), fails=host))
    assert presence_in_part(part, Symptom(failing=0.9)) is ABSENT


def test_a_step_without_any_run_says_nothing(tmp_path: Path) -> None:
    """None failed, since none was made."""
    folder = write_campaign(tmp_path / "r", campaign(), records=())
    assert presence_in_part(compare_results(read_results(folder)), Symptom(failing=0.9)) is UNDECIDED


def test_a_part_that_crashes_hides_a_regression(tmp_path: Path) -> None:
    """Another position has to be tried."""
    part = compared(tmp_path / "r", replace(campaign(0.8), fails=crashing(Arm.CANDIDATE, 1.0)))
    assert presence_in_part(part, Symptom({("iops", ONE): FULL})) is Presence.UNMEASURABLE


def test_records_are_all_there_is(tmp_path: Path) -> None:
    """The same folder gives the same answer: a killed bisection asks again."""
    folder = write_campaign(tmp_path / "r", campaign(0.8))
    answers = {presence_in_whole(compare_results(read_results(folder))) for _ in range(3)}
    assert answers == {SHOWN}
    assert all(isinstance(record, RunRecord) for record in read_results(folder).records)
