"""Results that no QEMU was needed for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lab.virtio.tmf.case import LunState, TagState, TmfCase
from lab.virtio.tmf.controller import controller_mapping
from lab.virtio.tmf.judge import judge
from lab.virtio.tmf.matrix import TmfResult
from lab.virtio.tmf.observation import Ending, Observation
from lab.virtio.tmf.oracle import expectation
from lab.virtio.tmf.plan import UNITS, Plan, plan_from_case
from lab.virtio.virtio_scsi import Response, Tmf

UNIT_ATTENTION = bytes((0x72, 6, 0x29, 0, 0, 0, 0, 0))


def case_of(
    subtype: int = Tmf.ABORT_TASK,
    tag_state: TagState = TagState.IN_FLIGHT,
    lun_state: LunState = LunState.PRESENT,
    mapping: str = "2",
) -> TmfCase:
    """Return a case on queue 1."""
    return TmfCase(subtype, tag_state, lun_state, 1, mapping)


def command_ending(response: int, served_by: str, pass_number: int = 1) -> Ending:
    """Return the end of a command without sense data."""
    answer = bytes((0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, response)) + bytes(96)
    return Ending(ended=True, pass_number=pass_number, answer=answer, data_ok=True, served_by=(served_by,))


def function_ending(response: int, pass_number: int = 2) -> Ending:
    """Return the answer to a function."""
    return Ending(
        ended=True, pass_number=pass_number, answer=bytes((response,)), data_ok=True, served_by=("main loop",)
    )


NEVER = Ending(ended=False, pass_number=0, answer=b"", data_ok=True, served_by=())


def perfect(case: TmfCase) -> tuple[Plan, Observation]:
    """Return what a QEMU without fault shows in a case."""
    plan = plan_from_case(case)
    expected = expectation(case, plan)
    served_by = controller_mapping(case.mapping, 4).served_by
    commands = tuple(
        command_ending(Response[min(allowed.ends)], served_by[command.queue])
        for command, allowed in zip(plan.held, expected.commands, strict=True)
    )
    attention = "CHECK_CONDITION UNIT_ATTENTION 29/00"
    after = {unit.lun: attention if unit.lun in expected.resets else "OK" for unit in UNITS}
    earlier = function_ending(Response.OK) if plan.aborted_before else None
    function = function_ending(min(expected.answers))
    return plan, Observation(commands=commands, function=function, earlier=earlier, after=after)


def result_of(case: TmfCase, seen: Observation | None = None, evidence: Path | None = None) -> TmfResult:
    """Return the judged result of a case; without an observation, the perfect one."""
    plan, flawless = perfect(case)
    expected = expectation(case, plan)
    seen = seen or flawless
    judgement = judge(plan, expected, seen, controller_mapping(case.mapping, 4).served_by)
    return TmfResult(case, plan, expected, seen, judgement, evidence, 0.1, 1)


def hang(case: TmfCase) -> Observation:
    """Return what a QEMU shows that never answers the function and loses its LUN's commands."""
    plan, seen = perfect(case)
    commands = tuple(
        NEVER if command.unit.lun == plan.lun else ending
        for command, ending in zip(plan.held, seen.commands, strict=True)
    )
    return replace(seen, commands=commands, function=NEVER, after={})
