"""The run record: what one boot of one cell left behind, and its JSON form.

Both halves of the lab meet here: experiments write records, analysis reads them. Nothing else is shared.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar

from lab.errors import InputError

FORMAT = 1
"""1 is the first version."""

Level = str | int | float | bool
T = TypeVar("T")

_UNFIT_FOR_FILE_NAMES = re.compile(r"[/%\x00-\x1f\x7f]")


class Arm(StrEnum):
    """Which binary: the base commit, or base plus series, both built by us with the same options."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


class Outcome(StrEnum):
    """How a run ended. Only ``ok`` carries metrics that may be compared."""

    OK = "ok"
    BOOT_FAILED = "boot-failed"
    GUEST_HUNG = "guest-hung"
    QEMU_CRASHED = "qemu-crashed"
    WORKLOAD_FAILED = "workload-failed"
    SCENARIO_FAILED = "scenario-failed"
    VOID = "void"
    """It ran, but not what was asked for (the mapping read back differs): its numbers do not count."""
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True)
class Point:
    """One combination of levels of all factors but the arm: a row of the report.

    :param levels: (factor, level) pairs, sorted by factor.
    """

    levels: tuple[tuple[str, Level], ...]

    @classmethod
    def from_levels(cls, levels: Mapping[str, Level]) -> Point:
        """Make a point from a mapping of factor to level."""
        return cls(tuple(sorted(levels.items())))

    @cached_property
    def id(self) -> str:
        """Return the name of the point, ``iodepth=64.iothreads=4``; ``all`` where nothing is varied.

        It becomes part of a folder's name, so what would lead out of there, such as a slash, is escaped as in URLs.
        """
        text = ".".join(f"{name}={text_from_level(level)}" for name, level in self.levels) or "all"
        return _UNFIT_FOR_FILE_NAMES.sub(lambda match: f"%{ord(match[0]):02X}", text)


@dataclass(frozen=True)
class Cell:
    """A point of one arm: what a run realises."""

    arm: Arm
    point: Point

    @cached_property
    def id(self) -> str:
        """Return the name of the cell, ``candidate.iodepth=64.iothreads=4``."""
        return f"{self.arm}.{self.point.id}"


def text_from_level(level: Level) -> str:
    """Return a level as written in ids, tables and job files."""
    return json.dumps(level) if isinstance(level, bool) else str(level)


@dataclass(frozen=True)
class ScheduledRun:
    """One line of schedule.jsonl, written before the first boot.

    :param block: number of the block, from 1; each block holds every cell exactly once.
    :param position: place within the block, from 1.
    :param seed: handed to the workload where it needs one.
    """

    block: int
    position: int
    cell: Cell
    seed: int

    @cached_property
    def id(self) -> str:
        """Return the name of the scheduled run, ``b02-p03-candidate.iothreads=4``; attempts add ``-a1``."""
        return f"b{self.block:02d}-p{self.position:02d}-{self.cell.id}"


@dataclass(frozen=True)
class RunRecord:
    """One line of runs.jsonl.

    :param scheduled: what was asked for.
    :param attempt: number of the try, from 1.
    :param outcome: how it ended.
    :param started_at: UTC, ISO 8601.
    :param duration_s: from process start to the end of clean-up.
    :param host: fingerprint of the host (see host.json).
    :param accelerator: ``tcg``, ``kvm`` or ``qtest``.
    :param metrics: name (see lab/units.py) to value; empty unless the outcome is ok.
    :param traces: name to readings within the run (per second); diagnostics, never observations.
    :param reason: one sentence where the outcome is not ok.
    :param warnings: what a reader of the numbers must know.
    :param facts: anything else worth keeping (versions, thread counts), never compared.
    """

    scheduled: ScheduledRun
    attempt: int
    outcome: Outcome
    started_at: str
    duration_s: float
    host: str
    accelerator: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    traces: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    reason: str = ""
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """Return the name of the run and of its evidence folder."""
        return f"{self.scheduled.id}-a{self.attempt}"


def json_from_scheduled(run: ScheduledRun) -> dict[str, Any]:
    """Return the JSON object of a line of schedule.jsonl."""
    return {
        "format": FORMAT,
        "block": run.block,
        "position": run.position,
        "arm": run.cell.arm.value,
        "levels": dict(run.cell.point.levels),
        "seed": run.seed,
    }


