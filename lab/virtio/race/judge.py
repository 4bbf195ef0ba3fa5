"""What happened in a race, to what of it is wrong.

Several orders are right in a race, so an end is wrong only where *no* order of what overlapped allows it. Sources:

* VIRTIO 1.2, section 5.6.6.1: ABORTED is for a command cancelled by ABORT TASK or ABORT TASK SET, RESET for one that
  was cancelled by a bus or device reset, a task management function included. CLEAR TASK SET is named neither there nor
  in 5.6.6.2: that it gives ABORTED, too, is custom.
* VIRTIO 1.2, section 5.6.6.2: what a function ends has ended when the function is answered.
* VIRTIO 1.2, section 2.1.2: the device takes nothing before DRIVER_OK.
* SAM-5, clause 7: the functions and their service responses.

What else explains an end is in lab.virtio.race.excuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lab.virtio.race.excuse import is_reset_of, may_be_missing, unexplained, was_disturbed
from lab.virtio.race.history import History, Sent
from lab.virtio.tmf.watchdog import NEW_CONNECTION, Stall
from lab.virtio.virtio_scsi import Response, Tmf

_ABORTS = (Tmf.ABORT_TASK, Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET)
_ABSENT = (Response.BAD_TARGET, Response.INCORRECT_LUN)


class FaultKind(StrEnum):
    """Kinds of fault; a reduced race has to show the same kind."""

    CRASH = "QEMU ends by itself"
    HANG = "something never ends"
    NBD_CLIENT = "the disk's NBD client loses a reply"
    BROKEN = "the device breaks a rule of its specification"
    TWICE = "something ends twice"
    WRONG_DATA = "wrong data"
    LATE_END = "a command ends after the function that ended it was answered"
    WRONG_END = "a command ends with a response that nothing explains"
    WRONG_ANSWER = "a function has the wrong answer"


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    :param text: what happened, one sentence.
    :param gist: the same without what differs from one performance to the next; two faults of one kind and gist are
        taken for the same fault.
    """

    kind: FaultKind
    text: str
    gist: str = ""


@dataclass(frozen=True)
class RaceJudgement:
    """What is wrong with a race.

    :param undecided: why the race says nothing; empty where it does.
    """

    faults: tuple[Fault, ...]
    undecided: str = ""

    def has(self, wanted: Fault) -> bool:
        """Tell whether the same fault was seen."""
        return any((fault.kind, fault.gist) == (wanted.kind, wanted.gist) for fault in self.faults)


def judge_race(history: History) -> RaceJudgement:
    """Judge a race."""
    if history.crash:
        return RaceJudgement((Fault(FaultKind.CRASH, history.crash, _crash_gist(history.crash)),))
    faults = tuple(_faults(history))
    undecided = _undecided(history)
    if undecided:
        return RaceJudgement(faults, "" if faults else undecided)
    if history.stall is not None:
        # every reply had been sent, so finding 1, which holds one back until the next, is no excuse
        kind = FaultKind.NBD_CLIENT if history.moved_by == NEW_CONNECTION else FaultKind.HANG
        faults = (Fault(kind, _hang_text(history)), *faults)
    return RaceJudgement(faults)


def _crash_gist(text: str) -> str:
    """Return the assertion that failed, else the first line, which has the signal."""
    return next((line for line in text.splitlines() if "ssertion" in line), text.splitlines()[0])


def _undecided(history: History) -> str:
    if history.trouble:
        return f"the race could not be performed: {history.trouble}"
    if history.stall is Stall.TOO_SLOW:
        return f"waited for {history.waiting_for}: {history.stall}"
    return ""


def _hang_text(history: History) -> str:
    open_ends = [sent.text for sent in _all(history) if sent.ended_pass is None and not sent.dropped]
    owed = [*open_ends[:3], *(["..."] if len(open_ends) > 3 else []), *history.silent]
    moved = f"; {history.moved_by} moved it" if history.moved_by else ""
    return f"waited for {history.waiting_for}: {history.stall}{moved}; owed: {', '.join(owed) or 'nothing'}"


