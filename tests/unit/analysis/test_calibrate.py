"""See test_calibration.py: what campaigns come to is tested with how it is kept."""

import numpy as np
import pytest

from lab.analysis.calibrate import _Rule


def test_a_host_with_two_levels_keeps_its_level() -> None:
    """Blocks of two speeds, drawn again and again, raise no more alarms than the rule allows."""
    rng = np.random.default_rng(4)
    ratios = 0.1 * rng.integers(-1, 2, (24, 1)) + rng.normal(0, 0.01, (24, 1))
    rate, low, high = _Rule(0.05, np.array([0.02]), 8).false_alarms(ratios)
    assert low <= rate <= high and rate <= 0.07


def test_alarms_of_real_experiments_are_counted() -> None:
    """Sixteen blocks are two experiments of eight; the one that lost 20 % raised an alarm."""
    ratios = np.random.default_rng(5).normal(0, 0.01, (16, 1))
    ratios[8:] -= 0.2
    assert _Rule(0.05, np.array([0.02]), 8).real_alarms(ratios) == [False, True]


def test_a_count_that_repeats_exactly_has_a_smallest_change() -> None:
    """Without any spread the smallest effect itself is no change, and hardly more is caught."""
    rule = _Rule(0.05, np.array([0.01]), 6)
    assert rule.smallest_changes(np.zeros((12, 1)), np.array([1.0])) == [pytest.approx(0.01, rel=1e-3)]
