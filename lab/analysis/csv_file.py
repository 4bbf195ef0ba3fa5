"""A plain CSV file, measured by whatever means, to results that can be judged like our own.

Columns: ``arm`` (baseline or candidate) and ``block`` (from 1); optional ``host``; columns named after a metric
of the lab hold values; every other column is a factor. One line per boot. An empty metric cell is a missing value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.analysis.names import on_one_line
from lab.analysis.question import DEFAULT_ALPHA, DEFAULT_EFFECT, Question
from lab.analysis.results import LARGEST_BLOCK, Results, check_names
from lab.errors import InputError
from lab.files import MIB, read_input
from lab.record import Arm, Cell, Level, Outcome, Point, RunRecord, ScheduledRun
from lab.units import LARGEST_VALUE, METRICS, is_measurable, metric_from_name

_LARGEST_FILE_BYTES = 1024 * MIB
_REQUIRED = ("arm", "block")
_CONFLICT = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_REMEDY = "one line per boot with the columns arm, block, optional host, factors, and metrics (see docs/method.md)"


@dataclass(frozen=True)
class CsvSettings:
    """What a job file would say.

    :param metrics: names of those that decide; all metric columns where empty.
    """

    metrics: tuple[str, ...] = ()
    smallest_effect: float = DEFAULT_EFFECT
    alpha: float = DEFAULT_ALPHA


def read_csv(path: Path, settings: CsvSettings) -> Results:
    """Read a CSV file.

    :raise InputError: it cannot be read, a column or value is wrong, or a cell occurs twice in a block; the message has
        file and line.
    """
    try:
        text = read_input(path, limit_bytes=_LARGEST_FILE_BYTES).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        return _results(path, ((reader.line_num, row) for row in reader), settings)
    except (UnicodeDecodeError, csv.Error) as err:
        raise InputError(f"{path} is not a CSV file: {err}", remedy=_REMEDY) from err


def _results(path: Path, rows: Iterator[tuple[int, list[str]]], settings: CsvSettings) -> Results:
    header = tuple(on_one_line(name.strip()) for name in next(rows, (0, []))[1])
    metrics = _checked_header(path, header, settings.metrics)
    records: dict[tuple[Cell, int], RunRecord] = {}
    for line, row in rows:
        if not any(field.strip() for field in row):
            continue
        where = f"{path}:{line}"
        record = _record(where, header, row, position=len(records) + 1)
        key = (record.scheduled.cell, record.scheduled.block)
        if key in records:
            raise InputError(f"{where}: {key[0].id} is in block {key[1]} already", remedy="one line per cell and block")
        records[key] = record
    check_names(path, (record.scheduled.cell.point for record in records.values()))
    if not records:
        raise InputError(f"{path} has no line with values", remedy=_REMEDY)
    factors = [name for name in header if name not in (*_REQUIRED, "host", *METRICS)]
    return Results(
        path=path,
        question=Question(
            title=on_one_line(path.stem),
            metrics=tuple(metric_from_name(name) for name in metrics),
            smallest_effect=settings.smallest_effect,
            alpha=settings.alpha,
        ),
        schedule=(),
        records=tuple(records.values()),
        warnings=(f"columns taken as factors: {', '.join(factors)}",) if factors else (),
    )


def _checked_header(path: Path, header: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the metrics that decide."""
    missing = [name for name in _REQUIRED if name not in header]
    if missing:
        raise InputError(f"{path}:1: there is no column '{missing[0]}'", remedy=_REMEDY)
    if len(set(header)) < len(header) or "" in header:
        raise InputError(f"{path}:1: a column has no name, or a name is there twice", remedy=_REMEDY)
    present = tuple(name for name in header if name in METRICS)
    if not present:
        raise InputError(f"{path}:1: no column is a metric", remedy=f"metrics are: {', '.join(METRICS)}")
    for name in wanted:
        if metric_from_name(name).name not in present:
            raise InputError(f"{path}:1: there is no column '{name}'", remedy=f"metrics here: {', '.join(present)}")
    return tuple(wanted) or present


def _record(where: str, header: Sequence[str], row: Sequence[str], *, position: int) -> RunRecord:
    if row[0].startswith(_CONFLICT):
        raise InputError(f"{where}: this is a merge-conflict marker", remedy="resolve the conflict")
    if len(row) != len(header):
        raise InputError(f"{where}: {len(row)} fields under {len(header)} columns", remedy=_REMEDY)
    fields = {name: text.strip() for name, text in zip(header, row, strict=True)}
    try:
        arm = Arm(fields.pop("arm"))
    except ValueError as err:
        raise InputError(f"{where}: {err}", remedy="arm is baseline or candidate") from err
    block = fields.pop("block")
    if not (block.isascii() and block.isdigit() and len(block) <= 10) or not 1 <= int(block) <= LARGEST_BLOCK:
        raise InputError(f"{where}: block '{block}' is not a number from 1 to {LARGEST_BLOCK}", remedy=_REMEDY)
    host = on_one_line(fields.pop("host", ""))
    metrics = {name: _number(where, name, fields.pop(name)) for name in METRICS if name in fields}
    cell = Cell(arm, Point.from_levels({name: _level(text) for name, text in fields.items()}))
    return RunRecord(
        scheduled=ScheduledRun(int(block), position, cell, seed=0),
        attempt=1,
        outcome=Outcome.OK,
        started_at="",
        duration_s=0.0,
        host=host,
        accelerator="unknown",
        metrics={name: value for name, value in metrics.items() if value is not None},
    )


def _number(where: str, name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{where}: {name} '{text}' is not a number", remedy="leave a missing value empty") from None
    if value < 0 or not is_measurable(value):
        raise InputError(f"{where}: {name} is {text}", remedy="leave a missing value empty")
    return value


def _level(text: str) -> Level:
    for kind in (int, float):
        try:
            level = kind(text)
        except ValueError:
            continue
        if abs(level) < LARGEST_VALUE:  # others, and nan, are words: no number could be made of them in JSON
            return level
    return text
