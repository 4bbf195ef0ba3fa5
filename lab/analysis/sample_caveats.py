"""Pairs to caveats: what is odd about the values of each point, and of all of them together."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lab.analysis.caveats import Caveat, CaveatKind
from lab.analysis.frame import Pairs
from lab.analysis.samples import Array, drift, level_gaps, medians, outliers
from lab.record import Arm
from lab.units import Metric


def sample_caveats(pairs: Pairs, effect: float) -> list[list[Caveat]]:
    """Return, for each point, what is odd about its values: missing pairs, several hosts, outliers, two levels.

    :param effect: the smallest relative change that matters; oddities below it are not worth a sentence.
    """
    found: list[list[Caveat]] = [[] for _ in pairs.points]
    sides = {Arm.BASELINE: pairs.baseline, Arm.CANDIDATE: pairs.candidate}
    missing = {arm: np.isnan(values).sum(axis=0) for arm, values in sides.items()}
    for column in np.flatnonzero(sum(missing.values())):
        parts = ", ".join(f"{counts[column]} without {arm.value}" for arm, counts in missing.items() if counts[column])
        text = f"of {len(pairs.blocks)} blocks, {parts}: those pairs are missing"
        found[column].append(Caveat(CaveatKind.MISSING, text))
    _add_hosts(found, pairs)
    for arm, values in sides.items():
        for column in np.flatnonzero((values <= 0).any(axis=0)):
            text = f"{arm.value} has values of zero or less, which have no ratio"
            found[column].append(Caveat(CaveatKind.MISSING, text))
        _add_oddities(found, pairs, arm, _logs(values), math.log1p(effect))
    return found


def _logs(values: Array) -> Array:
    """Return logarithms; NaN where there is none."""
    return np.asarray(np.log(np.where(values > 0, values, np.nan)), dtype=np.float64)


def _add_oddities(found: list[list[Caveat]], pairs: Pairs, arm: Arm, logs: Array, smallest: float) -> None:
    cells = logs.T
    middle = medians(cells)
    for column, row in np.argwhere(outliers(cells, smallest)):
        away = 100 * math.expm1(cells[column, row] - middle[column])
        text = f"{pairs.runs[arm][row, column]} is an outlier ({away:+.0f} % from its cell's median); it counts"
        found[column].append(Caveat(CaveatKind.OUTLIER, text))
    gaps, lower = level_gaps(cells, smallest)
    counts = np.isfinite(cells).sum(axis=1)
    for column in np.flatnonzero(gaps):
        sizes = f"{lower[column]} and {counts[column] - lower[column]} runs"
        text = f"{arm.value} has two levels {100 * math.expm1(gaps[column]):.0f} % apart ({sizes})"
        found[column].append(Caveat(CaveatKind.TWO_LEVELS, text))


def _add_hosts(found: list[list[Caveat]], pairs: Pairs) -> None:
    """Add what each host says where blocks were run on several: a mean over hosts that disagree describes none."""
    if len(pairs.host_names) < 2:
        return
    ratios = pairs.log_ratios()
    for column in range(len(pairs.points)):
        parts = []
        for host in pairs.host_names:
            own = ratios[np.isfinite(ratios[:, column]) & (pairs.hosts[:, column] == host), column]
            if len(own):
                parts.append(f"{100 * math.expm1(own.mean()):+.1f} % on {host} ({len(own)})")
        if len(parts) > 1:
            text = f"blocks of {len(parts)} hosts: {', '.join(parts)}"
            found[column].append(Caveat(CaveatKind.HOSTS, text))


def drift_caveats(pairs: Pairs, metric: Metric, effect: float) -> Iterator[Caveat]:
    """Yield a caveat where the level of all cells together moves steadily over the blocks."""
    logs = _logs(np.concatenate([pairs.baseline, pairs.candidate], axis=1))
    cells = logs[:, np.isfinite(logs).sum(axis=0) > 0]
    centred = cells - np.nanmean(cells, axis=0)
    full = np.isfinite(centred).any(axis=1)
    if not full.any():
        return
    change = drift(np.asarray(pairs.blocks, dtype=np.float64)[full], np.nanmean(centred[full], axis=1))
    if abs(change) >= math.log1p(effect):
        yield Caveat(
            CaveatKind.DRIFT,
            f"{metric.title} of both arms drifts by {100 * math.expm1(change):+.0f} % from first block to last: "
            "out of the comparison by pairing, not out of the absolute values",
        )
