"""The values of a cell by themselves: median and interval, and what is odd about them, with known false alarm rates.

Nothing is ever dropped for being odd. The thresholds are what 99 % of normal samples of the same size stay below, by
simulation with a fixed seed, because the usual constants are only right for large samples and ours have six values.
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


def outliers(logs: Array, smallest: float) -> NDArray[np.intp]:
    """Return the indices of values far from the median, in units of the median absolute deviation.

    :param logs: logarithms of the values of one cell, finite.
    :param smallest: deviations below this are never reported.
    """
    if len(logs) < FEWEST_VALUES:
        return np.array([], dtype=np.intp)
    deviation = np.abs(logs - np.median(logs))
    limit = max(smallest, _limits(min(len(logs), _LARGEST_TABLE))[0] * float(np.median(deviation)))
    return np.flatnonzero(deviation > limit)


def level_gap(logs: Array, smallest: float) -> tuple[float, int]:
    """Return how far apart the two levels of a sample are, and how many values the lower one has; (0, 0) for one level.

    Two levels: cutting the sorted values in two (two or more on each side) leaves less scatter than it does in 99 % of
    normal samples.

    :param logs: logarithms of the values of one cell, finite.
    :param smallest: levels closer than this are never reported.
    """
    if len(logs) < FEWEST_VALUES:
        return 0.0, 0
    ordered = np.sort(logs)[None, :]
    left, cut, gap = _best_split(ordered)
    if gap[0] < smallest or left[0] > _limits(min(len(logs), _LARGEST_TABLE))[1]:
        return 0.0, 0
    return float(gap[0]), int(cut[0])


def drift(blocks: Array, levels: Array, *, p_value: float = 0.05) -> float:
    """Return the change of log level from the first to the last block if it goes steadily one way, else 0.

    :param blocks: numbers of the blocks.
    :param levels: mean log value of each block, finite.
    """
    if len(levels) < FEWEST_VALUES or np.ptp(levels) == 0:
        return 0.0
    if stats.kendalltau(blocks, levels).pvalue >= p_value:
        return 0.0
    return float(stats.theilslopes(levels, blocks).slope * (blocks.max() - blocks.min()))


def median_interval(values: Array, coverage: float) -> tuple[float, float, float]:
    """Return the median of a sample and the ends of its interval by order statistics, which assumes no distribution.

    With fewer values than the coverage needs (6 for 0.95) the ends are the smallest and the largest.

    :param values: finite, at least one.
    """
    ordered = np.sort(values)
    # The interval from the k-th smallest to the k-th largest misses when fewer than k values lie on one side.
    rank = max(1, int(stats.binom.ppf((1 - coverage) / 2, len(ordered), 0.5)))
    return float(np.median(ordered)), float(ordered[rank - 1]), float(ordered[-rank])


@lru_cache(maxsize=_LARGEST_TABLE)
def _limits(count: int) -> tuple[float, float]:
    """Return the largest outlier (in median absolute deviations) and least scatter left that are ordinary."""
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
