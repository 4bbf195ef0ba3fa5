"""The per-second trace of a run to a sentence on why it was not in steady state, or to nothing.

A run that speeds up, slows down, steps or flips between two speeds has no one value, and its mean depends on when the
clock was stopped. Two published regressions (-4 % and -3 %) came from two such runs. Thresholds are relative to the
run's median and to its own scatter, so that a trace that is merely rough does not trip the gate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
FEWEST_READINGS = 10
"""A trace with fewer readings cannot show a steady state; the report says so once."""

_SMALLEST_CHANGE = 0.05
"""Below 5 % of the median nothing is reported: 38 of 40 published one-minute runs vary by 2.5 % or less over time."""

_SCATTERS = 3.0
"""A change must also be this many times the scatter that is left when it is taken out."""

_P_VALUE = 0.01
_SHORTEST_LEVEL = 4
"""Readings on each side of a cut: with fewer, chance alone makes steps in a short run."""


def unsteady_reasons(traces: Sequence[Sequence[float]]) -> list[str]:
    """Say for each trace why it is not one of a steady state; an empty string where it is, or is too short to tell.

    :param traces: readings at equal distances, ramp time excluded.
    """
    reasons = [""] * len(traces)
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, trace in enumerate(traces):
        if len(trace) >= FEWEST_READINGS:
            by_length[len(trace)].append(index)
    for indices in by_length.values():
        rows = np.array([traces[index] for index in indices], dtype=np.float64)
        middle = np.median(rows, axis=1)
        usable = np.isfinite(rows).all(axis=1) & (middle > 0)
        rows, kept = rows[usable] / middle[usable, None], np.array(indices)[usable]
        for row in np.flatnonzero(_suspicious(rows)):
            reasons[kept[row]] = _reason(rows[row])
    return reasons


def _suspicious(rows: Array) -> NDArray[np.bool_]:
    """Tell which rows are worth a closer look: a quick test of all at once that no unsteady row fails.

    A straight slope of change c around which the scatter is c / 3 has a best cut of change c / 2 that leaves 0.36 c of
    scatter; everything else that is reported is further from the limits.
    """
    _, change, scatter = _best_cuts(rows)
    moved = (np.abs(change) >= _SMALLEST_CHANGE / 2.5) & (np.abs(change) >= 1.2 * scatter)
    ordered = np.sort(rows, axis=1)
    cut, change, _ = _best_cuts(ordered)
    each = np.arange(len(rows))
    gap = ordered[each, cut] - ordered[each, cut - 1]
    return np.asarray(moved | ((change >= _SMALLEST_CHANGE) & (gap >= change / 2)), dtype=np.bool_)


def _reason(values: Array) -> str:
    trend = _trend(values)
    return _step(values, trend) or _slope(values, trend) or _two_levels(values)


def _step(values: Array, trend: Array) -> str:
    """Find the one cut in time that explains most; a slope has such a cut too, but leaves more scatter on each side."""
    cut, change, scatter = _best_cut(values)
    if abs(change) < _SMALLEST_CHANGE or abs(change) < _SCATTERS * scatter or scatter >= np.std(values - trend):
        return ""
    return f"steps by {100 * change:+.0f} % after reading {cut} of {len(values)}"


def _slope(values: Array, trend: Array) -> str:
    change = float(trend[-1] - trend[0])
    if abs(change) < _SMALLEST_CHANGE or abs(change) < _SCATTERS * np.std(values - trend):
        return ""
    if stats.kendalltau(np.arange(len(values)), values).pvalue >= _P_VALUE:
        return ""
    return f"drifts by {100 * change:+.0f} % from its start to its end"


def _two_levels(values: Array) -> str:
    """Find two speeds that the run flips between: a cut of the sorted readings with an empty stretch around it."""
    ordered = np.sort(values)
    cut, change, scatter = _best_cut(ordered)
    gap = float(ordered[cut] - ordered[cut - 1])
    if change < _SMALLEST_CHANGE or change < 2 * _SCATTERS * scatter or gap < change / 2:
        return ""
    return f"flips between two speeds {100 * change:.0f} % apart"


def _best_cut(values: Array) -> tuple[int, float, float]:
    cut, change, scatter = _best_cuts(values[None, :])
    return int(cut[0]), float(change[0]), float(scatter[0])


def _best_cuts(rows: Array) -> tuple[NDArray[np.intp], Array, Array]:
    """Return per row where to cut so that least scatter is left, the change of the mean there, and that scatter."""
    count = rows.shape[1]
    cuts = np.arange(_SHORTEST_LEVEL, count - _SHORTEST_LEVEL + 1)
    sums, squares = np.cumsum(rows, axis=1), (rows**2).sum(axis=1)
    before, total = sums[:, cuts - 1], sums[:, -1:]
    left, right = before / cuts, (total - before) / (count - cuts)
    rest = squares[:, None] - cuts * left**2 - (count - cuts) * right**2
    best = np.argmin(rest, axis=1)
    each = np.arange(len(rows))
    scatter = np.sqrt(np.maximum(0.0, rest[each, best]) / count)
    return cuts[best], right[each, best] - left[each, best], scatter


def _trend(values: Array) -> Array:
    """Return the straight line through the readings that outliers cannot turn (Theil-Sen)."""
    fit = stats.theilslopes(values)
    return np.asarray(fit.intercept + fit.slope * np.arange(len(values)), dtype=np.float64)
