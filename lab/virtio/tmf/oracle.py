"""What the specifications allow in a case: the answer, the end of every command, and what is reported afterwards.

Written from the specifications, not from what QEMU does. Sources:

* VIRTIO 1.2, section 5.6.6.1: what each response of a command means (ABORTED: cancelled by ABORT TASK or ABORT TASK
  SET; RESET: cancelled by a bus or device reset, a task management function included).
* VIRTIO 1.2, section 5.6.6.2: responses of a TMF; commands selected by an abort or a reset end before it is answered,
  "possibly" with ABORTED or RESET, so that one which ends OK in time is only noted; the single level LUN is ignored for
  a function on a whole I_T nexus. CLEAR TASK SET stands in neither section: it is held to what ABORT TASK SET has to
  do, which is custom.
* VIRTIO 1.2, section 5.6.6.3: a LUN reset is reported as UNIT ATTENTION 29h.
* SAM-5, clause 7: the functions and their service responses.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.virtio.tmf.case import LunState, TagState, TmfCase
from lab.virtio.tmf.plan import UNITS, Plan, PlannedCommand, Unplug
from lab.virtio.virtio_scsi import Lun, Response, Tmf

_RESETS = (Tmf.LOGICAL_UNIT_RESET, Tmf.I_T_NEXUS_RESET)
_ABORTS = (Tmf.ABORT_TASK, Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET)
_QUERIES = (Tmf.QUERY_TASK, Tmf.QUERY_TASK_SET)

_CLAUSES = {
    Tmf.ABORT_TASK: "7.2 ABORT TASK",
    Tmf.ABORT_TASK_SET: "7.3 ABORT TASK SET",
    Tmf.CLEAR_TASK_SET: "7.5 CLEAR TASK SET",
    Tmf.I_T_NEXUS_RESET: "7.6 I_T NEXUS RESET",
    Tmf.LOGICAL_UNIT_RESET: "7.7 LOGICAL UNIT RESET",
}

_LUN_GOES = frozenset({"OK", "ABORTED", "RESET", "FAILURE", "BAD_TARGET", "TRANSPORT_FAILURE", "TARGET_FAILURE"})
"""How a command may end whose LUN is taken away: no rule names one response, but it has to end."""


@dataclass(frozen=True)
class CommandExpectation:
    """How a command that is in flight may end.

    :param ends: responses, as :class:`lab.virtio.virtio_scsi.CommandResponse` prints them.
    :param tolerated: those that break no rule and are noted, where it ends in time.
    :param before_answer: it has to end before the function is answered with success.
    """

    ends: frozenset[str]
    tolerated: frozenset[str]
    before_answer: bool


@dataclass(frozen=True)
class Expectation:
    """What is allowed in a case.

    :param answers: response bytes of the function.
    :param tolerated: response bytes that stray from the specification without harm, with the reason.
    :param commands: in the order of ``plan.held``.
    :param resets: LUNs that report the reset to the next command.
    :param lun_goes: a LUN is taken away meanwhile: the others may report that, and the function may come too late.
    :param rule: where this is specified.
    """

    answers: frozenset[int]
    tolerated: tuple[tuple[int, str], ...]
    commands: tuple[CommandExpectation, ...]
    resets: frozenset[Lun]
    lun_goes: bool
    rule: str


def expectation(case: TmfCase, plan: Plan) -> Expectation:
    """Return what is allowed in a case."""
    unplugged = plan.unplug is not Unplug.NEVER
    answers, rule = _answers(case)
    if unplugged:
        answers |= {Response.BAD_TARGET, Response.INCORRECT_LUN}
        answers |= {Response.OK} if case.subtype in _QUERIES else set()
    return Expectation(
        answers=frozenset(answers),
        tolerated=_tolerated(case),
        commands=tuple(_command(case, plan, command) for command in plan.held),
        resets=frozenset(unit.lun for unit in UNITS if _resets(case.subtype, plan.lun, unit.lun)),
        lun_goes=unplugged,
        rule=rule,
    )


def selects(subtype: int, lun: Lun, tag: int, command: PlannedCommand) -> bool:
    """Tell whether a function ends a command that is in flight."""
    if _resets(subtype, lun, command.unit.lun):
        return True
    if command.unit.lun != lun:
        return False
    return subtype in (Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET) or (subtype == Tmf.ABORT_TASK and command.tag == tag)


def aborted_before(plan: Plan, command: PlannedCommand) -> bool:
    """Tell whether the earlier ABORT_TASK, where there is one, ends a command that is in flight."""
    return plan.aborted_before and selects(Tmf.ABORT_TASK, plan.lun, plan.tag, command)


def waits_for_commands(subtype: int) -> bool:
    """Tell whether a function is answered only when the commands that it selects have ended."""
    return subtype in _RESETS or subtype in _ABORTS


def _resets(subtype: int, addressed: Lun, lun: Lun) -> bool:
    if subtype == Tmf.I_T_NEXUS_RESET:
        return lun.target == addressed.target
    return subtype == Tmf.LOGICAL_UNIT_RESET and lun == addressed


def _answers(case: TmfCase) -> tuple[set[int], str]:
    """Return the response bytes that are right, and the rule that says so."""
    refuses = case.subtype == Tmf.CLEAR_ACA or case.subtype not in Tmf.__members__.values()
    if case.lun_state in (LunState.ABSENT_LUN, LunState.ABSENT_TARGET):
        return _absent_answers(case, refuses)
    if refuses:
        known = case.subtype == Tmf.CLEAR_ACA
        return {Response.FUNCTION_REJECTED}, "SAM-5 7.4, NormACA is 0" if known else "SAM-5 7.1, not supported"
    if case.subtype == Tmf.QUERY_TASK:
        return _query_task_answers(case.tag_state), "SAM-5 7.8 QUERY TASK"
    if case.subtype == Tmf.QUERY_TASK_SET:
        empty = case.tag_state in (TagState.FINISHED, TagState.OTHER_LUN)
        return {Response.OK if empty else Response.FUNCTION_SUCCEEDED}, "SAM-5 7.9 QUERY TASK SET"
    return {Response.OK}, f"SAM-5 {_CLAUSES[Tmf(case.subtype)]}; VIRTIO 5.6.6.2: effects before the answer"


def _absent_answers(case: TmfCase, refuses: bool) -> tuple[set[int], str]:
    if case.lun_state is LunState.ABSENT_LUN and case.subtype == Tmf.I_T_NEXUS_RESET:
        return {Response.OK}, "VIRTIO 5.6.6.2: the single level LUN is ignored for a whole I_T nexus"
    absent = Response.BAD_TARGET if case.lun_state is LunState.ABSENT_TARGET else Response.INCORRECT_LUN
    return {absent} | _rejection(refuses), "by their names; VIRTIO 5.6.6.2 lists the responses without a rule"


def _rejection(refuses: bool) -> set[int]:
    """A function that is not supported may be refused before anybody looks at the address: no order is specified."""
    return {Response.FUNCTION_REJECTED} if refuses else set()


def _query_task_answers(tag_state: TagState) -> set[int]:
    if tag_state is TagState.IN_FLIGHT:
        return {Response.FUNCTION_SUCCEEDED}
    if tag_state is TagState.BEING_ABORTED:  # still there, but about to go: SAM does not say which
        return {Response.FUNCTION_SUCCEEDED, Response.OK}
    return {Response.OK}


def _tolerated(case: TmfCase) -> tuple[tuple[int, str], ...]:
    nexus = case.subtype == Tmf.I_T_NEXUS_RESET
    if case.lun_state is LunState.ABSENT_TARGET:
        reset = (Response.OK, "an absent target answers as if it had been reset, instead of BAD_TARGET")
        return (
            (Response.INCORRECT_LUN, "an absent target is INCORRECT_LUN, instead of BAD_TARGET"),
            *([reset] * nexus),
        )
    if case.lun_state is LunState.ABSENT_LUN and not nexus:
        return ((Response.BAD_TARGET, "an absent LUN is BAD_TARGET, instead of INCORRECT_LUN"),)
    return ()


def _command(case: TmfCase, plan: Plan, command: PlannedCommand) -> CommandExpectation:
    selected = selects(case.subtype, plan.lun, plan.tag, command)
    ends: frozenset[str] = frozenset()
    if selected:
        ends = frozenset({"RESET" if case.subtype in _RESETS else "ABORTED"})
    if aborted_before(plan, command):
        ends |= {"ABORTED"}
    if plan.unplug is not Unplug.NEVER and command.unit.lun == plan.lun:
        ends = _LUN_GOES
    ok = frozenset({"OK"})
    return CommandExpectation(ends or ok, tolerated=ok - ends if ends else frozenset(), before_answer=selected)
