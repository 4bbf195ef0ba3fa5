"""Figures to PNG and SVG files: style, panels, the words around a picture, and provenance in its metadata.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; arms also differ by marker, fill and
line, so that a page printed in black and white still reads. No global state of matplotlib is touched, and the same data
gives the same bytes.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from lab.analysis.verdict import Verdict
from lab.files import write_atomically
from lab.progress import printable
from lab.record import Arm

DPI = 160
LARGEST_GRID = 12
"""Panels in one picture; more could not be read, and the table has them all."""

LONGEST_NAME = 48
"""Characters of a point or a patch beside an axis: longer ones would push the picture off the page."""

BLACK, GREY, BLUE, ORANGE, GREEN, SKY = "#000000", "#6b6b6b", "#0072B2", "#D55E00", "#009E73", "#56B4E9"
LIGHT = "#e3e3e3"
ARM_STYLE: dict[Arm, dict[str, Any]] = {
    Arm.BASELINE: {"color": BLUE, "marker": "o", "markerfacecolor": BLUE, "linestyle": "-"},
    Arm.CANDIDATE: {"color": ORANGE, "marker": "s", "markerfacecolor": "white", "linestyle": "--"},
}
VERDICT_MARK: dict[Verdict, tuple[str, str]] = {
    Verdict.REGRESSED: (ORANGE, "v"),
    Verdict.IMPROVED: (GREEN, "^"),
    Verdict.NO_CHANGE_DETECTED: (BLUE, "o"),
    Verdict.INCONCLUSIVE: (GREY, "D"),
    Verdict.NOT_COMPARABLE: (GREY, "x"),
}
_MOST_VECTORS = 2000
"""Points of a line in an SVG file. Longer lines go into it as pixels, or no viewer would open it."""

_NOT_XML = re.compile("[\ufffe\uffff]")
_RC: Any = {
    "figure.autolayout": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "qemu-patch-lab",  # without it the ids inside an SVG file are random
    "text.parse_math": False,  # a dollar sign in a title is a dollar sign
}


@dataclass(frozen=True)
class Caption:
    """The words around a picture.

    :param title: what is shown.
    :param alerts: below the title: which claims the numbers do not support.
    :param notes: small lines at the foot: what the marks are, and where the numbers come from.
    :param metadata: for the file: Title, Software, Source and Description, in ASCII.
    """

    title: str
    alerts: tuple[str, ...]
    notes: tuple[str, ...]
    metadata: Mapping[str, str]


@contextmanager
def style() -> Iterator[None]:
    """Use the lab's style for what is drawn inside; that of everybody else stays as it is."""
    with mpl.rc_context(_RC):
        yield


def name_text(text: str, longest: int = LONGEST_NAME) -> str:
    """Return a name for the side of an axis: one printable line, its middle left out where it is too long."""
    line = printable(" ".join(text.split()))
    if len(line) <= longest:
        return line
    half = (longest - 5) // 2
    return f"{line[:half]} ... {line[-half:]}"


def grid(
    count: int, *, panel_size: tuple[float, float], share_x: bool = False, columns: int | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels, in one to three columns.

    :param panel_size: width and height of a panel in inches, where it stands alone in its row.
    """
    columns = columns or min(count, 1 if count == 1 else 2 if count <= 4 else 3)
    rows = math.ceil(count / columns)
    width, height = panel_size
    shrink = 1.0 if columns == 1 else 0.66
    figure = Figure(figsize=(width * columns * shrink, height * rows * shrink + 0.4), layout="constrained")
    boxes = [box for row in figure.subplots(rows, columns, squeeze=False, sharex=share_x) for box in row]
    for spare in boxes[count:]:
        spare.set_axis_off()
    return figure, boxes[:count]


def save(figure: Figure, path: Path, caption: Caption) -> None:
    """Add the words in strips of their own above and below, render, and replace PATH and the SVG file beside it.

    :param path: of the PNG file.
    :raise OSError: a file cannot be written.
    """
    _add_words(figure, caption)
    for line in (line for box in figure.axes for line in box.lines):
        line.set_rasterized(len(line.get_xdata()) > _MOST_VECTORS)  # type: ignore[arg-type]  # an array has a length
    about = {("Creator" if key == "Software" else key): value for key, value in caption.metadata.items()}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a title may be in any script
        _lay_out(figure)
        pixels = _rendered(figure, "png", dict(caption.metadata))
        vectors = _rendered(figure, "svg", {**about, "Date": None}).decode()
    write_atomically(path, pixels)
    write_atomically(path.with_suffix(".svg"), _NOT_XML.sub("\ufffd", vectors).encode())


def _lay_out(figure: Figure) -> None:
    """Give everything its place, once for both files.

    The solver adds its terms in the order of their addresses in memory, so the last digits of a place differ from call
    to call; rounded, the same data gives the same bytes.
    """
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    for box in figure.axes:
        box.set_position(Bbox(box.get_position(original=True).get_points().round(6)))


def _rendered(figure: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def _add_words(figure: Figure, caption: Caption) -> None:
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
    figure.text(left, 1 - (0.1 + title_inches) / height, alerts, fontsize=8, color=BLACK, va="top", linespacing=1.25)
    figure.text(left, 0.06 / height, notes, fontsize=7.5, color=GREY, va="bottom", linespacing=1.25)
    if entries:
        place = (0.0, 1 - words_inches / height)
        figure.legend(list(entries.values()), list(entries), loc="upper left", bbox_to_anchor=place, ncols=len(entries))


def _legend_entries(figure: Figure) -> dict[str, Artist]:
    """Return the entries of one legend for all panels, the arms first whatever was drawn first."""
    entries: dict[str, Artist] = {}
    for box in figure.axes:
        for handle, label in zip(*box.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    arms = [arm.value for arm in Arm]

    def place(label: str) -> int:
        arm = label.split(":", maxsplit=1)[0]
        return arms.index(arm) if arm in arms else len(arms)

    return dict(sorted(entries.items(), key=lambda entry: place(entry[0])))


def _filled(text: str, columns: float) -> str:
    return fill(printable(text), int(columns), break_on_hyphens=False)