def scheduled_from_json(value: Any, cells: dict[str, Cell] | None = None) -> ScheduledRun:
    """Return the scheduled run of a JSON object.

    :param cells: cells that were read before, to be shared and added to: with thousands of lines, time and memory.
    :raise InputError: it is not one, or of another format; the message names the key.
    """
    try:
        _item(value, "format", _format)
        name = f"{value['arm']} {value['levels']!r}"  # 1, 1.0 and true are equal levels with unequal names
        cells = {} if cells is None else cells
        if name not in cells:
            cells[name] = Cell(_item(value, "arm", Arm), Point.from_levels(_item(value, "levels", _levels)))
        block, position = (_item(value, key, _positive) for key in ("block", "position"))
        return ScheduledRun(block, position, cells[name], _item(value, "seed", _whole))
    except (KeyError, TypeError, ValueError) as err:
        raise InputError(f"this is not a scheduled run: {_why(err)}") from err


def json_from_record(record: RunRecord) -> dict[str, Any]:
    """Return the JSON object of a line of runs.jsonl, ``format`` first.

    :raise InputError: a number of it is not finite; such a record must never reach the disk.
    """
    numbers = {"duration_s": (record.duration_s,), **{name: (number,) for name, number in record.metrics.items()}}
    for name, readings in (*numbers.items(), *record.traces.items()):
        if not all(map(math.isfinite, readings)):
            raise InputError(f"{name} of run {record.id} is not a finite number: {readings}")
    return {
        "format": FORMAT,
        "run": record.id,
        **{k: v for k, v in json_from_scheduled(record.scheduled).items() if k != "format"},
        "attempt": record.attempt,
        "outcome": record.outcome.value,
        "reason": record.reason,
        "started_at": record.started_at,
        "duration_s": round(record.duration_s, 3),
        "host": record.host,
        "accelerator": record.accelerator,
        "metrics": dict(record.metrics),
        "traces": {name: list(values) for name, values in record.traces.items()},
        "warnings": list(record.warnings),
        "facts": dict(record.facts),
    }


def record_from_json(value: Any, cells: dict[str, Cell] | None = None) -> RunRecord:
    """Return the record of a JSON object: the inverse of :func:`json_from_record`.

    :raise InputError: it is not one; the message names the key.
    """
    scheduled = scheduled_from_json(value, cells)
    try:
        record = RunRecord(
            scheduled=scheduled,
            attempt=_item(value, "attempt", _positive),
            outcome=_item(value, "outcome", Outcome),
            started_at=_item(value, "started_at", _text),
            duration_s=_item(value, "duration_s", _number),
            host=_item(value, "host", _text),
            accelerator=_item(value, "accelerator", _text),
            metrics=_item(value, "metrics", _metrics),
            traces=_item(value, "traces", _traces),
            reason=_item(value, "reason", _text),
            warnings=_item(value, "warnings", _texts),
            facts=_item(value, "facts", _object),
        )
    except (KeyError, TypeError, ValueError) as err:
        raise InputError(f"this is not a run record: {_why(err)}") from err
    if value.get("run") != record.id:
        raise InputError(f"the record calls itself '{value.get('run')}' but describes {record.id}")
    return record


def _item(value: Any, key: str, read: Callable[[Any], T]) -> T:
    """Return what stands at a key; where it is not what it should be, the error names the key."""
    item = value[key]
    try:
        return read(item)
    except (TypeError, ValueError, OverflowError) as err:
        raise ValueError(f"{key}: {err}") from err


def _format(value: Any) -> None:
    if value != FORMAT:
        raise ValueError(f"{value!r} is not {FORMAT}, the one this version reads")


def _levels(value: Any) -> dict[str, Level]:
    levels: dict[str, Level] = _object(value)
    for name, level in levels.items():
        if not isinstance(level, str | int | float | bool):
            raise TypeError(f"level of {name} is a {type(level).__name__}")
    return levels


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _positive(value: Any) -> int:
    if _whole(value) < 1:
        raise ValueError(f"{value!r} is not a number from 1")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return tuple(_text(item) for item in value)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    return dict(value)


def _metrics(value: Any) -> dict[str, float]:
    return {name: _number(number) for name, number in _object(value).items()}


def _traces(value: Any) -> dict[str, tuple[float, ...]]:
    return {name: tuple(_number(reading) for reading in readings) for name, readings in _object(value).items()}


def _why(err: Exception) -> str:
    return f"key {err} is missing" if isinstance(err, KeyError) else str(err)
