"""What ``lab tmf --json`` prints to a picture: a row per function, a column per situation, letter and colour.

Two binaries are two panels, one below the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from pydantic import BaseModel, Field

from lab.analysis.document import validated
from lab.errors import InputError
from lab.report.charts.canvas import BLACK, GREEN, GREY, ORANGE, Caption, grid, name_text, save, style

_MOST_CASES = 100_000
_MOST_ROWS = 40
"""More functions, or more situations, than there will ever be: a picture of them has no room in memory."""
_LOOK = {"failed": ("F", ORANGE, "////", "white"), "undecided": ("?", "#c9c9c9", "....", BLACK)}
_PASSED = ("P", GREEN, "", "white")
_CELL_INCHES = (0.82, 0.42)
_ARMS = ("baseline", "candidate")


_Name = Annotated[str, Field(max_length=200)]


class _Case(BaseModel):
    subtype: _Name
    mapping: _Name
    tag_state: _Name
    lun_state: _Name
    verdict: str


class _Document(BaseModel):
    binary: str = Field(max_length=4096)
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


def matrices_from_json(document: Any, where: str) -> dict[str, TmfMatrix]:
    """Return the matrices of a document of ``lab tmf --json`` by arm; of one binary that of the baseline.

    :param where: names the document in messages.
    :raise InputError: it is something else.
    """
    if isinstance(document, dict) and "baseline" in document:
        return {arm: _matrix(document.get(arm), f"{where}: {arm}") for arm in _ARMS}
    return {"baseline": _matrix(document, where)}


def situation(tag_state: str, lun_state: str) -> str:
    """Return the column of a case: the state of the tag where the LUN is there, else that of the LUN."""
    return tag_state if lun_state == "present" else lun_state


def _matrix(document: Any, where: str) -> TmfMatrix:
    raw = validated(_Document, document, where, remedy="give what 'lab tmf --json' prints")
    counts: dict[tuple[str, str], tuple[int, int, int]] = {}
    for case in raw.cases:
        place = (case.subtype, situation(case.tag_state, case.lun_state))
        cases, failed, undecided = counts.get(place, (0, 0, 0))
        failed += case.verdict == "failed"
        undecided += case.verdict not in ("failed", "passed")
        counts[place] = (cases + 1, failed, undecided)
    rows = tuple(dict.fromkeys(case.subtype for case in raw.cases))
    columns = tuple(dict.fromkeys(situation(case.tag_state, case.lun_state) for case in raw.cases))
    if max(len(rows), len(columns)) > _MOST_ROWS:
        raise InputError(
            f"{where}: {len(rows)} functions in {len(columns)} situations, and {_MOST_ROWS} are the most of either",
            remedy="give what 'lab tmf --json' prints",
        )
    return TmfMatrix(raw.binary, rows, columns, counts)


def tmf_chart(path: Path, matrices: Mapping[str, TmfMatrix], caption: Caption) -> None:
    """Draw one or two matrices; a cell is as bad as the worst of its mappings, and says how many of them are so.

    :param matrices: by arm.
    :raise OSError: the picture cannot be written.
    """
    width, height = _CELL_INCHES
    columns = max(len(matrix.columns) for matrix in matrices.values())
    rows = max(len(matrix.rows) for matrix in matrices.values())
    with style():
        size = (max(5.5, 2.2 + width * columns), 1.0 + height * rows)
        figure, boxes = grid(len(matrices), panel_size=size, columns=1)
        for box, (arm, matrix) in zip(boxes, matrices.items(), strict=True):
            _panel(box, matrix, arm if len(matrices) > 1 else "")
        save(figure, path, caption)


def _panel(box: Axes, matrix: TmfMatrix, title: str) -> None:
    for (function, column), (cases, failed, undecided) in matrix.counts.items():
        kind = "failed" if failed else "undecided" if undecided else ""
        letter, colour, hatch, ink = _LOOK.get(kind, _PASSED)
        count = f" {failed or undecided}/{cases}" if kind else f" {cases}"
        x, y = matrix.columns.index(column), matrix.rows.index(function)
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
    box.set_title(title, loc="left", fontweight="bold")


def _wrapped(name: str) -> str:
    return "\n".join(name_text(name, 24).split())
