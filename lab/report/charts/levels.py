"""Medians with intervals over an axis of levels: a metric over a factor, its scaling, or the percentiles of latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lab.progress import printable
from lab.record import Arm
from lab.report.chart_data import Mark, Panel
from lab.report.charts.canvas import ARM_STYLE, GREY, LARGEST_GRID, Caption, grid, name_text, save, style

_REFERENCE: dict[str, Any] = {"color": GREY, "marker": "^", "markerfacecolor": "white", "linestyle": ":"}
_LONGEST_LEVEL = 24
_LONGEST_TITLE = 60
_CHARACTERS_ABREAST = 64


def levels_chart(
    path: Path,
    panels: Sequence[Panel],
    *,
    levels: Sequence[str],
    axis: str,
    height: str,
    text_of: Callable[[float], str],
    reference_label: str,
    caption: Caption,
    logarithmic: bool = False,
) -> None:
    """Draw medians with intervals over some levels, single runs as small points, one panel per group.

    :param levels: as written at the ticks.
    :param axis: what the levels are of.
    :param height: label of the y axis.
    :param text_of: writes a height at a tick.
    :param reference_label: legend of the published table, where a panel has one.
    :param logarithmic: for heights of different sizes; otherwise the y axis begins at 0.
    :raise OSError: the picture cannot be written.
    """
    names = [name_text(level, _LONGEST_LEVEL) for level in levels]
    with style():
        figure, axes = grid(len(panels[:LARGEST_GRID]), panel_size=(6.8, 3.9))
        crowded = sum(map(len, names)) > _CHARACTERS_ABREAST / (1 if len(axes) == 1 else 1.6)
        for box, panel in zip(axes, panels, strict=False):
            for arm, marks in panel.arms.items():
                _draw_arm(box, arm, marks)
            if panel.reference:
                places, heights = zip(*panel.reference, strict=True)
                box.plot(places, heights, label=reference_label, **_REFERENCE)
            box.set_title(name_text(panel.title, _LONGEST_TITLE), loc="left", fontsize=9)
            box.set_xticks(range(len(names)), names, rotation=35 if crowded else 0, ha="right" if crowded else "center")
            box.set_xlim(-0.5, len(names) - 0.5)
            box.set_xlabel(printable(axis))
            box.set_ylabel(height)
            if logarithmic and any(mark.low > 0 for marks in panel.arms.values() for mark in marks):
                box.set_yscale("log")
                box.yaxis.set_minor_formatter(NullFormatter())
                box.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=12))
            else:
                # A value below zero is wrong, but it was measured: it is drawn.
                box.set_ylim(bottom=min(0.0, box.get_ylim()[0]), top=box.get_ylim()[1] * 1.04)
            box.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text_of(value)))
            box.grid(visible=False, axis="x")
        save(figure, path, caption)


def _draw_arm(box: Axes, arm: Arm, marks: Sequence[Mark]) -> None:
    """Draw one arm a little beside the tick, so that the intervals of the arms do not cover each other."""
    side = -0.06 if arm is Arm.BASELINE else 0.06
    places = [mark.place + side for mark in marks]
    for mark in marks:
        count = len(mark.values)
        # Runs fan out further to the side of their arm, in the order of the blocks.
        xs = [mark.place + side * (2 + 1.6 * (index + 1) / count) for index in range(count)]
        box.plot(xs, mark.values, ".", color=ARM_STYLE[arm]["color"], markersize=3.2, alpha=0.6)
    medians = [mark.median for mark in marks]
    below = [mark.median - mark.low for mark in marks]
    above = [mark.high - mark.median for mark in marks]
    box.errorbar(places, medians, yerr=[below, above], capsize=3, label=arm.value, markersize=4.5, **ARM_STYLE[arm])
