"""A schedule to one performance of it: a QEMU of its own, a verdict, and evidence where something is wrong."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from lab.command import text_from_argv
from lab.errors import DeviceError, LabError
from lab.scratch import scratch_folder
from lab.virtio.backing import Backing
from lab.virtio.evidence import keep_evidence
from lab.virtio.qtest_machine import QtestMachine, QtestSpec, start_machine
from lab.virtio.race.history import History
from lab.virtio.race.judge import RaceJudgement, judge_race
from lab.virtio.race.operations import THROTTLE_GROUPS
from lab.virtio.race.perform import Race
from lab.virtio.race.schedule import Schedule
from lab.virtio.tmf.plan import UNITS
from lab.virtio.tmf.watchdog import NEW_CONNECTION, Stall, crash_text, examine_stall

_MEMORY_MIB = 64
_DISK_MIB = 1
"""Small, so that a mirror is done in a moment: the races use 2048 blocks of 512 bytes."""


@dataclass(frozen=True)
class RaceResult:
    """What came of one performance.

    :param commands: how many commands and functions were sent.
    :param refused: QMP commands that QEMU refused.
    :param command_line: of QEMU, as a shell reads it.
    :param evidence: folder with what tells about it; None where nothing is wrong.
    """

    schedule: Schedule
    judgement: RaceJudgement
    commands: int
    functions: int
    refused: tuple[str, ...]
    command_line: str
    evidence: Path | None
    seconds: float


def attempt(qemu: Path, schedule: Schedule, *, evidence: Path | None, backtrace: bool = False) -> RaceResult:
    """Perform a schedule once.

    :param evidence: folder for the evidence, made where something is wrong; None keeps none.
    :param backtrace: of a QEMU that hangs, where gdb is installed; takes seconds.
    :raise LabError: QEMU does not start.
    """
    start = time.monotonic()
    spec = spec_from_schedule(qemu, schedule)
    with scratch_folder() as folder:
        with start_machine(spec, folder) as machine:
            command_line = text_from_argv(machine.process.argv)
            history = _observed(machine, schedule, backtrace)
        judgement = judge_race(history)
        kept = None
        if evidence is not None and (judgement.faults or judgement.undecided):
            faults = [f"{fault.kind}: {fault.text}" for fault in judgement.faults]
            story = {"schedule": schedule.to_json(), "faults": faults, "undecided": judgement.undecided}
            kept = keep_evidence(folder, evidence, command_line=command_line, story_file="race.json", story=story)
    counts = len(history.commands), len(history.functions)
    seconds = time.monotonic() - start
    return RaceResult(schedule, judgement, *counts, tuple(history.refused), command_line, kept, seconds)


def spec_from_schedule(qemu: Path, schedule: Schedule) -> QtestSpec:
    """Return the machine that a schedule is performed on."""
    return QtestSpec(
        qemu,
        UNITS,
        schedule.num_queues,
        iothreads=schedule.iothreads,
        controller=schedule.controller,
        memory_mib=_MEMORY_MIB,
        backing=schedule.backing,
        throttle_groups=THROTTLE_GROUPS,
        disk_mib=_DISK_MIB,
    )


def _observed(machine: QtestMachine, schedule: Schedule, backtrace: bool) -> History:
    """Perform a schedule; where the machine crashed or hangs, find out about that."""
    race = Race(machine, schedule)
    history = race.history
    try:
        race.run()
    except DeviceError as err:
        history.broken = err.message
    except LabError as err:
        history.trouble = err.message
    history.crash = _crash(machine, history)
    if history.stall is not None and not history.crash:
        moved_by = examine_stall(
            machine, history.stall, schedule.num_queues, race.everything_ended, wants_backtrace=lambda: backtrace
        )
        has_client = schedule.backing is Backing.HELD  # without one, hanging up was only time that passed
        history.moved_by = moved_by if has_client or moved_by != NEW_CONNECTION else None
    return history


def _crash(machine: QtestMachine, history: History) -> str:
    if history.trouble or history.silent or history.stall is Stall.EXITED or machine.process.exit_code() is not None:
        return crash_text(machine.process) or ""
    return ""
