"""Exact paired inference by flipping signs: differences of blocks in, p-values and intervals out.

The schedule puts the two arms of every point into a random order within each block. If the series changes nothing,
swapping the names of the arms in a block changes nothing either, so the differences of that block could as well have
had the other sign, all points together. Every pattern of signs is then equally probable, whatever the noise looks like
(heavy tails, two levels, drift, correlated neighbours), and counting patterns gives exact p-values:

- over several points by the largest |t| of any point (step-down, Westfall and Young 1993; Romano and Wolf 2005), which
  needs no more blocks for ten points that move together than for one;
- the interval for one point by inverting the same test, whose ends are means of subsets of the differences
  (Hartigan, "Using subsample values as typical values", 1969).

Arrays are blocks x points; NaN marks a pair that is missing. Why these methods: docs/decisions/0006-statistics.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

EXACT_BLOCKS = 14
"""Up to this many blocks every pattern is enumerated; beyond, as many are drawn with a fixed seed."""

_DRAWN_SUBSETS = 1 << EXACT_BLOCKS
_DRAWN_PATTERNS = _DRAWN_SUBSETS // 2  # a pattern and its mirror image count as one
_SEED = 20250213
_CHUNK_BYTES = 64 << 20
_TIE = 1e-6
_LARGEST_TABLE = 1000
_POWER = 0.8


@dataclass(frozen=True)
class Intervals:
    """Intervals of the mean difference, one per point.

    :param low: lower ends; NaN where there are fewer than two pairs.
    :param high: upper ends, likewise.
    :param coverage: what they really cover: at least the asked level where the pairs suffice, less where they do not.
    """

    low: Array
    high: Array
    coverage: Array


def blocks_for_level(alpha: float) -> int:
    """Return the fewest blocks with which a two-sided p-value can be as small as ``alpha``: 6 for 0.05."""
    return 1 + math.ceil(math.log2(1 / alpha))


def p_values(differences: Array) -> tuple[Array, Array]:
    """Return each point's own p-value and its family-wise adjusted one, both two-sided.

    :param differences: blocks x points; log ratios.
    """
    if differences.size == 0:
        ones = np.ones(differences.shape[1])
        return ones, ones.copy()
    patterns = flip_patterns(len(differences))
    observed = _flipped_t(differences, patterns[:1])[0]
    order = np.argsort(-observed, kind="stable")
    threshold = observed[order] * (1 - _TIE)  # ties count against us, so rounding cannot help
    own, family = np.zeros(len(order)), np.zeros(len(order))
    step = max(1, _CHUNK_BYTES // (8 * len(order)))
    for start in range(0, len(patterns), step):
        t = _flipped_t(differences, patterns[start : start + step])[:, order]
        own += (t >= threshold).sum(axis=0)
        # Column j of the running maximum: the largest |t| among point j and all points that look less extreme than it.
        largest = np.maximum.accumulate(t[:, ::-1], axis=1)[:, ::-1]
        family += (largest >= threshold).sum(axis=0)
    back = np.argsort(order)
    adjusted = np.maximum.accumulate(family)
    return own[back] / len(patterns), adjusted[back] / len(patterns)


def intervals(differences: Array, alpha: float) -> Intervals:
    """Return the interval of each point's mean difference that covers at least ``1 - alpha``, where the pairs suffice.

    With too few pairs the widest interval there is (smallest to largest difference) is given with its real coverage.

    :param differences: blocks x points; log ratios.
    """
    points = differences.shape[1]
    low, high, coverage = np.full(points, np.nan), np.full(points, np.nan), np.zeros(points)
    present = np.isfinite(differences)
    shapes, members = np.unique(present, axis=1, return_inverse=True)
    for index in range(shapes.shape[1]):
        rows = np.flatnonzero(shapes[:, index])
        columns = np.flatnonzero(members.ravel() == index)
        if len(rows) < 2:
            continue
        subsets = subset_rows(len(rows))
        total = len(subsets) + 1
        rank = max(1, math.floor(alpha / 2 * total + _TIE))
        low[columns], high[columns] = _subset_means_at(subsets, differences[np.ix_(rows, columns)], rank)
        coverage[columns] = 1 - 2 * rank / total
    return Intervals(low, high, coverage)


def blocks_to_decide(spread: float, effect: float, alpha: float, *, points: int = 1) -> int:
    """Return how many blocks would settle a point, one way or the other.

    With that many, a true difference of ``effect`` is found and a true difference of 0 is shown to be smaller than
    ``effect``, each with a probability of 80 %, if the differences are roughly normal.

    :param spread: standard deviation of a block's difference of logs.
    :param effect: smallest difference of logs that matters, positive.
    :param points: size of the family; its correction is taken at its worst (Bonferroni), so this errs upwards.
    """
    fewest = blocks_for_level(alpha)
    if spread <= 0:
        return fewest
    ratio = effect / spread
    table = _ratios_needed(alpha, points)
    place = int(np.searchsorted(-table, -ratio))
    if place < len(table):
        return fewest + place
    # Beyond the table the t distribution is the normal one: the number grows with the square of the spread.
    return math.ceil((float(table[-1]) / ratio) ** 2 * (fewest + len(table) - 1))


@lru_cache(maxsize=64)
def _ratios_needed(alpha: float, points: int) -> Array:
    """Return the effect, in spreads, that each number of blocks settles, from the fewest blocks on; it falls."""
    fewest = blocks_for_level(alpha)
    blocks = np.arange(fewest, _LARGEST_TABLE)
    # Finding by signs, over a family, takes about a block more than by t, and two at the fewest, where one pattern only
    # decides: without them the power there is 0.5 to 0.75 by simulation.
    like = np.maximum(2, blocks - 1 - (blocks == fewest))
    find = (stats.t.ppf(1 - alpha / 2 / points, like - 1) + stats.t.ppf(_POWER, like - 1)) * np.sqrt(blocks / like)
    # Showing "no change" must succeed on both sides, so each side may fail half as often.
    rule_out = stats.t.ppf(1 - alpha / 2, blocks - 1) + stats.t.ppf(1 - (1 - _POWER) / 2, blocks - 1)
    return np.asarray(np.maximum(find, rule_out) / np.sqrt(blocks), dtype=np.float64)


def _flipped_t(differences: Array, patterns: Array) -> Array:
    """Return |t|, patterns x points."""
    present = np.isfinite(differences)
    values = np.where(present, differences, 0.0)
    count = present.sum(axis=0)
    squares = (values**2).sum(axis=0)
    sums = patterns @ values
    with np.errstate(divide="ignore", invalid="ignore"):
        # Flipping leaves the sum of squares alone; u is the share of it that the mean explains, t a monotone form of u
        # that is comparable between points with different numbers of pairs.
        u = np.minimum(sums**2 / (count * squares), 1.0)
        t = np.sqrt((count - 1) * u / (1 - u))
    t[u > 1 - _TIE] = np.inf
    t[:, (count < 2) | (squares == 0)] = 0.0
    return np.asarray(t, dtype=np.float64)


@lru_cache(maxsize=4)
def flip_patterns(blocks: int) -> Array:
    """Return sign patterns, patterns x blocks, the observed one (all +1) first.

    A pattern and its mirror image have the same |t|, so half of them is enough.
    """
    if blocks <= EXACT_BLOCKS:
        codes = np.arange(1 << (blocks - 1))
        bits = (codes[:, None] >> np.arange(blocks)[None, :]) & 1
    else:
        bits = np.random.default_rng(_SEED).integers(0, 2, size=(_DRAWN_PATTERNS, blocks))
        bits[0] = 0
    return np.asarray(1.0 - 2.0 * bits)


@lru_cache(maxsize=16)
def subset_rows(blocks: int) -> Array:
    """Return non-empty subsets of the blocks as rows of 0 and 1."""
    if blocks <= EXACT_BLOCKS:
        codes = np.arange(1, 1 << blocks)
        bits = (codes[:, None] >> np.arange(blocks)[None, :]) & 1
    else:
        bits = np.random.default_rng(_SEED).integers(0, 2, size=(_DRAWN_SUBSETS - 1, blocks))
        bits = bits[bits.any(axis=1)]
    return np.asarray(bits, dtype=np.float64)


def _subset_means_at(subsets: Array, differences: Array, rank: int) -> tuple[Array, Array]:
    """Return the rank-th smallest and rank-th largest mean over all subsets, per point."""
    sizes = subsets.sum(axis=1)[:, None]
    step = max(1, _CHUNK_BYTES // (8 * len(subsets)))
    lows, highs = [], []
    for start in range(0, differences.shape[1], step):
        means = subsets @ differences[:, start : start + step] / sizes
        ordered = np.partition(means, (rank - 1, len(subsets) - rank), axis=0)
        lows.append(ordered[rank - 1])
        highs.append(ordered[len(subsets) - rank])
    return np.concatenate(lows), np.concatenate(highs)
