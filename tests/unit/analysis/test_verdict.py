from dataclasses import replace

import pytest

from lab.analysis.verdict import ANYTHING, Interval, Numbers, Verdict, judge, overall, own_interval
from lab.errors import ExitCode
from lab.units import Better

FASTER = Numbers(ratio=1.10, low=1.05, high=1.15, coverage=0.96, p_adjusted=0.03)


def verdict(numbers: Numbers | None, better: Better = Better.HIGHER) -> Verdict:
    """Judge with the usual settings."""
    return judge(numbers, better, smallest_effect=0.02, alpha=0.05)


def test_direction_belongs_to_the_metric() -> None:
    """A rise of 10 % improves IOPS and is a regression of a latency; a fall is the other way round."""
    slower = replace(FASTER, ratio=0.90, low=0.85, high=0.95)
    assert verdict(FASTER) is Verdict.IMPROVED
    assert verdict(FASTER, Better.LOWER) is Verdict.REGRESSED
    assert verdict(slower) is Verdict.REGRESSED
    assert verdict(slower, Better.LOWER) is Verdict.IMPROVED


def test_equivalence_comes_before_significance() -> None:
    """A difference that surely exists but is surely below 2 % is no change."""
    assert verdict(Numbers(1.01, 1.005, 1.015, 0.96, 0.03)) is Verdict.NO_CHANGE_DETECTED


def test_a_wide_interval_is_inconclusive_and_never_a_pass() -> None:
    """Not significant and not ruled out is a third thing."""
    assert verdict(Numbers(1.0, 0.97, 1.03, 0.96, 1.0)) is Verdict.INCONCLUSIVE


def test_the_adjusted_p_decides() -> None:
    """An interval that excludes no change is not enough in a family."""
    assert verdict(replace(FASTER, p_adjusted=0.0501)) is Verdict.INCONCLUSIVE
    assert verdict(replace(FASTER, p_adjusted=0.05)) is Verdict.IMPROVED


def test_an_interval_with_no_change_in_it_is_no_finding() -> None:
    """Beyond 14 blocks p and interval are drawn apart; a report must not call a change that its interval does not."""
    assert verdict(Numbers(0.97, 0.94, 1.0001, 0.95, 0.0498)) is Verdict.INCONCLUSIVE
    assert verdict(Numbers(0.97, 0.94, 0.9999, 0.95, 0.0498)) is Verdict.REGRESSED


def test_an_interval_that_covers_too_little_rules_nothing_out() -> None:
    """Five blocks cover 93.75 %: however narrow, that is no equivalence at 95 %."""
    assert verdict(Numbers(1.0, 0.999, 1.001, 0.9375, 1.0)) is Verdict.INCONCLUSIVE


def test_no_numbers_is_inconclusive() -> None:
    """Missing data is neither a pass nor a regression."""
    assert verdict(None) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("low", "high", "moved", "expected"),
    [
        (0.90, 0.94, (0.99, 1.01), Verdict.REGRESSED),  # 0.94 / 0.99 = 0.949: a loss of 5 % at least is its own
        (0.90, 0.94, (0.93, 1.05), Verdict.INCONCLUSIVE),  # 0.94 / 0.93 = 1.011: the host may have made all of it
        (0.90, 0.94, (0.95, 0.96), Verdict.REGRESSED),  # 0.94 / 0.95 = 0.989, 0.90 / 0.96 = 0.9375
        (0.90, 0.94, (0.85, 0.88), Verdict.IMPROVED),  # the host lost more than the candidate did: 0.90 / 0.88 = 1.023
        (1.06, 1.10, (0.98, 1.02), Verdict.IMPROVED),  # 1.06 / 1.02 = 1.039
        (1.06, 1.10, (1.03, 1.07), Verdict.INCONCLUSIVE),  # 1.06 / 1.07 = 0.991
        (0.995, 1.005, (0.99, 1.01), Verdict.NO_CHANGE_DETECTED),  # 0.985 to 1.0152: inside 2 %
        (0.995, 1.005, (0.98, 1.01), Verdict.INCONCLUSIVE),  # 1.005 / 0.98 = 1.0255: a gain may be hidden
        (0.90, 0.94, ANYTHING, Verdict.INCONCLUSIVE),
        (0.999, 1.001, ANYTHING, Verdict.INCONCLUSIVE),
    ],
)
def test_what_the_host_may_have_done_is_not_the_candidate_s(
    low: float, high: float, moved: Interval, expected: Verdict
) -> None:
    """Arms of two sessions: the ends are divided crosswise by those of the control, by hand."""
    numbers = Numbers((low * high) ** 0.5, low, high, 0.96, 0.03)
    assert judge(numbers, Better.HIGHER, smallest_effect=0.02, alpha=0.05, moved=moved) is expected
    assert own_interval(numbers, None) == (low, high)


@pytest.mark.parametrize(
    ("found", "expected", "code"),
    [
        ([Verdict.NO_CHANGE_DETECTED], Verdict.NO_CHANGE_DETECTED, ExitCode.DONE),
        ([Verdict.NO_CHANGE_DETECTED, Verdict.IMPROVED], Verdict.IMPROVED, ExitCode.DONE),
        ([Verdict.IMPROVED, Verdict.INCONCLUSIVE], Verdict.INCONCLUSIVE, ExitCode.UNDECIDED),
        ([Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE], Verdict.NOT_COMPARABLE, ExitCode.UNDECIDED),
        ([Verdict.NOT_COMPARABLE, Verdict.REGRESSED], Verdict.REGRESSED, ExitCode.FINDING),
        ([], Verdict.INCONCLUSIVE, ExitCode.UNDECIDED),
    ],
)
def test_the_gravest_point_decides(found: list[Verdict], expected: Verdict, code: ExitCode) -> None:
    """One regressed point is a regression; undecided points keep the whole from passing."""
    assert overall(found) is expected and expected.exit_code is code
