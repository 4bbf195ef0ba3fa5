"""A history is cut where it changed for good, and hardly ever where it did not."""

import numpy as np
import pytest

from lab.analysis.change_points import levels_of


def history(seed: int, count: int, step: float = 0.0) -> list[float]:
    """Return values with 2 % noise and a step of their logarithm in the middle."""
    logs = np.random.default_rng(seed).normal(0, 0.02, count) + step * (np.arange(count) >= count // 2)
    return [float(value) for value in 1000 * np.exp(logs)]


def test_a_step_is_found_where_it_is() -> None:
    """A loss of 10 % in the middle of 20 values cuts them there, and each level has its own mean."""
    first, second = levels_of(history(1, 20, -0.105))
    assert (first.first, first.last, second.first, second.last) == (0, 9, 10, 19)
    assert first.middle == pytest.approx(1000, rel=0.02) and second.middle == pytest.approx(900, rel=0.02)


@pytest.mark.parametrize("count", [6, 10, 30])
def test_ordinary_variation_is_not_cut(count: int) -> None:
    """Of 300 histories without a change at most 8 % are cut: 5 % by design, the rest is the error of counting."""
    cut = sum(len(levels_of(history(seed, count))) > 1 for seed in range(300))
    assert cut / 300 <= 0.08


def test_heavy_tails_are_not_cut() -> None:
    """Of 200 histories of 20 values with single values far away (t, 3 degrees of freedom) at most 11 % are cut."""
    rows = np.random.default_rng(3).standard_t(3, (200, 20))
    assert sum(len(levels_of([float(value) for value in np.exp(0.02 * row)])) > 1 for row in rows) / 200 <= 0.11


def test_many_histories_share_the_chance_of_a_cut() -> None:
    """Forty points of one job without a change: hardly one of 400 histories is cut."""
    assert sum(len(levels_of(history(seed, 12), histories=40)) > 1 for seed in range(400)) <= 2
    assert len(levels_of(history(1, 20, -0.105), histories=40)) == 2


def test_too_few_values_are_one_level() -> None:
    """Five values show no change, however far apart they are."""
    (level,) = levels_of([1, 1, 1, 9, 9])
    assert (level.first, level.last) == (0, 4) and level.middle == pytest.approx(9 ** (2 / 5))


def test_values_without_noise_are_one_level() -> None:
    """Equal values have no noise to compare with, and no change."""
    assert len(levels_of([5.0] * 10)) == 1


def test_a_step_of_values_that_repeat_exactly_is_found() -> None:
    """Counted instructions have no noise; a step of 1 % stands out, that of a single instruction or value does not."""
    _, second = levels_of([10_000.0] * 6 + [10_100.0] * 4)
    assert second.first == 6 and second.middle == pytest.approx(10_100)
    assert len(levels_of([10_000.0] * 6 + [10_001.0] * 4)) == 1
    assert len(levels_of([10_000.0] * 4 + [10_300.0] + [10_000.0] * 4)) == 1