def _all(history: History) -> list[Sent]:
    return [*history.commands, *history.functions]


def _faults(history: History) -> Iterator[Fault]:
    if history.broken:
        yield Fault(FaultKind.BROKEN, history.broken)
    if history.strays:
        yield Fault(FaultKind.TWICE, f"the device returned {history.strays} times what it did not have")
    for function in history.functions:
        yield from _function_faults(function, history)
    for command in history.commands:
        if command.ended_pass is not None:
            yield from _command_faults(command, history)
    for command in unexplained(history):
        text = f"{command.text} ended {command.end}, and nothing explains it"
        yield Fault(FaultKind.WRONG_END, text, command.end)
    for lun in history.never_ready:
        text = f"LUN {lun} went on reporting unit attentions when everything was over"
        yield Fault(FaultKind.WRONG_END, text, "endless unit attentions")


def _function_faults(function: Sent, history: History) -> Iterator[Fault]:
    if function.ended_pass is None:
        return  # a hang, or dropped by a reset
    allowed = set(_answers(function.subtype))
    if may_be_missing(function, history):
        allowed |= set(_ABSENT)
    if int(function.end) not in allowed:
        names = " or ".join(str(int(value)) for value in sorted(allowed))
        text = f"{function.text} was answered {function.end} instead of {names}"
        yield Fault(FaultKind.WRONG_ANSWER, text, f"{function.name} {function.end}")


def _answers(subtype: int | None) -> tuple[Response, ...]:
    if subtype in (Tmf.QUERY_TASK, Tmf.QUERY_TASK_SET):
        return Response.OK, Response.FUNCTION_SUCCEEDED
    if subtype == Tmf.CLEAR_ACA or subtype not in Tmf.__members__.values():
        return (Response.FUNCTION_REJECTED,)
    return (Response.OK,)


def _command_faults(command: Sent, history: History) -> Iterator[Fault]:
    if command.end == "OK" and not command.data_ok:
        yield Fault(FaultKind.WRONG_DATA, f"{command.text} of block {command.lba} ended OK with the wrong data")
    if command.end in ("ABORTED", "RESET") and not was_disturbed(command, history):
        yield from _cancelled_faults(command, history)


def _cancelled_faults(command: Sent, history: History) -> Iterator[Fault]:
    """Yield what is wrong with a command that was cancelled by a function: by none, by the wrong one, or too late."""
    selects = _aborts if command.end == "ABORTED" else _resets
    others = _resets if command.end == "ABORTED" else _aborts
    causes = [function for function in history.functions if selects(function, command) and _overlap(function, command)]
    if not causes:
        wrong = [
            function for function in history.functions if others(function, command) and _overlap(function, command)
        ]
        why = f"was cancelled by {wrong[0].name}" if wrong else "no function selected it"
        gist = (
            f"{command.end} instead of {'RESET' if command.end == 'ABORTED' else 'ABORTED'}" if wrong else command.end
        )
        yield Fault(FaultKind.WRONG_END, f"{command.text} ended {command.end}, but {why}", gist)
        causes = wrong
    assert command.ended_pass is not None, "it ended"
    if causes and all(_answered_well(cause) and (cause.ended_pass or 0) < command.ended_pass for cause in causes):
        late = f"{command.text} ended {command.end} after {causes[-1].text} had been answered"
        yield Fault(FaultKind.LATE_END, late, command.end)


def _answered_well(function: Sent) -> bool:
    return function.ended_pass is not None and function.end == str(int(Response.OK))


def _aborts(function: Sent, command: Sent) -> bool:
    if function.lun != command.lun or function.subtype not in _ABORTS:
        return False
    return function.subtype != Tmf.ABORT_TASK or function.tag == command.tag


def _resets(function: Sent, command: Sent) -> bool:
    return is_reset_of(function, command.lun)


def _overlap(function: Sent, command: Sent) -> bool:
    """Tell whether both may have been with the device at one time."""
    began = function.ended_pass is None or command.sent_pass < function.ended_pass
    return began and (command.ended_pass is None or function.sent_pass < command.ended_pass)
