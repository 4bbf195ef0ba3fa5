"""What ``lab tmf --json`` prints to a picture: a row per function, a column per situation, letter and colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pydantic import BaseModel, Field

from lab.report.charts.canvas import BLACK, GREEN, GREY, ORANGE, Caption, name_text, save, style
from lab.report.document import validated

_MOST_CASES = 100_000
_LOOK = {"failed": ("F", ORANGE, "////", "white"), "undecided": ("?", "#c9c9c9", "....", BLACK)}
_PASSED = ("P", GREEN, "", "white")
_CELL_INCHES = (0.82, 0.42)


class _Case(BaseModel):
    subtype: str
    mapping: str
    tag_state: str
    lun_state: str
    verdict: str


class _Document(BaseModel):
    binary: str
    cases: tuple[_Case, ...] = Field(min_length=1, max_length=_MOST_CASES)


@dataclass(frozen=True)
class TmfMatrix:
    """The cases of one binary, counted.

    :param rows: functions, in the order of the cases.
    :param columns: situations: of the tag where the LUN is there, else of the LUN.
    :param counts: (function, situation) to (cases, failed, undecided), over all mappings.
    """

    binary: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: Mapping[tuple[str, str], tuple[int, int, int]]


def matrix_from_json(document: Any, where: str) -> TmfMatrix:
    """Return the matrix of a document of ``lab tmf --json`` for one binary.

    :param where: names the document in messages.
    :raise InputError: it is something else.
    """
    raw = validated(_Document, document, where, remedy="give what 'lab tmf --qemu BINARY --json' prints for one binary")
    counts: dict[tuple[str, str], tuple[int, int, int]] = {}
    for case in raw.cases:
        place = (case.subtype, _situation(case))
        cases, failed, undecided = counts.get(place, (0, 0, 0))
        failed += case.verdict == "failed"
        undecided += case.verdict not in ("failed", "passed")
        counts[place] = (cases + 1, failed, undecided)
    rows = tuple(dict.fromkeys(case.subtype for case in raw.cases))
    columns = tuple(dict.fromkeys(_situation(case) for case in raw.cases))
    return TmfMatrix(raw.binary, rows, columns, counts)


def tmf_chart(path: Path, matrix: TmfMatrix, caption: Caption) -> None:
    """Draw the matrix; a cell is as bad as the worst of its mappings, and says how many of them are so.

    :raise OSError: the picture cannot be written.
    """
    width, height = _CELL_INCHES
    with style():
        size = (2.2 + width * len(matrix.columns), 1.0 + height * len(matrix.rows))
        figure = Figure(figsize=(max(5.5, size[0]), size[1]), layout="constrained")
        box = figure.add_subplot()
        for (function, situation), (cases, failed, undecided) in matrix.counts.items():
            kind = "failed" if failed else "undecided" if undecided else ""
            letter, colour, hatch, ink = _LOOK.get(kind, _PASSED)
            count = f" {failed or undecided}/{cases}" if kind else f" {cases}"
            x, y = matrix.columns.index(situation), matrix.rows.index(function)
            look: dict[str, Any] = {"facecolor": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0}
            box.add_patch(Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, **look))
            background = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}
            words = f"{letter}{count}"
            box.text(x, y, words, ha="center", va="center", color=ink, fontweight="bold", bbox=background)
        box.set_xticks(range(len(matrix.columns)), [_wrapped(name) for name in matrix.columns], fontsize=8)
        box.xaxis.tick_top()
        box.set_yticks(range(len(matrix.rows)), [name_text(name, 24) for name in matrix.rows], fontsize=8)
        box.tick_params(length=0)
        box.set_xlim(-0.5, len(matrix.columns) - 0.5)
        box.set_ylim(len(matrix.rows) - 0.5, -0.5)
        box.grid(visible=False)
        for spine in box.spines.values():
            spine.set_color(GREY)
            spine.set_visible(False)
        save(figure, path, caption)


def _situation(case: _Case) -> str:
    return case.tag_state if case.lun_state == "present" else case.lun_state


def _wrapped(name: str) -> str:
    return "\n".join(name_text(name, 24).split())
