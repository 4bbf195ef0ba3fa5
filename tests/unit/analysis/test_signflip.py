import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lab.analysis.campaigns import adjusted_p_values
from lab.analysis.signflip import Array, blocks_for_level, blocks_to_decide, intervals, p_values

NAN = float("nan")


def columns(*points: list[float]) -> Array:
    """Return the differences of points, given one after the other, as blocks x points."""
    return np.array(points, dtype=np.float64).T


def test_p_counts_the_sign_patterns_that_are_as_extreme() -> None:
    """Of the 8 patterns of 1, 2, 3 only +++ and --- reach the sum of 6: p is 2/8."""
    own, adjusted = p_values(columns([0.1, 0.2, 0.3]))
    assert own[0] == pytest.approx(2 / 8) and adjusted[0] == pytest.approx(2 / 8)


def test_p_of_mixed_signs() -> None:
    """|-1 + 2 + 3| = 4 is reached by -++, +-- (4), +++ and --- (6): p is 4/8."""
    own, _ = p_values(columns([-0.1, 0.2, 0.3]))
    assert own[0] == pytest.approx(4 / 8)


def test_no_difference_at_all_is_p_one() -> None:
    """Equal values in both arms are no evidence, whatever their number."""
    own, adjusted = p_values(columns([0.0] * 8))
    assert own[0] == 1 and adjusted[0] == 1


def test_six_blocks_decide_three_points_that_move_together() -> None:
    """Where all points change, only the all-equal patterns are as extreme: 2/64 each, where Holm would give 6/64."""
    own, adjusted = p_values(columns([0.10, 0.11, 0.12, 0.10, 0.09, 0.11], [0.2, 0.21] * 3, [-0.3, -0.31] * 3))
    assert own == pytest.approx([2 / 64] * 3)
    assert adjusted == pytest.approx([2 / 64] * 3)


def test_adjusted_p_by_hand_for_two_points() -> None:
    """Adjusted p-values of two points with three blocks, counted by hand.

    Point A is 1, 1, 1 (any pattern but +++ and its mirror has a smaller t), point B is 1, -1, 1, whose t is infinite
    for the patterns +-+ and -+-. A: +++ and --- reach infinity in A, +-+ and -+- in B: 4/8. B: observed |sum| 1 of 3,
    reached by every pattern: 1.
    """
    own, adjusted = p_values(columns([1.0, 1.0, 1.0], [1.0, -1.0, 1.0]))
    assert own == pytest.approx([2 / 8, 1])
    assert adjusted == pytest.approx([4 / 8, 1])


def test_missing_pairs_are_left_out_of_a_point_only() -> None:
    """A point with five pairs of six has the p-value of those five: 2/32."""
    own, _ = p_values(columns([0.1] * 5 + [NAN], [0.1, 0.12] * 3))
    assert own == pytest.approx([2 / 32, 2 / 64])


def test_a_single_pair_and_no_pair_are_never_evidence() -> None:
    """One pair has nothing to be compared with, none even less."""
    own, adjusted = p_values(columns([0.5, NAN, NAN], [NAN] * 3))
    assert list(own) == [1, 1] and list(adjusted) == [1, 1]


def test_no_blocks_at_all() -> None:
    """An experiment without a run has p-values of 1 and no intervals."""
    nothing = np.empty((0, 2))
    own, adjusted = p_values(nothing)
    assert list(own) == [1, 1] and list(adjusted) == [1, 1]
    assert np.isnan(intervals(nothing, 0.05).low).all()


def test_interval_of_three_pairs_by_hand() -> None:
    """Subset means of 1, 2, 6 are 1, 1.5, 2, 3, 3.5, 4, 6; the widest interval covers 1 - 2/8, the next 1 - 4/8."""
    values = columns([1.0, 2.0, 6.0])
    widest = intervals(values, 0.05)
    assert (widest.low[0], widest.high[0], widest.coverage[0]) == (1, 6, pytest.approx(0.75))
    half = intervals(values, 0.5)
    assert (half.low[0], half.high[0], half.coverage[0]) == (1.5, 4, pytest.approx(0.5))


