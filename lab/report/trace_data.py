"""Run records to what a picture of their traces shows: readings over seconds, and what was done meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lab.record import Arm, Point, RunRecord

INTERVAL_S = 1.0
"""Distance of the readings of a trace: fio's log_avg_msec in the jobs of the lab."""

DISTURBED = "service_iops"
"""The trace of a run with a scenario, whose readings are closer, so that a gap is seen."""
_INTERVALS_S = {DISTURBED: 0.1}

_LONGEST_RUN_S = 1e7


@dataclass(frozen=True)
class Event:
    """Something that was done to a guest under load.

    :param at_s: seconds since the first reading began.
    """

    at_s: float
    name: str


@dataclass(frozen=True)
class TracedRun:
    """One run, reading by reading.

    :param seconds: when each reading ended.
    """

    arm: Arm
    readings: tuple[float, ...]
    seconds: tuple[float, ...]
    events: tuple[Event, ...] = ()


def traces_by_point(records: Sequence[RunRecord], points: Sequence[Point], name: str) -> dict[str, list[TracedRun]]:
    """Return the runs that have a trace, by id of the point; points without any are left out.

    :param name: of the trace.
    """
    found: dict[Point, list[TracedRun]] = {point: [] for point in points}
    for record in records:
        readings = record.traces.get(name, ())
        cell = record.scheduled.cell
        if len(readings) > 1 and cell.point in found:
            interval_s = _INTERVALS_S.get(name, INTERVAL_S)
            seconds = tuple(interval_s * (place + 1) for place in range(len(readings)))
            events = tuple(_events(record.facts.get("events")))
            found[cell.point].append(TracedRun(cell.arm, readings, seconds, events))
    return {point.id: runs for point, runs in found.items() if runs}


def _events(value: Any) -> Iterator[Event]:
    """Yield the events of a record: objects with ``at_s`` and ``name``. What is not one is not drawn."""
    for item in value if isinstance(value, list) else ():
        at_s, name = (item.get("at_s"), item.get("name")) if isinstance(item, dict) else (None, None)
        if isinstance(name, str) and isinstance(at_s, int | float) and 0 <= at_s < _LONGEST_RUN_S:  # nan is not either
            yield Event(float(at_s), name)
