"""The history of a metric over stored results, with its levels and where it changed, one panel per point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from lab.analysis.history import History
from lab.report.charts.canvas import BLUE, GREY, LARGEST_GRID, ORANGE, Caption, grid, name_text, save, style

_LONGEST_LABEL = 20
_MOST_LABELS = 24


def trend_chart(
    path: Path, histories: Sequence[History], *, height: str, text_of: Callable[[float], str], caption: Caption
) -> None:
    """Draw histories as PNG and SVG.

    :param height: label of the y axis.
    :param text_of: writes a height at a tick.
    :raise OSError: a picture cannot be written.
    """
    with style():
        figure, axes = grid(len(histories[:LARGEST_GRID]), panel_size=(7.4, 3.6), columns=1)
        for box, history in zip(axes, histories, strict=False):
            _draw(box, history)
            box.set_title(name_text(f"{history.point.id}, {history.metric.title}"), loc="left", fontsize=9)
            box.set_ylabel(height)
            box.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text_of(value)))
        save(figure, path, caption)


def _draw(box: Axes, history: History) -> None:
    entries = history.entries
    for place, entry in enumerate(entries):
        box.plot([place, place], [entry.low, entry.high], color=BLUE, linewidth=1)
    box.plot(range(len(entries)), [entry.value for entry in entries], "o", color=BLUE, markersize=4, label="result")
    for number, level in enumerate(history.levels):
        label = "level" if not number else None
        box.plot([level.first - 0.4, level.last + 0.4], [level.middle] * 2, color=GREY, linewidth=1.6, label=label)
    said = set()
    for change in history.changes:
        label, colour = ("changed, as the host may have", GREY) if change.of_host else ("changed here", ORANGE)
        once = None if label in said else label
        box.axvline(change.first - 0.5, color=colour, linestyle="--", linewidth=1.2, label=once)
        said.add(label)
    step = -(-len(entries) // _MOST_LABELS)
    places = range(0, len(entries), step)
    box.set_xticks(
        places, [name_text(entries[place].name, _LONGEST_LABEL) for place in places], rotation=35, ha="right"
    )
    box.grid(visible=False, axis="x")
