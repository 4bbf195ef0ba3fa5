"""CPU time per I/O to a picture: who in QEMU spends it, arm by arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lab.record import Arm
from lab.report.charts.canvas import BLACK, BLUE, LIGHT, ORANGE, SKY, Caption, name_text, save, style
from lab.units import text_from_quantity

LARGEST_COST = 24
"""Cells in the picture of CPU time; more could not be read, and the table has them all."""

_LOOK = ((BLUE, ""), (SKY, "////"), (ORANGE, "...."), (LIGHT, ""))
PARTS = ("IOThreads", "vCPUs", "main loop", "other threads, or unknown which")


@dataclass(frozen=True)
class CellCost:
    """CPU time per I/O of one cell, medians over its runs.

    :param point: id of the point.
    :param parts_ns: of the threads named in :data:`PARTS`, in that order.
    :param total_ns: of the whole process, with its interval.
    """

    point: str
    arm: Arm
    parts_ns: tuple[float, ...]
    total_ns: float
    low_ns: float
    high_ns: float


def cost_chart(path: Path, cells: Sequence[CellCost], caption: Caption) -> None:
    """Draw a bar per cell, made of the threads that spend the time, with the interval of the whole.

    :raise OSError: the picture cannot be written.
    """
    shown = cells[:LARGEST_COST]
    with style():
        figure = Figure(figsize=(7.4, 0.9 + 0.3 * len(shown)), layout="constrained")
        box = figure.add_subplot()
        places = _places(shown)
        starts = [0.0] * len(shown)
        for part, (name, (colour, hatch)) in enumerate(zip(PARTS, _LOOK, strict=True)):
            widths = [cell.parts_ns[part] for cell in shown]
            if any(widths):
                edge: dict[str, Any] = {"edgecolor": "white" if colour != LIGHT else "#9a9a9a", "linewidth": 0.4}
                box.barh(places, widths, left=starts, height=0.72, color=colour, hatch=hatch, label=name, **edge)
            starts = [start + width for start, width in zip(starts, widths, strict=True)]
        totals = [cell.total_ns for cell in shown]
        arms = [
            [max(0.0, cell.total_ns - cell.low_ns) for cell in shown],
            [max(0.0, cell.high_ns - cell.total_ns) for cell in shown],
        ]
        box.errorbar(totals, places, xerr=arms, color=BLACK, linestyle="", capsize=2.5, linewidth=1)
        for place, cell in zip(places, shown, strict=True):
            words = f" {text_from_quantity(cell.total_ns, 'ns')}"
            box.text(1.01, place, words, transform=box.get_yaxis_transform(), va="center")
        names = [f"{name_text(cell.point, 40)}  {cell.arm.value}" for cell in shown]
        box.set_yticks(places, names)
        box.set_ylim((places[-1] if places else 0) + 0.65, -0.65)
        box.set_xlim(left=0)
        box.set_xlabel("QEMU's CPU time per I/O (less is better)")
        box.xaxis.set_major_locator(MaxNLocator(6))
        box.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text_from_quantity(value, "ns")))
        box.grid(visible=False, axis="y")
        save(figure, path, caption)


def _places(cells: Sequence[CellCost]) -> list[float]:
    """Return where the bars stand: the arms of a point close together, points apart."""
    places, at = [], 0.0
    for before, cell in zip((None, *cells), cells, strict=False):
        at += 0.0 if before is None else 0.82 if before.point == cell.point else 1.25
        places.append(at)
    return places
