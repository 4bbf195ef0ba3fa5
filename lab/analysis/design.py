"""Whether a schedule is the design that the test of signs rests on, and its records are runs of it. Pure.

A block holds every cell once, and both arms of every point; a run that ended well is never made again. The lab breaks
none of this, and where somebody does, blocks that were cut or runs that were repeated could choose the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.errors import InputError
from lab.record import Arm, Outcome, RunRecord, ScheduledRun

_REMEDY = "the file was edited or damaged: restore it from a copy, or begin a new experiment"


def check_schedule(path: Path, schedule: Sequence[ScheduledRun], blocks: int) -> None:
    """Make sure that a schedule has whole blocks, each cell once in each, and as many as were asked for.

    :param path: names the schedule in messages.
    :param blocks: how many were asked for; 0 where nobody knows.
    :raise InputError: it has not.
    """
    held: dict[int, set[str]] = {}
    for number, run in enumerate(schedule, start=1):
        cells = held.setdefault(run.block, set())
        if run.cell.id in cells:
            raise InputError(f"{path}:{number}: {run.cell.id} is in block {run.block} already", remedy=_REMEDY)
        cells.add(run.cell.id)
    whole = {f"{arm}.{point}" for point in {run.cell.point.id for run in schedule} for arm in Arm}
    for block, cells in held.items():
        if missing := whole - cells:
            raise InputError(f"{path}: block {block} lacks {min(missing)}", remedy=_REMEDY)
    if blocks not in (0, len(held)):
        raise InputError(f"{path}: it has {len(held)} blocks of the {blocks} that were scheduled", remedy=_REMEDY)


def check_records(path: Path, records: Sequence[RunRecord], schedule: Sequence[ScheduledRun]) -> None:
    """Make sure that every record is a run of the schedule, and none is of one that had ended well before.

    :param path: names the records in messages.
    :raise InputError: one is not; the message has its line.
    """
    planned, done = frozenset(schedule), set()
    for number, record in enumerate(records, start=1):
        if record.scheduled not in planned:
            raise InputError(f"{path}:{number}: {record.id} is not in the schedule", remedy=_REMEDY)
        if record.scheduled.id in done:
            raise InputError(f"{path}:{number}: {record.id} repeats a run that had ended well", remedy=_REMEDY)
        if record.outcome is Outcome.OK:
            done.add(record.scheduled.id)
