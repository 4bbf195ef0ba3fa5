"""A comparison to what is drawn: panels, positions and heights. Pure; lab/report/charts.py makes pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.analysis.compare import Comparison, planned_runs
from lab.analysis.frame import Pairs, pairs_from_frame
from lab.analysis.samples import median_interval
from lab.record import Arm, Level, Outcome, Point, text_from_level
from lab.report.reference import PublishedTable
from lab.units import Metric

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """What is known at one place of the axis.

    :param place: index of the level on the axis.
    :param values: all runs (or blocks) there.
    """

    place: int
    median: float
    low: float
    high: float
    values: tuple[float, ...]


@dataclass(frozen=True)
class Panel:
    """One axis with both arms.

    :param title: the levels of the factors that are not on the axis; empty for a single panel.
    :param reference: (place, height) of a published table, empty where none was asked for or none fits.
    """

    title: str
    arms: dict[Arm, tuple[Mark, ...]]
    reference: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class RunMark:
    """One attempt in the order of the schedule.

    :param order: place in the schedule, from 1.
    :param value: None for an attempt without the metric: it failed.
    """

    order: int
    block: int
    arm: Arm
    value: float | None


def axis_factor(comparison: Comparison) -> str | None:
    """Return the factor on the axis: that of the reference, else the first with several levels, else any."""
    points = [point.point for point in comparison.judged]
    levels: dict[str, set[Level]] = {}
    for point in points:
        for name, level in point.levels:
            levels.setdefault(name, set()).add(level)
    question = comparison.results.question
    if question.reference and question.reference.factor in levels:
        return question.reference.factor
    names = [*(name for name in question.factors if name in levels), *levels]
    return next((name for name in names if len(levels[name]) > 1), next(iter(names), None))


def axis_levels(comparison: Comparison, factor: str | None) -> tuple[Level, ...]:
    """Return the levels on the axis, in the order of the points."""
    found = dict.fromkeys(dict(point.point.levels).get(factor or "", "all") for point in comparison.judged)
    return tuple(found)


def value_panels(comparison: Comparison, metric: Metric, factor: str | None) -> tuple[Panel, ...]:
    """Return one panel per combination of the other factors: the values of a metric over the factor."""
    return _panels(comparison, metric, factor, relative=False)


def speed_up_panels(comparison: Comparison, metric: Metric, factor: str | None) -> tuple[Panel, ...]:
    """Return the same, each value relative to the first level in the same block and arm."""
    return _panels(comparison, metric, factor, relative=True)


def with_reference(panel: Panel, levels: Sequence[Level], table: PublishedTable) -> Panel:
    """Return the panel with a published table scaled to our baseline at the first level that both have.

    The result lacks it where the levels have none in common or our baseline has no value there.
    """
    published = dict(table.rows)
    places = [place for place, level in enumerate(levels) if level in published]
    ours = {mark.place: mark.median for mark in panel.arms[Arm.BASELINE]}
    if not places or places[0] not in ours:
        return panel
    scale = ours[places[0]] / published[levels[places[0]]]
    return Panel(panel.title, panel.arms, tuple((place, published[levels[place]] * scale) for place in places))


def runs_by_point(comparison: Comparison, metric: Metric) -> dict[Point, tuple[RunMark, ...]]:
    """Return every attempt of every point, failed ones too, in the order of the schedule."""
    order = {run: place for place, run in enumerate(planned_runs(comparison.results), start=1)}
    marks: dict[Point, list[RunMark]] = {point.point: [] for point in comparison.judged}
    for record in comparison.results.records:
        value = record.metrics.get(metric.name) if record.outcome is Outcome.OK else None
        scheduled = record.scheduled
        mark = RunMark(order[scheduled], scheduled.block, scheduled.cell.arm, value)
        marks.setdefault(scheduled.cell.point, []).append(mark)
    return {point: tuple(sorted(found, key=lambda mark: mark.order)) for point, found in marks.items()}


def _panels(comparison: Comparison, metric: Metric, factor: str | None, *, relative: bool) -> tuple[Panel, ...]:
    points = tuple(dict.fromkeys(point.point for point in comparison.judged))
    blocks = tuple(sorted({run.block for run in planned_runs(comparison.results)}))
    pairs = pairs_from_frame(comparison.frame, metric.name, points, blocks)
    levels = axis_levels(comparison, factor)
    groups: dict[tuple[tuple[str, Level], ...], list[int]] = {}
    for column, point in enumerate(points):
        others = tuple((name, level) for name, level in point.levels if name != factor)
        groups.setdefault(others, []).append(column)
    coverage = 1 - comparison.results.question.alpha
    return tuple(
        Panel(
            title=", ".join(f"{name} {text_from_level(level)}" for name, level in others),
            arms={arm: _marks(pairs, arm, columns, factor, levels, coverage, relative=relative) for arm in Arm},
        )
        for others, columns in groups.items()
    )


def _marks(
    pairs: Pairs,
    arm: Arm,
    columns: Sequence[int],
    factor: str | None,
    levels: Sequence[Level],
    coverage: float,
    *,
    relative: bool,
) -> tuple[Mark, ...]:
    values = (pairs.baseline if arm is Arm.BASELINE else pairs.candidate)[:, columns]
    places = [levels.index(dict(pairs.points[column].levels).get(factor or "", "all")) for column in columns]
    if relative:
        if 0 not in places:
            return ()
        first = values[:, [places.index(0)]]
        values = np.divide(values, first, out=np.full(values.shape, np.nan), where=first > 0)
    marks = []
    for place, column in sorted(zip(places, values.T, strict=True), key=lambda pair: pair[0]):
        present = column[np.isfinite(column)]
        if len(present):
            marks.append(Mark(place, *median_interval(present, coverage), tuple(map(float, present))))
    return tuple(marks)
