"""The per-second trace of a run to a sentence on why it was not in steady state, or to nothing.

A run that speeds up, slows down, steps or flips between two speeds has no one value, and its mean depends on when the
clock was stopped. Two published regressions (-4 % and -3 %) came from two such runs. Thresholds are relative to the
run's median and to its own scatter, so that a trace that is merely rough does not trip the gate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FEWEST_READINGS = 10
"""A trace with fewer readings cannot show a steady state; the report says so once."""

_SMALLEST_CHANGE = 0.05
"""Below 5 % of the median nothing is reported: 38 of 40 published one-minute runs vary by 2.5 % or less over time."""

_SCATTERS = 3.0
"""A change must also be this many times the scatter that is left when it is taken out."""

_P_VALUE = 0.01
_SHORTEST_LEVEL = 4
"""Readings on each side of a cut: with fewer, chance alone makes steps in a short run."""


def unsteady_reason(trace: Sequence[float]) -> str:
    """Say why a trace is not one of a steady state; an empty string where it is, or is too short to tell.

    :param trace: readings at equal distances, ramp time excluded.
    """
    values = np.asarray(trace, dtype=np.float64)
    if len(values) < FEWEST_READINGS or not np.isfinite(values).all() or np.median(values) <= 0:
        return ""
    values = values / np.median(values)
    return _step(values) or _slope(values) or _two_levels(values)


def _step(values: NDArray[np.float64]) -> str:
    """Find the one cut in time that explains most; a slope has such a cut too, but leaves more scatter on each side."""
    cut, change, scatter = _best_cut(values)
    trend = _trend(values)
    residual = float(np.std(values - trend))
    if abs(change) < _SMALLEST_CHANGE or abs(change) < _SCATTERS * scatter or scatter >= residual:
        return ""
    return f"steps by {100 * change:+.0f} % after reading {cut} of {len(values)}"


def _slope(values: NDArray[np.float64]) -> str:
    trend = _trend(values)
    change = float(trend[-1] - trend[0])
    scatter = float(np.std(values - trend))
    if abs(change) < _SMALLEST_CHANGE or abs(change) < _SCATTERS * scatter:
        return ""
    if stats.kendalltau(np.arange(len(values)), values).pvalue >= _P_VALUE:
        return ""
    return f"drifts by {100 * change:+.0f} % from its start to its end"


def _two_levels(values: NDArray[np.float64]) -> str:
    """Find two speeds that the run flips between: a cut of the sorted readings with an empty stretch around it."""
    ordered = np.sort(values)
    cut, change, scatter = _best_cut(ordered)
    gap = float(ordered[cut] - ordered[cut - 1])
    if change < _SMALLEST_CHANGE or change < 2 * _SCATTERS * scatter or gap < change / 2:
        return ""
    return f"flips between two speeds {100 * change:.0f} % apart"


def _best_cut(values: NDArray[np.float64]) -> tuple[int, float, float]:
    """Return where to cut so that least scatter is left, the change of the mean there, and that scatter."""
    count = len(values)
    cuts = np.arange(_SHORTEST_LEVEL, count - _SHORTEST_LEVEL + 1)
    sums, squares = np.cumsum(values), np.cumsum(values**2)
    left, right = sums[cuts - 1] / cuts, (sums[-1] - sums[cuts - 1]) / (count - cuts)
    rest = squares[-1] - cuts * left**2 - (count - cuts) * right**2
    best = int(np.argmin(rest))
    scatter = float(np.sqrt(max(0.0, rest[best]) / count))
    return int(cuts[best]), float(right[best] - left[best]), scatter


def _trend(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the straight line through the readings that outliers cannot turn (Theil-Sen)."""
    fit = stats.theilslopes(values)
    return np.asarray(fit.intercept + fit.slope * np.arange(len(values)), dtype=np.float64)
