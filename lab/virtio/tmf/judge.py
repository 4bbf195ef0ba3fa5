"""What was allowed and what happened, to a verdict with its reasons.

Conservation is part of it: every command ends exactly once, the function is answered exactly once, and what a function
ends has ended when the function is answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lab.virtio.tmf.observation import Ending, Observation
from lab.virtio.tmf.oracle import CommandExpectation, Expectation, aborted_before
from lab.virtio.tmf.plan import Plan, PlannedCommand
from lab.virtio.tmf.watchdog import NEW_CONNECTION, Stall
from lab.virtio.verdict import Verdict
from lab.virtio.virtio_scsi import Response, response_text

_SUCCESS = (Response.OK, Response.FUNCTION_SUCCEEDED)
_RESET_SENSE = "UNIT_ATTENTION 29/"
_LUNS_CHANGED = "CHECK_CONDITION UNIT_ATTENTION 3f/0e"
"""REPORTED LUNS DATA HAS CHANGED (VIRTIO 1.2, section 5.6.6.3; SPC-4, section 5.14.2)."""


@dataclass(frozen=True)
class Judgement:
    """A verdict.

    :param reasons: why it failed or is undecided, most important first.
    :param notes: what strays from the specification without being counted as a failure.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def judge(plan: Plan, expected: Expectation, seen: Observation, served_by: Sequence[str]) -> Judgement:
    """Judge one case.

    :param served_by: the thread that should serve each command virtqueue.
    """
    if seen.crash or seen.broken:
        return Judgement(Verdict.FAILED, (seen.crash or seen.broken,))
    undecided = _undecided(seen)
    if undecided:
        return Judgement(Verdict.UNDECIDED, (undecided,))
    reasons = tuple(_faults(plan, expected, seen, served_by))
    return Judgement(Verdict.FAILED if reasons else Verdict.PASSED, reasons, tuple(_notes(plan, expected, seen)))


def _undecided(seen: Observation) -> str:
    """Return why a case says nothing about task management; empty where it does."""
    if seen.trouble:
        return f"the case could not be performed: {seen.trouble}"
    if seen.stall is Stall.TOO_SLOW:
        return f"waited for {seen.waiting_for}: {seen.stall}"
    return ""


def _notes(plan: Plan, expected: Expectation, seen: Observation) -> Iterator[str]:
    answer = answer_of(seen.function)
    yield from (reason for value, reason in expected.tolerated if value == answer)
    for command, allowed, ending in zip(plan.held, expected.commands, seen.commands, strict=True):
        if str(ending.response) in allowed.tolerated:
            yield f"{_name(command)} ended {ending.response} instead of {' or '.join(sorted(allowed.ends))}"


def answer_of(function: Ending | None) -> int | None:
    """Return the response byte of a function, or None where it was not sent or never answered."""
    return function.answer[0] if function is not None and function.ended else None


def function_text(answer: int | None) -> str:
    """Return the name of a function's response; 0 is FUNCTION_COMPLETE there (VIRTIO 1.2, section 5.6.6.2)."""
    if answer is None:
        return "never answered"
    return "FUNCTION_COMPLETE" if answer == Response.OK else response_text(answer)


def _faults(plan: Plan, expected: Expectation, seen: Observation, served_by: Sequence[str]) -> Iterator[str]:
    if seen.moved_by == NEW_CONNECTION:
        yield "the disk's NBD client lost a reply: the disk had sent them all"
    yield from _function_faults(seen.function, expected)
    if seen.earlier is not None:
        pairs = zip(plan.held, seen.commands, strict=True)
        yield from _earlier_faults(seen.earlier, (ending for command, ending in pairs if aborted_before(plan, command)))
    if seen.stall is not None:
        yield f"waited for {seen.waiting_for}: {seen.stall}" + (f"; {seen.moved_by} moved it" if seen.moved_by else "")
    for command, allowed, ending in zip(plan.held, expected.commands, seen.commands, strict=True):
        yield from _command_faults(command, allowed, ending, seen.function, served_by)
    if seen.strays:
        yield f"something ended twice: the device returned {seen.strays} times what it did not have"
    yield from _aftermath_faults(expected, seen)
    if seen.unplug_refused:
        yield f"device_del: {seen.unplug_refused}"


def _function_faults(function: Ending | None, expected: Expectation) -> Iterator[str]:
    if function is None:
        return  # it was never sent; the stall says why
    answer = answer_of(function)
    allowed = expected.answers | {value for value, _ in expected.tolerated}
    if answer is None:
        yield "the function was never answered"
    elif answer not in allowed:
        names = " or ".join(function_text(value) for value in sorted(expected.answers))
        yield f"the function was answered {function_text(answer)} instead of {names}"


def _earlier_faults(earlier: Ending, commands: Iterable[Ending]) -> Iterator[str]:
    """Yield what is wrong with the earlier ABORT_TASK, which ends these commands."""
    answer = answer_of(earlier)
    if answer is None:
        yield "the earlier ABORT_TASK was never answered"
    elif answer != Response.OK:
        yield f"the earlier ABORT_TASK was answered {function_text(answer)} instead of FUNCTION_COMPLETE"
    elif any(command.ended and earlier.pass_number < command.pass_number for command in commands):
        yield "the earlier ABORT_TASK was answered before its command had ended"


def _command_faults(
    command: PlannedCommand,
    allowed: CommandExpectation,
    ending: Ending,
    function: Ending | None,
    served_by: Sequence[str],
) -> Iterator[str]:
    name = _name(command)
    if not ending.ended:
        yield f"{name} never ended"
        return
    end = str(ending.response)
    if end not in allowed.ends | allowed.tolerated:
        yield f"{name} ended {end} instead of {' or '.join(sorted(allowed.ends))}"
    if not ending.data_ok:
        yield f"{name} ended OK with the wrong data"
    if ending.overwritten:
        yield f"{name} had ended {end} when the device wrote to its data buffer"
    if allowed.before_answer and _answered_with_success_before(function, ending):
        yield f"{name} ended after the function that ends it had been answered"
    wrong = [thread for thread in ending.served_by if thread != served_by[command.queue]]
    if wrong:
        yield f"{name} was served by {', '.join(wrong)}; the mapping says {served_by[command.queue]}"


def _name(command: PlannedCommand) -> str:
    return f"the command on LUN {command.unit.lun}, queue {command.queue}"


def _answered_with_success_before(function: Ending | None, command: Ending) -> bool:
    if function is None or answer_of(function) not in _SUCCESS:
        return False
    return function.pass_number < command.pass_number


def _aftermath_faults(expected: Expectation, seen: Observation) -> Iterator[str]:
    for lun, said in seen.after.items():
        if expected.lun_goes and said in ("OK", _LUNS_CHANGED):
            continue
        if lun in expected.resets and _RESET_SENSE not in said:
            yield f"LUN {lun} does not report its reset: it said {said}"
        elif lun not in expected.resets and said != "OK":
            yield f"LUN {lun} was not reset and said {said}"
