import numpy as np
import pytest

from lab.analysis.samples import Array, drift, level_gaps, median_interval, medians
from lab.analysis.samples import outliers as outliers_of_cells

RNG_SEED = 99
NAN = float("nan")


def outliers(logs: Array, smallest: float) -> list[int]:
    """Return the places of the outliers of one cell."""
    return np.flatnonzero(outliers_of_cells(logs[None, :], smallest)[0]).tolist()


def level_gap(logs: Array, smallest: float) -> tuple[float, int]:
    """Return distance and size of the lower level of one cell."""
    gaps, lower = level_gaps(logs[None, :], smallest)
    return float(gaps[0]), int(lower[0])


def test_an_outlier_is_found_and_a_tiny_deviation_is_not() -> None:
    """A run 50 % off stands out of a spread of 1 %; the same pattern a hundred times smaller is not worth a word."""
    logs = np.array([0.0, 0.01, -0.01, 0.005, -0.005, 0.5])
    assert outliers(logs, 0.02) == [5]
    assert outliers(logs / 100, 0.02) == []


def test_four_values_have_no_outliers() -> None:
    """Too few values say nothing about what is ordinary."""
    assert outliers(np.array([0, 0, 0, 9.0]), 0.02) == []
    assert level_gap(np.array([0, 0, 9.0, 9.0]), 0.02) == (0.0, 0)
    assert drift(np.arange(4.0), np.arange(4.0)) == 0


def test_two_levels_are_found() -> None:
    """Two runs at one speed and four at another are two levels, with their distance and sizes."""
    gap, lower = level_gap(np.array([0.1, 0.0, 0.102, 0.101, 0.001, 0.099]), 0.02)
    assert gap == pytest.approx(0.1, abs=0.002) and lower == 2


def test_equal_values_are_one_level() -> None:
    """No spread at all is neither an outlier nor two levels nor drift."""
    same = np.full(6, 3.0)
    assert level_gap(same, 0.02) == (0.0, 0) and outliers(same, 0.02) == []
    assert drift(np.arange(6.0), same) == 0


@pytest.mark.parametrize("count", [6, 12, 30])
def test_false_alarms_are_those_that_were_promised(count: int) -> None:
    """About 1 % of normal samples have an outlier, and about 1 % two levels."""
    rng = np.random.default_rng(RNG_SEED)
    samples = rng.normal(0, 1, (3000, count))
    assert outliers_of_cells(samples, 0.0).any(axis=1).mean() == pytest.approx(0.01, abs=0.007)
    assert (level_gaps(samples, 0.0)[0] > 0).mean() == pytest.approx(0.01, abs=0.007)


def test_drift_is_measured_from_first_to_last() -> None:
    """A level that rises by 0.01 per block over six blocks has drifted by 0.05; one that jumps about has not."""
    blocks = np.arange(1.0, 7)
    assert drift(blocks, 0.01 * blocks) == pytest.approx(0.05)
    assert drift(blocks, np.array([0.0, 0.05, 0.01, 0.04, 0.02, 0.03])) == 0


def test_median_interval_by_hand() -> None:
    """Six values: 97 % from smallest to largest; nine: 96 % from the second to the second last; three: the range."""
    assert median_interval(np.array([6.0, 1, 2, 3, 4, 5]), 0.95) == (3.5, 1, 6)
    assert median_interval(np.arange(1.0, 10), 0.95) == (5, 2, 8)
    assert median_interval(np.array([2.0, 1, 3]), 0.95) == (2, 1, 3)


def test_cells_with_missing_values_are_judged_by_those_they_have() -> None:
    """A gap changes neither the median nor which value stands out; a cell without values has no median."""
    cells = np.array([[0.0, 0.01, -0.01, NAN, 0.005, -0.005, 0.5], [NAN] * 7, [0, 0, 0, NAN, 1.0, 1.0, 1.01]])
    assert medians(cells)[:1] == pytest.approx([0.0025]) and np.isnan(medians(cells)[1])
    assert np.argwhere(outliers_of_cells(cells, 0.02)).tolist() == [[0, 6]]
    gaps, lower = level_gaps(cells, 0.02)
    assert gaps[0] == gaps[1] == 0 and gaps[2] == pytest.approx(1.0, abs=0.01) and lower[2] == 3
    assert np.isnan(medians(np.empty((2, 0)))).all()


def test_the_drift_of_absurd_block_numbers_is_bounded() -> None:
    """Blocks that lie a billion apart make a line whose end has no exponential otherwise."""
    assert drift(np.array([1.0, 2, 3, 4, 5, 1e9]), np.array([0.0, 1, 2, 3, 4, 5])) == 50
