"""What ``lab tmf --json`` prints to a picture and to a page: the matrix, and behind each cell of it the cases."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import __version__
from lab.report.captions import plain_caption
from lab.report.charts import TmfMatrix, matrices_from_json, situation, tmf_chart
from lab.report.html import environment, own, policy

_TITLE = "Task management functions of virtio-scsi"
_WORST_FIRST = ("failed", "undecided", "passed")
_SYMBOLS = {"passed": "\u25cf", "failed": "\u25bc", "undecided": "\u25c6"}


@dataclass(frozen=True)
class _Cell:
    """A cell of the matrix, and the cases behind it.

    :param anchor: of its cases in the page.
    :param count: of the cases with its verdict, which is that of the worst of them.
    """

    function: str
    situation: str
    anchor: str
    verdict: str
    count: int
    answers: tuple[str, ...]
    cases: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Matrix:
    """A matrix as it stands in the page.

    :param rows: of a function; a cell is None where there are no cases.
    """

    arm: str
    binary: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[_Cell | None, ...]], ...]
    summary: Mapping[str, int]

    @property
    def verdict(self) -> str:
        """That of its worst case."""
        return next(name for name in _WORST_FIRST if self.summary[name] or name == "passed")


def draw_tmf(png: Path, document: Any, where: str) -> None:
    """Draw a document of ``lab tmf --json``, for one binary or two.

    :param where: names the document, in messages and in the file.
    :raise InputError: it is something else.
    :raise OSError: the picture cannot be written.
    """
    matrices = matrices_from_json(document, where)
    notes = (
        "P: passed, F: failed, ?: undecided; with the number of cases, or how many of them. A cell holds all mappings.",
        *(f"{arm}: {matrix.binary}" for arm, matrix in matrices.items()),
    )
    failed = {arm: sum(count for _, count, _ in matrix.counts.values()) for arm, matrix in matrices.items()}
    worst = ", ".join(f"{arm}: {count} cases failed" for arm, count in failed.items())
    tmf_chart(png, matrices, plain_caption(_TITLE, notes, where, worst))


def tmf_page(document: Any, *, folder: Path) -> str:
    """Return a document of ``lab tmf --json``, for one binary or two, as a page.

    :param folder: the page will lie in; links to the evidence begin there.
    :raise InputError: the document is something else.
    """
    found = matrices_from_json(document, "lab tmf")
    documents = document if "baseline" in document else {"baseline": document}
    matrices = tuple(_matrix(arm, one, documents[arm], folder) for arm, one in found.items())
    anchors = {
        case["id"]: case["anchor"] for _, cells in matrices[-1].rows for cell in cells if cell for case in cell.cases
    }
    changes = [
        {**change, "first": next((anchors[name] for name in change["cases"] if name in anchors), "")}
        for change in document.get("changes", ())
    ]
    style = own("page.css") + own("tmf.css")
    return (
        environment()
        .get_template("tmf.html")
        .render(
            policy=policy(style),
            style=style,
            title=_TITLE,
            version=__version__,
            symbols=_SYMBOLS,
            verdict=matrices[-1].verdict,
            matrices=matrices,
            compared=len(matrices) > 1,
            changes=changes,
        )
        + "\n"
    )


def _matrix(arm: str, matrix: TmfMatrix, document: Mapping[str, Any], folder: Path) -> _Matrix:
    cases: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for number, case in enumerate(document["cases"]):
        place = (case["subtype"], situation(case["tag_state"], case["lun_state"]))
        evidence = case["evidence"] and os.path.relpath(case["evidence"], folder)
        cases.setdefault(place, []).append({**case, "anchor": f"{arm}-case-{number}", "link": evidence})
    rows = tuple(
        (
            function,
            tuple(
                _cell(f"{arm}-{y}-{x}", function, column, cases.get((function, column), ()))
                for x, column in enumerate(matrix.columns)
            ),
        )
        for y, function in enumerate(matrix.rows)
    )
    return _Matrix(arm, matrix.binary, matrix.columns, rows, document["summary"])


def _cell(anchor: str, function: str, column: str, cases: Sequence[Mapping[str, Any]]) -> _Cell | None:
    if not cases:
        return None
    verdicts = [case["verdict"] for case in cases]
    verdict = next(name for name in _WORST_FIRST if name in verdicts)
    answers = tuple(dict.fromkeys(_answer(case["answer"]) for case in cases))
    return _Cell(function, column, anchor, verdict, verdicts.count(verdict), answers, cases)


def _answer(name: str | None) -> str:
    """Return an answer as it stands in a cell: ``complete`` for ``FUNCTION_COMPLETE``."""
    return "no answer" if name is None else name.removeprefix("FUNCTION_").replace("_", " ").lower()
