from dataclasses import replace

import pytest

from lab.analysis.verdict import Numbers, Verdict, judge, overall
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


def test_an_interval_that_covers_too_little_rules_nothing_out() -> None:
    """Five blocks cover 93.75 %: however narrow, that is no equivalence at 95 %."""
    assert verdict(Numbers(1.0, 0.999, 1.001, 0.9375, 1.0)) is Verdict.INCONCLUSIVE


def test_no_numbers_is_inconclusive() -> None:
    """Missing data is neither a pass nor a regression."""
    assert verdict(None) is Verdict.INCONCLUSIVE


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