def test_interval_of_six_pairs_is_the_range() -> None:
    """Six is the fewest for 95 %: the range covers 1 - 2/64."""
    bounds = intervals(columns([0.3, 0.1, 0.2, 0.6, 0.5, 0.4]), 0.05)
    assert (bounds.low[0], bounds.high[0]) == (0.1, 0.6)
    assert bounds.coverage[0] == pytest.approx(62 / 64)


def test_fewer_pairs_cover_less_and_say_so() -> None:
    """Five pairs cover 93.75 %, one pair has no interval."""
    bounds = intervals(columns([0.1, 0.2, 0.3, 0.4, 0.5], [0.1] + [NAN] * 4), 0.05)
    assert bounds.coverage == pytest.approx([0.9375, 0])
    assert np.isnan(bounds.low[1]) and np.isnan(bounds.high[1])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1, 1).filter(lambda x: abs(x) > 1e-3), min_size=6, max_size=10, unique=True),
    st.floats(-0.5, 0.5),
)
def test_interval_is_the_inverted_test(differences: list[float], shift: float) -> None:
    """A true difference lies inside the interval exactly when the test of that difference does not reject."""
    values = columns(differences)
    bounds = intervals(values, 0.05)
    gap = min(abs(shift - bounds.low[0]), abs(shift - bounds.high[0]))
    if gap < 1e-3:
        return
    own, _ = p_values(values - shift)
    assert (bounds.low[0] < shift < bounds.high[0]) == bool(own[0] > 0.05)


def test_many_blocks_are_drawn_and_agree_with_the_t_test() -> None:
    """With 40 blocks patterns are drawn; p and interval come out near those of Student, the same at every call."""
    noise = np.random.default_rng(7).normal(0.01, 0.03, 40)
    first, second = p_values(columns(list(noise))), p_values(columns(list(noise)))
    assert first[0][0] == second[0][0]
    student = stats.ttest_1samp(noise, 0)
    assert first[0][0] == pytest.approx(student.pvalue, abs=0.02)  # four standard errors of 8192 patterns
    bounds = intervals(columns(list(noise)), 0.05)
    low, high = student.confidence_interval(0.95)
    assert (bounds.low[0], bounds.high[0]) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_fewest_blocks_for_a_level() -> None:
    """2/2^5 is above 0.05 and 2/2^6 below it; 0.01 needs 2/2^8."""
    assert (blocks_for_level(0.05), blocks_for_level(0.01), blocks_for_level(0.5)) == (6, 8, 2)


@pytest.mark.parametrize("points", [1, 3, 10])
@pytest.mark.parametrize("blocks", [6, 7, 8, 9])
def test_planned_blocks_have_the_power_they_promise(blocks: int, points: int) -> None:
    """The least effect that so many blocks are planned for is found in 80 % of campaigns, at one point of a family."""
    effect = next(
        size for size in np.arange(8.0, 0.5, -0.01) if blocks_to_decide(1.0, size - 0.01, 0.05, points=points) > blocks
    )
    ratios = np.random.default_rng(11).standard_normal((1000, blocks, points))
    ratios[:, :, 0] += effect
    assert (adjusted_p_values(ratios)[:, 0] <= 0.05).mean() >= 0.78


def test_blocks_to_decide_grow_with_the_square_of_the_spread() -> None:
    """Without spread the fewest are enough; twice the effect of spread needs about (1.96 + 1.28)^2 * 4 = 42 blocks."""
    assert blocks_to_decide(0.0, 0.02, 0.05) == 6
    assert 40 <= blocks_to_decide(0.04, 0.02, 0.05) <= 46
    assert blocks_to_decide(0.4, 0.02, 0.05) == pytest.approx(100 * 42, rel=0.02)
    assert blocks_to_decide(0.04, 0.02, 0.05, points=50) > blocks_to_decide(0.04, 0.02, 0.05)
