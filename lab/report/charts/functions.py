"""Instructions by function to a picture: a bar for each function, one beside it for the candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lab.record import Arm
from lab.report.charts.canvas import BLUE, ORANGE, Caption, name_text, save, style

MOST_FUNCTIONS = 24
"""Bars in the picture; more could not be read."""

_LOOK = {Arm.BASELINE: (BLUE, ""), Arm.CANDIDATE: (ORANGE, "////")}


@dataclass(frozen=True)
class FunctionBar:
    """Instructions per command in a function, without those it calls.

    :param candidate: None where only one binary was counted.
    """

    name: str
    baseline: float
    candidate: float | None = None


def functions_chart(path: Path, functions: Sequence[FunctionBar], caption: Caption) -> None:
    """Draw the functions in the order given, the first on top, and write the numbers beside the bars.

    :raise OSError: the picture cannot be written.
    """
    shown = functions[:MOST_FUNCTIONS]
    arms = [Arm.BASELINE] if all(one.candidate is None for one in shown) else list(Arm)
    height = 0.76 / len(arms)
    with style():
        figure = Figure(figsize=(7.4, 0.9 + 0.26 * len(arms) * len(shown)), layout="constrained")
        box = figure.add_subplot()
        for row, arm in enumerate(arms):
            colour, hatch = _LOOK[arm]
            places = [place + (row - (len(arms) - 1) / 2) * height for place in range(len(shown))]
            widths = [one.baseline if arm is Arm.BASELINE else one.candidate or 0.0 for one in shown]
            label = arm.value if len(arms) > 1 else None
            box.barh(places, widths, height=height * 0.92, color=colour, hatch=hatch, edgecolor="white", label=label)
            for place, width in zip(places, widths, strict=True):
                words = f" {width:,.0f}"
                box.text(1.01, place, words, transform=box.get_yaxis_transform(), va="center", fontsize=8)
        box.set_yticks(range(len(shown)), [name_text(one.name, 44) for one in shown], fontsize=8)
        box.set_ylim(len(shown) - 0.4, -0.6)
        box.set_xlim(left=0)
        box.set_xlabel("instructions per command (fewer is better)")
        box.xaxis.set_major_locator(MaxNLocator(6))
        box.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        box.grid(visible=False, axis="y")
        save(figure, path, caption)
