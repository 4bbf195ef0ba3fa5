"""The values of cells by themselves: medians, intervals, and what is odd about them, with known false alarm rates.

Nothing is ever dropped for being odd. The thresholds are what 99 % of normal samples of the same size stay below, by
simulation with a fixed seed, because the usual constants are only right for large samples and ours have six values.

Arrays of cells have one row per cell and NaN where a value is missing.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

FEWEST_VALUES = 5
_LARGEST_TABLE = 100
_SIMULATED = 4000
_QUANTILE = 0.99
_SEED = 20250311
_DRIFT_P = 0.05
_LARGEST_DRIFT = 50.0
"""Block numbers may be absurdly far apart; the line through them must still have an exponential."""


def medians(cells: Array) -> Array:
    """Return the median of each cell; NaN for one without any value."""
    if not cells.size:
        return np.full(len(cells), np.nan)
    ordered, counts = np.sort(cells, axis=1), np.isfinite(cells).sum(axis=1)
    each, last = np.arange(len(cells)), np.maximum(counts - 1, 0)
    return np.asarray((ordered[each, last // 2] + ordered[each, (last + 1) // 2]) / 2, dtype=np.float64)


def outliers(cells: Array, smallest: float) -> NDArray[np.bool_]:
    """Tell which values are far from their cell's median, in units of the median absolute deviation.

    :param cells: logarithms.
    :param smallest: deviations below this are never reported.
    """
    deviation = np.abs(cells - medians(cells)[:, None])
    limits = np.array([_limits(count)[0] for count in np.isfinite(cells).sum(axis=1)])
    with np.errstate(invalid="ignore"):
        return np.asarray(deviation > np.maximum(smallest, limits * medians(deviation))[:, None], dtype=np.bool_)


def level_gaps(cells: Array, smallest: float) -> tuple[Array, NDArray[np.intp]]:
    """Return how far apart the two levels of each cell are, and how many values the lower one has; 0 for one level.

    Two levels: cutting the sorted values in two (two or more on each side) leaves less scatter than it does in 99 % of
    normal samples.

    :param cells: logarithms.
    :param smallest: levels closer than this are never reported.
    """
    gaps, lower = np.zeros(len(cells)), np.zeros(len(cells), dtype=np.intp)
    counts, ordered = np.isfinite(cells).sum(axis=1), np.sort(cells, axis=1)
    for count in np.unique(counts[counts >= FEWEST_VALUES]):
        rows = np.flatnonzero(counts == count)
        left, cut, gap = _best_split(ordered[rows, :count])
        found = (gap >= smallest) & (left <= _limits(count)[1])
        gaps[rows[found]], lower[rows[found]] = gap[found], cut[found]
    return gaps, lower


def drift(blocks: Array, levels: Array) -> float:
    """Return the change of log level from the first to the last block if it goes steadily one way, else 0.

    :param blocks: numbers of the blocks.
    :param levels: mean log value of each block, finite.
    """
    if len(levels) < FEWEST_VALUES or np.ptp(levels) == 0:
        return 0.0
    if stats.kendalltau(blocks, levels).pvalue >= _DRIFT_P:
        return 0.0
    change = stats.theilslopes(levels, blocks).slope * (blocks.max() - blocks.min())
    return float(np.clip(change, -_LARGEST_DRIFT, _LARGEST_DRIFT))


def median_interval(values: Array, coverage: float) -> tuple[float, float, float]:
    """Return the median of a sample and the ends of its interval by order statistics, which assumes no distribution.

    With fewer values than the coverage needs (6 for 0.95) the ends are the smallest and the largest.

    :param values: finite, at least one.
    """
    ordered = np.sort(values)
    # The interval from the k-th smallest to the k-th largest misses when fewer than k values lie on one side.
    rank = max(1, int(stats.binom.ppf((1 - coverage) / 2, len(ordered), 0.5)))
    return float(np.median(ordered)), float(ordered[rank - 1]), float(ordered[-rank])


def _limits(count: int) -> tuple[float, float]:
    """Return the largest outlier (in median absolute deviations) and least scatter left that are ordinary."""
    if count < FEWEST_VALUES:
        return np.inf, 0.0
    return _simulated_limits(min(int(count), _LARGEST_TABLE))


@lru_cache(maxsize=_LARGEST_TABLE)
def _simulated_limits(count: int) -> tuple[float, float]:
    normal = np.sort(np.random.default_rng(_SEED).standard_normal((_SIMULATED, count)), axis=1)
    deviation = np.abs(normal - np.median(normal, axis=1, keepdims=True))
    outlier = deviation.max(axis=1) / np.median(deviation, axis=1)
    left, _, _ = _best_split(normal)
    return float(np.quantile(outlier, _QUANTILE)), float(np.quantile(left, 1 - _QUANTILE))


def _best_split(ordered: Array) -> tuple[Array, NDArray[np.intp], Array]:
    """Return per sorted row the least share of scatter left by a cut, the size of the lower part, and the distance."""
    count = ordered.shape[1]
    cuts = np.arange(2, count - 1)
    centred = ordered - ordered.mean(axis=1, keepdims=True)
    sums = np.cumsum(centred, axis=1)[:, cuts - 1]
    total = (centred**2).sum(axis=1)
    explained = sums**2 * count / (cuts * (count - cuts))
    best = np.argmax(explained, axis=1)
    rows = np.arange(len(ordered))
    cut = cuts[best]
    gap = -sums[rows, best] * count / (cut * (count - cut))
    with np.errstate(invalid="ignore"):
        left = np.where(total > 0, 1 - explained[rows, best] / total, 1.0)
    return left, cut, gap
