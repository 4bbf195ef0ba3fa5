"""Changes to pictures: all points of an experiment in rows, and the patches of a series one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from lab.analysis.family import PointComparison
from lab.report.charts.canvas import (
    BLACK,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    VERDICT_MARK,
    Caption,
    name_text,
    save,
    style,
)
from lab.units import Better, text_from_percent

_LARGEST_LINEAR = 5.0
"""Beyond five times as much, or a fifth, ratios stand on a logarithmic axis: a factor is then the same both ways."""

_SMALLEST_RATIO = 1e-9
_LARGEST_RATIO = 1e9


@dataclass(frozen=True)
class Row:
    """One line of a picture of changes.

    :param name: as written beside it.
    :param centre: candidate over baseline; None where nothing is known.
    :param low: lower end of the interval; equal to ``high`` where there is none.
    :param mark: colour and marker.
    :param words: at the right.
    """

    name: str
    centre: float | None
    low: float
    high: float
    effect: float
    mark: tuple[str, str]
    words: str


@dataclass(frozen=True)
class Step:
    """A patch of a series, measured.

    :param ratio: with the series up to this patch, over the base without any of it.
    :param low: lower end of its interval.
    :param high: upper end.
    """

    label: str
    ratio: float
    low: float
    high: float


def ratio_chart(path: Path, points: Sequence[PointComparison], caption: Caption) -> None:
    """Draw the change of every point with its interval, the smallest effect that matters shaded.

    A point with one pair only has a change but no interval: its mark is hollow.

    :raise OSError: the picture cannot be written.
    """
    several = len({point.metric for point in points}) > 1
    rows = [_row(point, several=several) for point in points]
    with style():
        figure = Figure(figsize=(7.4, 0.8 + 0.32 * len(rows)), layout="constrained")
        box = figure.add_subplot()
        place = _scale(box, [x for row in rows if row.centre is not None for x in (row.centre, row.low, row.high)])
        for index, row in enumerate(rows):
            edges = [place(1 - row.effect), place(1 + row.effect)]
            box.fill_between(edges, index - 0.5, index + 0.5, color=LIGHT, linewidth=0, zorder=0)
            _draw_row(box, index, row, place)
            box.text(1.01, index, row.words, transform=box.get_yaxis_transform(), va="center", color=BLACK)
        box.axvline(place(1), color=BLACK, linewidth=0.8)
        box.set_yticks(range(len(rows)), [row.name for row in rows])
        box.set_ylim(len(rows) - 0.5, -0.5)
        box.set_xlabel(_direction(points))
        box.grid(visible=False, axis="y")
        save(figure, path, caption)


def waterfall_chart(path: Path, steps: Sequence[Step], better: Better, caption: Caption) -> None:
    """Draw what each patch of a series adds: a bar from where the patch before it left off, with the interval there.

    :param steps: in the order of the series; at least one.
    :param better: direction of the metric: tells good bars from bad ones by colour and by hatching.
    :raise OSError: the picture cannot be written.
    """
    with style():
        figure = Figure(figsize=(7.4, 1.0 + 0.42 * len(steps)), layout="constrained")
        box = figure.add_subplot()
        place = _scale(box, [x for step in steps for x in (step.ratio, step.low, step.high)])
        before = 1.0
        for index, step in enumerate(steps):
            start, end = place(before), place(step.ratio)
            good = (step.ratio > before) == (better is Better.HIGHER)
            colour, hatch = (GREEN, "") if good else (ORANGE, "////")
            box.barh(
                index, end - start, left=start, height=0.56, color=colour, hatch=hatch, edgecolor="white", linewidth=0
            )
            arms = [[max(0.0, end - place(step.low))], [max(0.0, place(step.high) - end)]]
            box.errorbar(end, index, xerr=arms, color=BLACK, capsize=3, linewidth=1)
            if index + 1 < len(steps):
                box.plot([end, end], [index, index + 1], color=GREY, linewidth=0.6)
            words = f"{text_from_percent(step.ratio / before - 1)}"
            box.text(1.01, index, words, transform=box.get_yaxis_transform(), va="center", color=BLACK)
            before = step.ratio
        box.axvline(place(1), color=BLACK, linewidth=0.8)
        box.set_yticks(range(len(steps)), [f"{n}. {name_text(step.label)}" for n, step in enumerate(steps, start=1)])
        box.set_ylim(len(steps) - 0.5, -0.5)
        way = "more" if better is Better.HIGHER else "less"
        box.set_xlabel(f"the series up to this patch, against its base ({way} is better)")
        box.grid(visible=False, axis="y")
        save(figure, path, caption)


def _row(point: PointComparison, *, several: bool) -> Row:
    words = point.verdict.value.replace("_", " ").lower()
    name = name_text(f"{point.metric.title}  {point.point.id}" if several else point.point.id)
    mark = VERDICT_MARK[point.verdict]
    if point.numbers is not None:
        numbers = point.numbers
        return Row(name, numbers.ratio, numbers.low, numbers.high, point.smallest_effect, mark, words)
    centre = None
    if point.baseline and point.candidate is not None and point.candidate / point.baseline > 0:
        centre = point.candidate / point.baseline
    return Row(name, centre, centre or 0.0, centre or 0.0, point.smallest_effect, mark, words)


def _draw_row(box: Axes, index: int, row: Row, place: Callable[[float], float]) -> None:
    if row.centre is None:
        return
    colour, marker = row.mark
    centre = place(row.centre)
    if row.low == row.high:
        box.plot([centre], [index], color=colour, marker=marker, markerfacecolor="white", linestyle="")
        return
    arms = [[max(0.0, centre - place(row.low))], [max(0.0, place(row.high) - centre)]]
    box.errorbar(centre, index, xerr=arms, color=colour, marker=marker, capsize=3)


def _scale(box: Axes, ratios: Sequence[float]) -> Callable[[float], float]:
    """Return where on the axis a ratio stands: in percent, or as a factor where some are large."""
    largest = max((max(x, 1 / max(x, _SMALLEST_RATIO)) for x in ratios), default=1.0)
    if largest <= _LARGEST_LINEAR:
        box.xaxis.set_major_locator(MaxNLocator(7))
        box.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g} %" if value else "0"))
        return lambda ratio: 100 * (ratio - 1)
    box.set_xscale("log")
    box.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0,) if largest > 100 else (1.0, 2.0, 5.0), numticks=9))
    box.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    box.xaxis.set_minor_formatter(NullFormatter())
    return lambda ratio: min(max(ratio, _SMALLEST_RATIO), _LARGEST_RATIO)


def _direction(points: Sequence[PointComparison]) -> str:
    directions = {point.metric.better for point in points}
    if len(directions) > 1:
        return "change of the candidate (which way is better depends on the metric)"
    better = "more is better" if directions == {Better.HIGHER} else "less is better"
    titles = {point.metric.title for point in points}
    return f"change of {titles.pop() if len(titles) == 1 else 'the metrics'}, candidate against baseline ({better})"
