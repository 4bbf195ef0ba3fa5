"""Values of cells to what the pictures of latency and of CPU time show. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lab.analysis.compare import Comparison
from lab.analysis.samples import median_interval
from lab.record import Arm, Cell, Point
from lab.report.chart_data import Mark, Panel
from lab.report.charts import CellCost

Array = NDArray[np.float64]

_PERCENTILES = {"clat_p50_ns": "p50", "clat_p99_ns": "p99", "clat_p999_ns": "p99.9"}
_TOTAL = "cpu_ns_per_io"
_PARTS = ("iothread_cpu_ns_per_io", "vcpu_cpu_ns_per_io", "main_loop_cpu_ns_per_io")


def percentile_panels(comparison: Comparison) -> tuple[tuple[str, ...], tuple[Panel, ...]]:
    """Return the percentiles of completion latency that were measured, and one panel per point with both arms."""
    values = _values(comparison)
    names = tuple(name for name in _PERCENTILES if any(metric == name for _, _, metric in values))
    panels = tuple(
        Panel(point.id, {arm: tuple(_marks(values, comparison, Cell(arm, point), names)) for arm in Arm})
        for point in _points(comparison)
        if any((point.id, arm.value, name) in values for arm in Arm for name in names)
    )
    return tuple(_PERCENTILES[name] for name in names), panels


def cell_costs(comparison: Comparison) -> tuple[CellCost, ...]:
    """Return the CPU time per I/O of every cell that was measured, points in order, baseline first."""
    values = _values(comparison)
    costs = []
    for point in _points(comparison):
        for arm in Arm:
            found = values.get((point.id, arm.value, _TOTAL))
            if found is None:
                continue
            middle, low, high = median_interval(found, _coverage(comparison))
            known = [values.get((point.id, arm.value, name)) for name in _PARTS]
            parts = [0.0 if part is None else float(np.median(part)) for part in known]
            # Medians need not add up; what is left over is never less than nothing.
            rest = max(0.0, middle - sum(parts))
            costs.append(CellCost(point.id, arm, (*parts, rest), middle, low, high))
    return tuple(costs)


def _marks(
    values: Mapping[tuple[str, str, str], Array], comparison: Comparison, cell: Cell, names: Sequence[str]
) -> Iterator[Mark]:
    for place, name in enumerate(names):
        found = values.get((cell.point.id, cell.arm.value, name))
        if found is not None:
            yield Mark(place, *median_interval(found, _coverage(comparison)), tuple(map(float, found)))


def _values(comparison: Comparison) -> dict[tuple[str, str, str], Array]:
    """Return the values by (point, arm, metric), in the order of the blocks."""
    wanted = comparison.frame[comparison.frame["metric"].isin([*_PERCENTILES, _TOTAL, *_PARTS])]
    groups = wanted.sort_values("block", kind="stable").groupby(["point", "arm", "metric"], sort=False)
    return {
        (str(point), str(arm), str(metric)): rows["value"].to_numpy(dtype=np.float64)
        for (point, arm, metric), rows in groups
    }


def _points(comparison: Comparison) -> tuple[Point, ...]:
    return tuple(dict.fromkeys(point.point for point in comparison.judged))


def _coverage(comparison: Comparison) -> float:
    return 1 - comparison.results.question.alpha
