"""Many campaigns at once: log ratios of thousands of simulated or resampled experiments to what the rule says of each.

The same test as in lab/analysis/signflip.py, with one more axis, so that simulations of thousands of campaigns take
seconds. A test holds the two to the same p-values.

Arrays are campaigns x blocks x points, without missing pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.analysis.signflip import blocks_for_level, flip_patterns, subset_rows

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_CHUNK_BYTES = 64 << 20
_TIE = 1e-6


@dataclass(frozen=True)
class Called:
    """What the rule says of each campaign and point; campaigns x points.

    :param lower: the candidate's value is called lower.
    :param higher: it is called higher.
    :param unchanged: a change as large as the smallest effect is ruled out.
    """

    lower: Flags
    higher: Flags
    unchanged: Flags

    @property
    def alarms(self) -> Flags:
        """Return which campaigns call a change at any point."""
        return np.asarray((self.lower | self.higher).any(axis=1), dtype=np.bool_)


def called(ratios: Array, *, alpha: float, smallest_effect: float | Array) -> Called:
    """Judge campaigns as lab/analysis/family.py judges one, with all their points as one family.

    :param ratios: log ratios of candidate to baseline.
    :param smallest_effect: relative change that matters, of all points or of each.
    """
    campaigns, blocks, points = ratios.shape
    if blocks < blocks_for_level(alpha):
        nothing = np.zeros((campaigns, points), dtype=np.bool_)
        return Called(nothing, nothing.copy(), nothing.copy())
    adjusted = adjusted_p_values(ratios)
    low, high = _bounds(ratios, alpha)
    unchanged = (np.exp(low) >= 1 - smallest_effect) & (np.exp(high) <= 1 + smallest_effect)
    changed = (adjusted <= alpha) & ~unchanged
    return Called(changed & (high < 0), changed & (low > 0), unchanged)


def adjusted_p_values(ratios: Array) -> Array:
    """Return the p-values of each campaign, adjusted over its points (step-down largest |t|)."""
    campaigns, blocks, points = ratios.shape
    patterns = flip_patterns(blocks)
    result = np.empty((campaigns, points))
    step = max(1, _CHUNK_BYTES // (8 * len(patterns) * points))
    for start in range(0, campaigns, step):
        chosen = ratios[start : start + step]
        # |mean| over the root of squares: with no pair missing it orders patterns and points as |t| does.
        size = np.sqrt((chosen**2).sum(axis=1))
        sums = np.abs(np.matmul(patterns, chosen)) / np.where(size > 0, size, np.inf)[:, None, :]
        order = np.argsort(-sums[:, 0, :], axis=1, kind="stable")
        ordered = np.take_along_axis(sums, order[:, None, :], axis=2)
        largest = np.maximum.accumulate(ordered[:, :, ::-1], axis=2)[:, :, ::-1]
        family = (largest >= ordered[:, :1, :] * (1 - _TIE)).mean(axis=1)
        np.put_along_axis(result[start : start + step], order, np.maximum.accumulate(family, axis=1), axis=1)
    return result


def _bounds(ratios: Array, alpha: float) -> tuple[Array, Array]:
    campaigns, blocks, points = ratios.shape
    subsets = subset_rows(blocks)
    sizes = subsets.sum(axis=1)[:, None]
    rank = max(1, math.floor(alpha / 2 * (len(subsets) + 1) + _TIE))
    low, high = np.empty((campaigns, points)), np.empty((campaigns, points))
    step = max(1, _CHUNK_BYTES // (8 * len(subsets) * points))
    for start in range(0, campaigns, step):
        means = np.matmul(subsets, ratios[start : start + step]) / sizes
        ordered = np.partition(means, (rank - 1, len(subsets) - rank), axis=1)
        low[start : start + step] = ordered[:, rank - 1]
        high[start : start + step] = ordered[:, len(subsets) - rank]
    return low, high
