"""Traces and marks to service gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.scenario.service import Mark, Reading, Wait, gaps_of, trace_from_log, waits_from_log


def steady(start_s: float, seconds: float, iops: float) -> list[Reading]:
    """Readings every 100 ms."""
    return [Reading(start_s + 0.1 * number, iops) for number in range(1, round(seconds * 10) + 1)]


def test_a_dip_has_depth_standstill_and_recovery() -> None:
    """A second of 1000 IOPS, half a second of nothing, 100 IOPS for two readings, then 1000 again."""
    trace = [*steady(0, 1, 1000), Reading(1.6, 100), Reading(1.7, 100), *steady(1.7, 1, 1000)]
    (gap,) = gaps_of(trace, [Mark("mirror", 1.0)])
    assert (gap.before_iops, gap.dip_iops, gap.depth) == (1000, 100, 0.9)
    assert gap.standstill_s == pytest.approx(0.5)
    assert gap.recovery_s == pytest.approx(0.8)
    assert gap.to_json()["event"] == "mirror"


def test_a_standstill_is_no_longer_than_the_longest_wait() -> None:
    """What was in flight when it began waited for all of it; waits from before or after do not count."""
    trace = [*steady(0, 1, 1000), Reading(1.6, 100), *steady(1.6, 1, 1000)]
    waits = [Wait(0.9, 9.0), Wait(1.6, 0.52), Wait(2.5, 9.0)]
    (gap,) = gaps_of(trace, [Mark("m", 1.0)], waits)
    assert gap.standstill_s == pytest.approx(0.5) and gap.standstill_at_most_s == 0.52
    (without,) = gaps_of(trace, [Mark("m", 1.0)])
    assert without.standstill_at_most_s == pytest.approx(0.7)
    (contradicted,) = gaps_of(trace, [Mark("m", 1.0)], [Wait(1.6, 0.1)])
    assert contradicted.standstill_at_most_s == contradicted.standstill_s


def test_a_log_of_waits_keeps_the_longest_of_each_interval() -> None:
    """In seconds; what cannot be is passed over."""
    log = "1000100, 5000000, 0, 4096, 0\n1000100, 7000000, 1, 4096, 0\n1000200, -1, 0\nnonsense\n"
    assert waits_from_log(log) == (Wait(1000.1, 0.007),)


def test_service_that_does_not_come_back_has_no_recovery() -> None:
    """The trace ends at a tenth of before: that is not a recovery of any length."""
    (gap,) = gaps_of([*steady(0, 1, 1000), *steady(1, 1, 100)], [Mark("m", 1.0)])
    assert gap.recovery_s is None and gap.dip_iops == 100 and gap.watched_s == pytest.approx(1.0)


def test_one_good_reading_between_bad_ones_is_no_recovery() -> None:
    """Three in a row are."""
    trace = [*steady(0, 1, 1000), Reading(1.1, 10), Reading(1.2, 1000), Reading(1.3, 10), *steady(1.3, 1, 990)]
    (gap,) = gaps_of(trace, [Mark("m", 1.0)])
    assert gap.recovery_s == pytest.approx(0.4)


def test_a_disturbance_that_changes_nothing_has_no_depth() -> None:
    """Back at once, nothing lost."""
    (gap,) = gaps_of(steady(0, 3, 500), [Mark("m", 1.0)])
    assert gap.depth == 0 and gap.recovery_s == pytest.approx(0.1) and gap.standstill_s == 0


def test_each_disturbance_ends_where_the_next_one_begins() -> None:
    """What the second one does is not the first one's."""
    trace = [*steady(0, 2, 1000), *steady(2, 1, 10), *steady(3, 1, 1000)]
    first, second = gaps_of(trace, [Mark("a", 1.0), Mark("b", 2.0)])
    assert first.depth == 0 and second.depth == 0.99


@pytest.mark.parametrize(
    ("trace", "marks"),
    [
        ([], [Mark("m", 1.0)]),
        (steady(0, 0.2, 1000), [Mark("m", 0.2)]),
        (steady(0, 1, 1000), [Mark("m", 1.0)]),
        ([*steady(0, 1, 0), *steady(1, 1, 100)], [Mark("m", 1.0)]),
    ],
)
def test_without_a_before_or_an_after_there_is_no_gap(trace: list[Reading], marks: list[Mark]) -> None:
    """Nothing is invented."""
    assert gaps_of(trace, marks) == ()


def test_a_log_is_read_with_both_directions_summed_and_torn_lines_passed_over() -> None:
    """A guest that was reset leaves half a line."""
    log = "1000100, 500, 0, 4096, 0\n1000100, 20, 1, 4096, 0\n1000200, 510, 0\nnonsense\n10003"
    assert trace_from_log(log) == (Reading(1000.1, 520), Reading(1000.2, 510))


@pytest.mark.parametrize("line", [f"{10**400}, 5, 0", f"{10**15}, 5, 0", "1000, 1e18, 0", "-1, 5, 0", "1000, -5, 0"])
def test_impossible_lines_are_passed_over(line: str) -> None:
    """Times and rates that have no room in a float, or are below zero, are no readings."""
    assert trace_from_log(f"{line}\n1000100, 5, 0\n") == (Reading(1000.1, 5),)
    assert waits_from_log(f"{line.replace('1e18', '-1')}\n") == ()


@given(st.text())
def test_no_log_is_too_odd(text: str) -> None:
    """A guest may say anything."""
    assert all(reading.iops >= 0 for reading in trace_from_log(text))
