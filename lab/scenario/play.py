"""A scenario on a guest that runs: load it, disturb it, verify everything; by itself and in runs of a job alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lab.errors import StageError
from lab.machine.guest import CONSOLE_LOG, Guest, mapping_objection
from lab.machine.process import tail_of
from lab.scenario.catalogue import Scenario
from lab.scenario.fault import fault_of
from lab.scenario.kernel_log import broken_lines
from lab.scenario.stage import ScenarioError, Stage
from lab.scenario.verdict import Seen

WATCH_S = 1.5
"""How long service is watched after the last disturbance, at least."""


def play(
    scenario: Scenario,
    stage: Stage,
    seen: Seen,
    *,
    times: int,
    ramp_s: float = 0.0,
    watch_s: float = WATCH_S,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Load the guest, perform a scenario and verify what there is to verify.

    :param seen: gets what is found out, also where an error ends it.
    :param times: how often; once where the scenario cannot be repeated.
    :param ramp_s: how long the load runs before the first disturbance, beside the second that it is held against.
    :param watch_s: how long service is watched after the last one.
    :raise StageError: the machine did something wrong, or fell silent; a crash or a panic behind it comes first.
    """
    seen.marks = stage.marks
    booted_in = stage.guest
    said_before = _console_bytes(booted_in)
    try:
        prove_mapping(booted_in)
        stage.load.prepare()
        stage.load.start()
        stage.begin_clock()
        if ramp_s:
            stage.settle(ramp_s)
        begun_s, rested_s = clock(), stage.rested_s
        for number in range(scenario.turns(times)):
            scenario.perform(stage, number)
        seen.seconds = clock() - begun_s - (stage.rested_s - rested_s)
        seen.paused_s = stage.paused_s
        if not stage.guest_ended:
            stage.settle(max(watch_s, WATCH_S))
            result = stage.load.stop()
            seen.completed, seen.trace, seen.waits = result.completed, result.trace, result.waits
            prove_mapping(stage.guest)
            _check_kernel_log(stage, booted_in, said_before)
    except StageError as err:
        cause = err if stage.guest_ended else stage.guest.why(err)
        seen.fault = fault_of(stage.guest, cause, make_deadline=stage.make_deadline)
        seen.complaint = next((lines[0] for _, lines in _complaints(stage, booted_in, said_before)), "")
        if cause is err:
            raise
        raise cause from err
    finally:
        seen.clock = stage.clock


def prove_mapping(guest: Guest) -> None:
    """Make sure that the mapping is what was asked for.

    :raise ScenarioError: it is another one, or QEMU runs on without IOThreads.
    :raise MonitorError: QEMU does not answer.
    """
    objection = mapping_objection(guest, guest.spec.controllers, guest.evidence)
    if objection is not None:
        raise ScenarioError(objection)


def _check_kernel_log(stage: Stage, booted_in: Guest, said_before: int) -> None:
    """Make sure that the guest's kernel had nothing to complain about since it was loaded.

    :raise ScenarioError: it had; the message holds its first words.
    """
    for console, lines in _complaints(stage, booted_in, said_before):
        raise ScenarioError(f"the guest's kernel complained: {lines[0]}", evidence=console)


def _complaints(stage: Stage, booted_in: Guest, said_before: int) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield consoles with what the guest's kernel complained about since it was loaded.

    :param said_before: bytes of the console that it was booted with.
    """
    consoles = {stage.guest.evidence / CONSOLE_LOG: 0} | {booted_in.evidence / CONSOLE_LOG: said_before}
    for console, from_byte in consoles.items():
        broken = broken_lines(tail_of(console, from_byte=from_byte))
        if broken:
            yield console, broken


def _console_bytes(guest: Guest) -> int:
    console = guest.evidence / CONSOLE_LOG
    return console.stat().st_size if console.exists() else 0
