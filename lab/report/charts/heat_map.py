"""The proof of a mapping to a picture: a row per queue, a column per thread, who served whom by colour and number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pydantic import BaseModel, ConfigDict, Field

from lab.analysis.document import validated
from lab.report.charts.canvas import BLACK, GREY, ORANGE, SKY, Caption, name_text, save, style

LARGEST_MATRIX = 64
"""Queues in one picture; more could not be read, and the table of the proof has them all."""
_MOST_QUEUES = 100_000
_CELL_INCHES = (1.05, 0.42)
_DARK = 0.55


class _Queue(BaseModel):
    model_config = ConfigDict(strict=True)

    controller: str
    queue: str
    vcpu: int
    asked: str
    verdict: str
    requests: int = Field(ge=0)
    cpu_ns: dict[str, int]
    taken: dict[str, int] | None


class _Document(BaseModel):
    verdict: str
    queues: tuple[_Queue, ...] = Field(min_length=1, max_length=_MOST_QUEUES)


@dataclass(frozen=True)
class ThreadMatrix:
    """Who served which queue.

    :param rows: queues, as they were loaded.
    :param columns: the main loop and the IOThreads, and whoever else took requests.
    :param asked: the column that each row should be served by.
    :param taken: (row, column) to its share of the row's requests, by the trace; empty without one.
    :param cpu_us: (row, column) to microseconds of CPU time per request.
    :param refuted: rows in which something contradicts what was asked.
    """

    verdict: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    asked: tuple[str, ...]
    taken: Mapping[tuple[int, str], float]
    cpu_us: Mapping[tuple[int, str], float]
    refuted: frozenset[int]


def threads_from_json(document: Any, where: str) -> ThreadMatrix:
    """Return the matrix of a proof.json, or of what ``lab proof --json`` printed.

    :param where: names the document in messages.
    :raise InputError: it is something else.
    """
    raw = validated(_Document, document, where, remedy="give what 'lab proof --json' prints")
    taken: dict[tuple[int, str], float] = {}
    cpu_us: dict[tuple[int, str], float] = {}
    for number, queue in enumerate(raw.queues):
        total = sum((queue.taken or {}).values())
        taken |= {(number, name): count / total for name, count in (queue.taken or {}).items() if total}
        if queue.requests:
            cpu_us |= {(number, name): time / 1000 / queue.requests for name, time in queue.cpu_ns.items()}
    columns = dict.fromkeys(name for queue in raw.queues for name in (*queue.cpu_ns, *(queue.taken or {}), queue.asked))
    return ThreadMatrix(
        raw.verdict,
        tuple(f"{queue.controller} queue {queue.queue}, vCPU {queue.vcpu}" for queue in raw.queues),
        tuple(columns),
        tuple(queue.asked for queue in raw.queues),
        taken,
        cpu_us,
        frozenset(number for number, queue in enumerate(raw.queues) if queue.verdict == "refuted"),
    )


def threads_chart(path: Path, matrix: ThreadMatrix, caption: Caption) -> None:
    """Draw the matrix: colour is the share of a queue's requests that a thread took, a frame is who was asked for.

    Without a trace the colour is the share of the row's CPU time. Numbers are microseconds of CPU time per request.

    :raise OSError: the picture cannot be written.
    """
    width, height = _CELL_INCHES
    rows = matrix.rows[:LARGEST_MATRIX]
    with style():
        size = (2.6 + width * len(matrix.columns), 1.0 + height * len(rows))
        figure = Figure(figsize=(max(5.5, size[0]), size[1]), layout="constrained")
        box = figure.add_subplot()
        for row in range(len(rows)):
            for x, thread in enumerate(matrix.columns):
                share = _share(matrix, row, thread)
                look: dict[str, Any] = {"facecolor": SKY, "alpha": share, "edgecolor": "none"}
                box.add_patch(Rectangle((x - 0.48, row - 0.46), 0.96, 0.92, **look))
                if thread == matrix.asked[row]:
                    colour = ORANGE if row in matrix.refuted else BLACK
                    frame: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": 1.4}
                    box.add_patch(Rectangle((x - 0.48, row - 0.46), 0.96, 0.92, **frame))
                spent = matrix.cpu_us.get((row, thread))
                weight = "bold" if share > _DARK else "normal"
                words = "" if spent is None else f"{spent:.1f}"
                box.text(x, row, words, ha="center", va="center", color=BLACK, fontweight=weight)
        box.set_xticks(range(len(matrix.columns)), [name_text(name, 24) for name in matrix.columns], fontsize=8)
        box.xaxis.tick_top()
        box.set_yticks(range(len(rows)), [name_text(name, 32) for name in rows], fontsize=8)
        box.tick_params(length=0)
        box.set_xlim(-0.5, len(matrix.columns) - 0.5)
        box.set_ylim(len(rows) - 0.5, -0.5)
        box.grid(visible=False)
        for spine in box.spines.values():
            spine.set_color(GREY)
            spine.set_visible(False)
        save(figure, path, caption)


def _share(matrix: ThreadMatrix, row: int, thread: str) -> float:
    """Return the share of a row that a thread has, from 0 to 1."""
    if any(place[0] == row for place in matrix.taken):
        return matrix.taken.get((row, thread), 0.0)
    total = sum(matrix.cpu_us.get((row, name), 0.0) for name in matrix.columns)
    return matrix.cpu_us.get((row, thread), 0.0) / total if total > 0 else 0.0
