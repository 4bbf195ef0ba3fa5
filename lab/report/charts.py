"""Comparisons to PNG files. The only module that meets matplotlib; no global state of it is touched.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; arms also differ by marker, fill and
line, so that a page printed in black and white still reads. Every file names experiment and builds in its metadata.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lab.analysis.family import PointComparison
from lab.analysis.verdict import Verdict
from lab.progress import printable
from lab.record import Arm, Level, Point, text_from_level
from lab.report.chart_data import Mark, Panel, RunMark
from lab.report.folder import replace_file
from lab.units import Better, Metric, text_from_quantity

DPI = 160
LARGEST_GRID = 12
"""Panels in one picture; more could not be read, and the table has them all."""

_BLACK, _GREY, _BLUE, _ORANGE, _GREEN = "#000000", "#6b6b6b", "#0072B2", "#D55E00", "#009E73"
_STYLE: dict[Arm, dict[str, Any]] = {
    Arm.BASELINE: {"color": _BLUE, "marker": "o", "markerfacecolor": _BLUE, "linestyle": "-"},
    Arm.CANDIDATE: {"color": _ORANGE, "marker": "s", "markerfacecolor": "white", "linestyle": "--"},
}
_REFERENCE: dict[str, Any] = {"color": _GREY, "marker": "^", "markerfacecolor": "white", "linestyle": ":"}
_VERDICTS: dict[Verdict, tuple[str, str]] = {
    Verdict.REGRESSED: (_ORANGE, "v"),
    Verdict.IMPROVED: (_GREEN, "^"),
    Verdict.NO_CHANGE_DETECTED: (_BLUE, "o"),
    Verdict.INCONCLUSIVE: (_GREY, "D"),
    Verdict.NOT_COMPARABLE: (_GREY, "x"),
}
_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,  # a dollar sign in a title is a dollar sign
}


@dataclass(frozen=True)
class Caption:
    """The words around a picture.

    :param title: what is shown.
    :param alerts: below the title: which claims the numbers do not support.
    :param notes: small lines at the foot: what the marks are, and where the numbers come from.
    :param metadata: for the PNG file.
    """

    title: str
    alerts: tuple[str, ...]
    notes: tuple[str, ...]
    metadata: Mapping[str, str]


def levels_chart(
    path: Path,
    panels: Sequence[Panel],
    *,
    levels: Sequence[Level],
    axis: str,
    height: str,
    text_of: Callable[[float], str],
    reference_label: str,
    caption: Caption,
) -> None:
    """Draw medians with intervals over the levels of a factor, single runs as small points, one panel per group.

    :param axis: name of the factor.
    :param height: label of the y axis.
    :param text_of: writes a height at a tick.
    :param reference_label: legend of the published table, where a panel has one.
    """
    with mpl.rc_context(_RC):
        figure, axes = _grid(len(panels[:LARGEST_GRID]), panel_size=(6.8, 3.9), share_x=False)
        for axis_box, panel in zip(axes, panels, strict=False):
            for arm, marks in panel.arms.items():
                _draw_arm(axis_box, arm, marks)
            if panel.reference:
                places, heights = zip(*panel.reference, strict=True)
                axis_box.plot(places, heights, label=reference_label, **_REFERENCE)
            axis_box.set_title(printable(panel.title), loc="left", fontsize=9)
            axis_box.set_xticks(range(len(levels)), [printable(text_from_level(level)) for level in levels])
            axis_box.set_xlim(-0.5, len(levels) - 0.5)
            axis_box.set_ylim(bottom=0, top=axis_box.get_ylim()[1] * 1.04)
            axis_box.set_xlabel(printable(axis))
            axis_box.set_ylabel(height)
            axis_box.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text_of(value)))
            axis_box.grid(visible=False, axis="x")
        _save(figure, path, caption)


def runs_chart(path: Path, runs: Mapping[Point, Sequence[RunMark]], metric: Metric, caption: Caption) -> None:
    """Draw every attempt in the order of the schedule, one panel per point, failed ones as crosses on the axis."""
    shown = list(runs.items())[:LARGEST_GRID]
    last = max((mark.order for marks in runs.values() for mark in marks), default=1)
    columns = 1 if len(shown) <= 4 else 2
    with mpl.rc_context(_RC):
        figure, axes = _grid(len(shown), panel_size=(7.4, 1.9), share_x=True, columns=columns)
        edges = _block_edges([mark for marks in runs.values() for mark in marks])
        for axis_box, (point, marks) in zip(axes, shown, strict=True):
            for edge in edges:
                axis_box.axvline(edge, color="#bbbbbb", linewidth=0.6, linestyle=(0, (2, 3)), zorder=0)
            for arm in Arm:
                good = [(mark.order, mark.value) for mark in marks if mark.arm is arm and mark.value is not None]
                places, heights = zip(*good, strict=True) if good else ((), ())
                style = {**_STYLE[arm], "linewidth": 0.8, "markersize": 5}
                # A mark near zero is drawn whole; what may stick out must not take part in the layout.
                axis_box.plot(places, heights, label=arm.value, clip_on=False, in_layout=False, **style)
            failed = [mark for mark in marks if mark.value is None]
            for arm in Arm:
                places = tuple(mark.order for mark in failed if mark.arm is arm)
                style = {"color": _STYLE[arm]["color"], "marker": "X" if arm is Arm.BASELINE else "x", "linestyle": ""}
                if places:
                    heights = (0.04,) * len(places)
                    label = f"{arm.value}: failed"
                    axis_box.plot(places, heights, label=label, transform=axis_box.get_xaxis_transform(), **style)
            axis_box.set_title(printable(point.id), loc="left", fontsize=9)
            axis_box.set_xlim(0.5 - 0.02 * last, 0.5 + 1.02 * last)
            axis_box.margins(y=0.2)
            axis_box.set_ylim(bottom=max(0.0, axis_box.get_ylim()[0]))  # no metric is negative
            axis_box.set_ylabel(metric.title)
            axis_box.yaxis.set_major_locator(MaxNLocator(4))
            axis_box.yaxis.set_major_formatter(FuncFormatter(lambda v, _: text_from_quantity(v, metric.unit)))
            axis_box.grid(visible=False, axis="x")
        for axis_box in axes[-columns:]:
            axis_box.tick_params(labelbottom=True)
            axis_box.set_xlabel("run in the order of the schedule (dotted lines: blocks)")
        _save(figure, path, caption)


def ratio_chart(path: Path, points: Sequence[PointComparison], caption: Caption) -> None:
    """Draw the change of every point with its interval, the smallest effect that matters shaded."""
    several = len({point.metric for point in points}) > 1
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(7.4, 0.8 + 0.32 * len(points)), layout="constrained")
        axis_box = figure.add_subplot()
        for row, point in enumerate(points):
            effect = 100 * point.smallest_effect
            axis_box.fill_between([-effect, effect], row - 0.5, row + 0.5, color="#e3e3e3", linewidth=0, zorder=0)
            colour, marker = _VERDICTS[point.verdict]
            if point.numbers is not None:
                centre, low, high = (
                    100 * (x - 1) for x in (point.numbers.ratio, point.numbers.low, point.numbers.high)
                )
                axis_box.errorbar(
                    centre, row, xerr=[[centre - low], [high - centre]], color=colour, marker=marker, capsize=3
                )
            words = point.verdict.value.replace("_", " ").lower()
            axis_box.text(1.01, row, words, transform=axis_box.get_yaxis_transform(), va="center", color=_BLACK)
        axis_box.axvline(0, color=_BLACK, linewidth=0.8)
        names = [f"{p.metric.title}  {p.point.id}" if several else p.point.id for p in points]
        axis_box.set_yticks(range(len(points)), [printable(name) for name in names])
        axis_box.set_ylim(len(points) - 0.5, -0.5)
        axis_box.set_xlabel(_direction(points))
        axis_box.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g} %" if value else "0"))
        axis_box.grid(visible=False, axis="y")
        _save(figure, path, caption)


def _direction(points: Sequence[PointComparison]) -> str:
    directions = {point.metric.better for point in points}
    if len(directions) > 1:
        return "change of the candidate (which way is better depends on the metric)"
    better = "more is better" if directions == {Better.HIGHER} else "less is better"
    titles = {point.metric.title for point in points}
    return f"change of {titles.pop() if len(titles) == 1 else 'the metrics'}, candidate against baseline ({better})"


def _draw_arm(axis_box: Axes, arm: Arm, marks: Sequence[Mark]) -> None:
    """Draw one arm a little beside the tick, so that the intervals of the arms do not cover each other."""
    side = -0.06 if arm is Arm.BASELINE else 0.06
    places = [mark.place + side for mark in marks]
    for mark in marks:
        count = len(mark.values)
        # Runs fan out further to the side of their arm, in the order of the blocks.
        xs = [mark.place + side * (2 + 1.6 * (index + 1) / count) for index in range(count)]
        axis_box.plot(xs, mark.values, ".", color=_STYLE[arm]["color"], markersize=3.2, alpha=0.6)
    medians = [mark.median for mark in marks]
    below = [mark.median - mark.low for mark in marks]
    above = [mark.high - mark.median for mark in marks]
    axis_box.errorbar(places, medians, yerr=[below, above], capsize=3, label=arm.value, markersize=4.5, **_STYLE[arm])


def _block_edges(marks: Sequence[RunMark]) -> list[float]:
    first: dict[int, int] = {}
    for mark in marks:
        first[mark.block] = min(mark.order, first.get(mark.block, mark.order))
    return [order - 0.5 for order in sorted(first.values())[1:]]


def _grid(
    count: int, *, panel_size: tuple[float, float], share_x: bool, columns: int | None = None
) -> tuple[Figure, list[Axes]]:
    columns = columns or min(count, 1 if count == 1 else 2 if count <= 4 else 3)
    rows = math.ceil(count / columns)
    width, height = panel_size
    shrink = 1.0 if columns == 1 else 0.66
    figure = Figure(figsize=(width * columns * shrink, height * rows * shrink + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=share_x)
    boxes = [box for row in grid for box in row]
    for spare in boxes[count:]:
        spare.set_axis_off()
    return figure, boxes[:count]


def _legend_entries(figure: Figure) -> dict[str, Artist]:
    """Return the entries of one legend for all panels, the arms first whatever was drawn first."""
    entries: dict[str, Artist] = {}
    for box in figure.axes:
        for handle, label in zip(*box.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    arms = set(Arm)
    return dict(sorted(entries.items(), key=lambda entry: (entry[0].split(":")[0] not in arms, entry[0])))


def _save(figure: Figure, path: Path, caption: Caption) -> None:
    """Add the words in strips of their own above and below, render, and replace the file in one step."""
    width = figure.get_figwidth()
    title = _filled(caption.title, width * 10)
    alerts = "\n".join(_filled(alert, width * 15.5) for alert in caption.alerts)
    # Digits are wider than prose: an address full of them must still fit.
    notes = "\n".join(_filled(note, width * 14) for note in caption.notes)
    entries = _legend_entries(figure)
    title_inches, alerts_inches, notes_inches = (
        (text.count("\n") + 1) * inches if text else 0.0
        for text, inches in ((title, 0.2), (alerts, 0.15), (notes, 0.14))
    )
    words_inches = title_inches + alerts_inches + 0.14
    top, bottom = words_inches + (0.3 if entries else 0.0), notes_inches + 0.14
    height = figure.get_figheight() + top + bottom
    figure.set_figheight(height)
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, bottom / height, 1, 1 - (top + bottom) / height))  # type: ignore[call-arg]  # constrained has it
    left = 0.08 / width
    figure.text(left, 1 - 0.06 / height, title, fontsize=11, fontweight="bold", va="top")
    figure.text(left, 1 - (0.1 + title_inches) / height, alerts, fontsize=8, color=_BLACK, va="top", linespacing=1.25)
    figure.text(left, 0.06 / height, notes, fontsize=7.5, color=_GREY, va="bottom", linespacing=1.25)
    if entries:
        place = (0.0, 1 - words_inches / height)
        figure.legend(list(entries.values()), list(entries), loc="upper left", bbox_to_anchor=place, ncols=len(entries))
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a title may be in any script
        figure.savefig(buffer, format="png", dpi=DPI, metadata=dict(caption.metadata))
    replace_file(path, buffer.getvalue())


def _filled(text: str, columns: float) -> str:
    return fill(printable(text), int(columns), break_on_hyphens=False)
