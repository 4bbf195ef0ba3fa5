"""Many campaigns at once are judged as one is."""

import math

import numpy as np
import pytest

from lab.analysis.campaigns import adjusted_p_values, called
from lab.analysis.signflip import intervals, p_values


@pytest.mark.parametrize(("blocks", "points"), [(6, 1), (8, 3), (15, 2)])
def test_p_values_are_those_of_one_campaign(blocks: int, points: int) -> None:
    """Adjusted p-values of many campaigns are the ones that each gets by itself, to the last pattern."""
    ratios = np.random.default_rng(1).normal(0.02, 0.03, (20, blocks, points))
    alone = np.array([p_values(one)[1] for one in ratios])
    np.testing.assert_allclose(adjusted_p_values(ratios), alone, rtol=0, atol=1e-12)


def test_verdicts_follow_the_interval_and_the_direction() -> None:
    """A clear loss is called lower, a clear gain higher, and a quiet point unchanged, each by its own column."""
    quiet = np.random.default_rng(2).normal(0, 0.001, (1, 8, 3))
    said = called(quiet + np.array([-0.1, 0.0, 0.1]), alpha=0.05, smallest_effect=np.array([0.02, 0.02, 0.02]))
    assert said.lower.tolist() == [[True, False, False]]
    assert said.unchanged.tolist() == [[False, True, False]]
    assert said.higher.tolist() == [[False, False, True]]
    assert said.alarms.tolist() == [True]


def test_a_certain_but_tiny_change_is_no_alarm() -> None:
    """What lies within the smallest effect for certain is unchanged, however certain it is."""
    ratios = np.random.default_rng(3).normal(math.log(1.01), 0.0005, (1, 8, 1))
    said = called(ratios, alpha=0.05, smallest_effect=0.02)
    assert said.unchanged.all() and not said.alarms.any()
    bounds = intervals(ratios[0], 0.05)
    assert bounds.low[0] > 0


def test_too_few_blocks_decide_nothing() -> None:
    """Five blocks cannot reach 5 %, whatever they hold."""
    said = called(np.full((2, 5, 1), 0.5), alpha=0.05, smallest_effect=0.02)
    assert not (said.alarms.any() or said.unchanged.any())


def test_pairs_without_any_difference_raise_no_alarm() -> None:
    """Differences of exactly zero are divided by nothing and are unchanged."""
    said = called(np.zeros((1, 8, 2)), alpha=0.05, smallest_effect=0.02)
    assert said.unchanged.all() and not said.alarms.any()
