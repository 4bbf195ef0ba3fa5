"""A history of values to where it changed for good: ruptures (change of the mean of logarithms) and its penalty.

Ordinary variation must not be cut. The noise is estimated from differences of neighbours, which a few steps do not
blow up, values far from their neighbours count only as far as two of its deviations, so that a single odd result is no
change, and a cut costs what the best single cut gains in all but 4 % of simulated histories of the same length that
have no change (fixed seed); with several histories, in all but their share of 4 %. Usual penalties are right for long
histories only, and ours begin with six values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import ruptures
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]

FEWEST_VALUES = 6
"""A history with fewer values has no noise to compare a change with."""

_SHORTEST_LEVEL = 2
_LEAST_NOISE = 1e-4
"""Values that are counted (instructions) repeat exactly: what is less than a hundredth of a percent is no change."""

_NORMAL_MAD = 0.6745
_LONGEST_TABLE = 200
_SIMULATED = 4000
_CUT = 0.04
_NEIGHBOURS = 5
_FARTHEST = 2.0
_SEED = 20251104


@dataclass(frozen=True)
class Level:
    """A stretch of a history without a change.

    :param first: index of its first value.
    :param last: index of its last value.
    :param middle: geometric mean of its values.
    """

    first: int
    last: int
    middle: float


def levels_of(values: Sequence[float], histories: int = 1) -> tuple[Level, ...]:
    """Return the levels of a history, in order; one where nothing changed or there are too few values to tell.

    :param values: positive, in the order in which they were measured.
    :param histories: how many are looked at together; the chance that any is cut by noise is shared.
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    ends = [len(logs)]
    if len(logs) >= FEWEST_VALUES:
        noise = max(_LEAST_NOISE, float(_noise(logs[None, :])[0]))
        finder = ruptures.KernelCPD(kernel="linear", min_size=_SHORTEST_LEVEL)  # PELT in C, cost: squares of distances
        tamed = _tamed(logs[None, :] / noise)[0][:, None]
        found = finder.fit_predict(tamed, pen=_penalty(min(len(logs), _LONGEST_TABLE), histories))
        ends = [int(end) for end in found]  # numpy's own integers, which JSON does not know
    starts = [0, *ends[:-1]]
    return tuple(
        Level(start, end - 1, float(np.exp(logs[start:end].mean()))) for start, end in zip(starts, ends, strict=True)
    )


def _noise(histories: Array) -> Array:
    """Return the standard deviation of a value around its level, for each row."""
    steps = np.abs(np.diff(histories, axis=1))
    return np.asarray(np.median(steps, axis=1) / _NORMAL_MAD / math.sqrt(2), dtype=np.float64)


def _tamed(histories: Array) -> Array:
    """Return histories, in units of their noise, with values far from the median of their neighbours moved nearer."""
    middle = ndimage.median_filter(histories, size=(1, _NEIGHBOURS), mode="nearest")
    return np.asarray(np.clip(histories, middle - _FARTHEST, middle + _FARTHEST), dtype=np.float64)


@lru_cache(maxsize=_LONGEST_TABLE)
def _penalty(count: int, histories: int) -> float:
    """Return what a cut must gain, in squares of the noise."""
    rows = np.random.default_rng(_SEED).standard_normal((_SIMULATED, count))
    rows = _tamed(rows / _noise(rows)[:, None])
    cuts = np.arange(_SHORTEST_LEVEL, count - _SHORTEST_LEVEL + 1)
    centred = rows - rows.mean(axis=1, keepdims=True)
    sums = np.cumsum(centred, axis=1)[:, cuts - 1]
    gains = (sums**2 * count / (cuts * (count - cuts))).max(axis=1)
    return float(np.quantile(gains, 1 - _CUT / histories))
