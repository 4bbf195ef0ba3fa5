"""A comparison to what report.html says of each cell: its runs, what they left behind, and how to get it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from lab.analysis.compare import Comparison
from lab.record import Arm, Cell, Outcome, RunRecord
from lab.report.again import commands_for_cell
from lab.report.folder import evidence_names, evidence_text
from lab.units import Metric, text_from_quantity

LARGEST_CELLS = 80
LARGEST_RUNS = 400
"""Runs that the page lists, over all cells; all of them are in runs.jsonl."""

_FILES = 20
_LONGEST_COMMAND_BYTES = 4000
_LONGEST_REASON = 400


@dataclass(frozen=True)
class Link:
    """A file of the results folder.

    :param address: relative to report/, percent-encoded.
    """

    name: str
    address: str


@dataclass(frozen=True)
class RunOfPage:
    """One attempt.

    :param value: of the first metric that decides; a dash where the run failed.
    """

    id: str
    outcome: str
    ok: bool
    value: str
    reason: str
    files: tuple[Link, ...]


@dataclass(frozen=True)
class CellOfPage:
    """One cell.

    :param planned: scheduled runs; 0 where nobody planned.
    :param left_out: runs that are not listed.
    :param commands: what to type to get it again.
    :param command_line: of the first good run, where it was kept.
    """

    id: str
    arm: str
    metric: str
    planned: int
    ok: int
    failed: int
    runs: tuple[RunOfPage, ...]
    left_out: int
    commands: tuple[str, ...]
    command_line: str


def cells_of_page(comparison: Comparison) -> tuple[CellOfPage, ...]:
    """Return the cells in the order of the table, baseline first, each with its evidence."""
    points = dict.fromkeys(point.point for point in comparison.judged)
    cells = [Cell(arm, point) for point in points for arm in Arm][:LARGEST_CELLS]
    records: dict[Cell, list[RunRecord]] = {cell: [] for cell in cells}
    for record in comparison.results.records:
        records.get(record.scheduled.cell, []).append(record)
    planned: dict[Cell, int] = dict.fromkeys(cells, 0)
    for run in comparison.results.schedule:
        if run.cell in planned:
            planned[run.cell] += 1
    each = max(2, LARGEST_RUNS // max(1, len(cells)))
    return tuple(_cell(comparison, cell, records[cell], planned[cell], each) for cell in cells)


def _cell(comparison: Comparison, cell: Cell, records: Sequence[RunRecord], planned: int, most: int) -> CellOfPage:
    # Failures first: they are what a reader looks for, and must not be what is left out.
    shown = sorted(records, key=lambda record: record.outcome is Outcome.OK)[:most]
    shown.sort(key=lambda record: (record.scheduled.block, record.attempt))
    metric = comparison.judged[0].metric
    results = comparison.results
    good = next((record for record in records if record.outcome is Outcome.OK), None)
    text = good and evidence_text(results.path, good.id, "command-line.txt", limit_bytes=_LONGEST_COMMAND_BYTES)
    ok = sum(record.outcome is Outcome.OK for record in records)
    return CellOfPage(
        id=cell.id,
        arm=cell.arm.value,
        metric=metric.title,
        planned=planned,
        ok=ok,
        failed=len(records) - ok,
        runs=tuple(_run(comparison, record, metric) for record in shown),
        left_out=len(records) - len(shown),
        commands=commands_for_cell(results.question, cell),
        command_line=(text or "").strip(),
    )


def _run(comparison: Comparison, record: RunRecord, metric: Metric) -> RunOfPage:
    value = record.metrics.get(metric.name)
    names = evidence_names(comparison.results.path, record.id, limit=_FILES)
    return RunOfPage(
        id=record.id,
        outcome=record.outcome.value,
        ok=record.outcome is Outcome.OK,
        value="-" if value is None else text_from_quantity(value, metric.unit),
        reason=record.reason[:_LONGEST_REASON],
        files=tuple(Link(name, _address("..", "runs", record.id, name)) for name in names),
    )


def _address(*parts: str) -> str:
    """Return a relative address; a colon or a slash in a name is encoded, so that it is never more than a name."""
    return "/".join(quote(part, safe="", errors="replace") for part in parts)
