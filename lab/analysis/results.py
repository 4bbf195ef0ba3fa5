"""A results folder to checked values. Read-only: nothing here repairs, locks or writes.

Every line is checked on the way in. Published result files have been seen with unresolved merge conflicts in them; such
a file must be an error that names the line, never a slightly different number.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from lab.analysis.design import check_records, check_schedule
from lab.analysis.names import all_on_one_line, on_one_line
from lab.analysis.question import Question, read_question
from lab.analysis.verdict import Interval
from lab.errors import InputError
from lab.files import MIB, read_input
from lab.record import Cell, Outcome, Point, RunRecord, ScheduledRun, record_from_json, scheduled_from_json
from lab.units import is_measurable

_CONFLICT = (b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>")
_LARGEST_FILE_BYTES = 1024 * MIB
_REMEDY = "the file was edited or damaged: restore it from a copy, or begin a new experiment"

LARGEST_BLOCK = 10**9


@dataclass(frozen=True)
class Results:
    """Everything a results folder says, checked.

    :param path: where it came from.
    :param host: host.json, as it is; which keys are shown is decided by the report.
    :param builds: builds.json, as it is.
    :param schedule: what was planned; empty for a CSV file.
    :param records: every attempt, in the order in which they ended.
    :param warnings: what was odd about the files themselves.
    :param controls: where the arms were measured at two times, so that blocks are no pairs of neighbours: by metric and
        id of the point, the interval of the ratio by which the host moved meanwhile. None for arms of one session.
    """

    path: Path
    question: Question
    schedule: tuple[ScheduledRun, ...]
    records: tuple[RunRecord, ...]
    host: Mapping[str, Any] = field(default_factory=dict)
    builds: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    controls: Mapping[tuple[str, str], Interval] | None = None

    @cached_property
    def ok(self) -> tuple[RunRecord, ...]:
        """Return the attempts that carry numbers."""
        return tuple(record for record in self.records if record.outcome is Outcome.OK)

    @cached_property
    def undone(self) -> int:
        """Return how many scheduled runs have not been tried at all."""
        return len(set(self.schedule) - {record.scheduled for record in self.records})

    @property
    def build_warnings(self) -> tuple[str, ...]:
        """Return in what else the builds differ, where somebody insisted on comparing them."""
        said = self.builds.get("warnings")
        return tuple(str(text) for text in said) if isinstance(said, list) else ()

    @property
    def tier(self) -> str:
        """Return ``tcg``, ``kvm`` or ``qtest``; ``mixed`` or ``unknown`` where the runs do not say one thing."""
        tiers = {record.accelerator for record in self.records}
        if not tiers:
            return str(self.host.get("accelerator", "unknown"))
        return tiers.pop() if len(tiers) == 1 else "mixed"


def read_results(folder: Path) -> Results:
    """Read a results folder.

    :raise InputError: it is not one, or a file in it is damaged; the message has file and line.
    """
    if not (folder / "experiment.toml").exists():
        raise InputError(
            f"{folder} is not a results folder: it has no experiment.toml",
            remedy="give the folder that 'lab run' named; 'lab compare' takes a CSV file, too",
        )
    question = read_question(folder / "experiment.toml")
    records: tuple[RunRecord, ...] = ()
    odd: tuple[str, ...] = ()
    cells: dict[str, Cell] = {}
    with _collector_paused():
        schedule, half = _read_lines(folder / "schedule.jsonl", partial(_scheduled, cells))
        if half:  # it is written whole before the first boot, so no power cut leaves a part of it
            raise InputError(f"{folder / 'schedule.jsonl'}: its last line is half-written", remedy=_REMEDY)
        if (folder / "runs.jsonl").exists():
            records, odd = _read_lines(folder / "runs.jsonl", partial(_record, cells))
    check_records(folder / "runs.jsonl", records, schedule)
    check_names(folder, (run.cell.point for run in (*schedule, *(record.scheduled for record in records))))
    check_schedule(folder / "schedule.jsonl", schedule, question.blocks)
    return Results(
        path=folder,
        question=question,
        schedule=schedule,
        records=records,
        host=_read_object(folder / "host.json"),
        builds=_read_object(folder / "builds.json"),
        warnings=odd,
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python's collector of cycles from walking over a million new objects again and again; none is in a cycle."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def check_names(path: Path, points: Iterable[Point]) -> None:
    """Make sure that points and their names stand for each other.

    Levels such as 1, 1.0, true and "1" would be one level here and several there.

    :param path: names the results in the message.
    :raise InputError: two names are one point, or two points have one name.
    """
    names: dict[Point, str] = {}
    named: dict[str, Point] = {}
    for point in {id(point): point for point in points}.values():  # those that runs share need one look
        other = names.setdefault(point, point.id)
        if other != point.id or named.setdefault(point.id, point) != point:
            raise InputError(
                f"{path}: the levels of {point.id} and {other} cannot be told apart",
                remedy="write each level of a factor in one way only",
            )


def _scheduled(cells: dict[str, Cell], value: Any) -> ScheduledRun:
    run = scheduled_from_json(value, cells)
    if run.block > LARGEST_BLOCK:
        raise InputError(f"block {run.block} is larger than {LARGEST_BLOCK}")
    _check_size((name, level) for name, level in run.cell.point.levels if not isinstance(level, str))
    return run


def _record(cells: dict[str, Cell], value: Any) -> RunRecord:
    record = record_from_json(value, cells)
    if record.host != on_one_line(record.host) or record.accelerator != on_one_line(record.accelerator):
        raise InputError("the name of the host or the accelerator has a line break in it")
    _check_size(record.metrics.items())
    _check_size((name, reading) for name, readings in record.traces.items() for reading in readings)
    return record


def _check_size(numbers: Iterable[tuple[str, float]]) -> None:
    for name, number in numbers:
        if not is_measurable(number):
            raise InputError(f"{name} is {number}, which no run can have measured")


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_HasId)


def _read_lines(path: Path, parse: Callable[[Any], T]) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """Return what the lines of a file say, and what was odd about the file."""
    data = read_input(path, limit_bytes=_LARGEST_FILE_BYTES)
    complete = data.rfind(b"\n") + 1
    odd: tuple[str, ...] = ()
    if complete < len(data):
        odd = (f"the last line of {path.name} is half-written (the machine or the lab was stopped); it is not used",)
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)  # one for all lines: json.loads makes one for each
    seen: dict[str, int] = {}
    values = []
    for number, line in _numbered(data[:complete]):
        if line.startswith(_CONFLICT):
            raise InputError(f"{path}:{number}: this is a merge-conflict marker", remedy=_REMEDY)
        try:
            value = parse(decoder.decode(line.decode("utf-8")))
        except (ValueError, RecursionError) as err:
            raise InputError(f"{path}:{number}: this is not JSON: {err}", remedy=_REMEDY) from err
        except InputError as err:
            raise InputError(f"{path}:{number}: {err.message}", remedy=err.remedy or _REMEDY) from err
        if value.id in seen:
            raise InputError(f"{path}:{number}: {value.id} is there already, in line {seen[value.id]}", remedy=_REMEDY)
        seen[value.id] = number
        values.append(value)
    return tuple(values), odd


def _numbered(data: bytes) -> Iterator[tuple[int, bytes]]:
    return enumerate(data.split(b"\n")[:-1], start=1)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_input(path, limit_bytes=_LARGEST_FILE_BYTES), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as err:
        raise InputError(f"{path}: this is not JSON: {err}", remedy=_REMEDY) from err
    if not isinstance(value, dict):
        raise InputError(f"{path}: this is not a JSON object", remedy=_REMEDY)
    return dict(all_on_one_line(value))
