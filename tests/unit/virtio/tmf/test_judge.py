from collections.abc import Callable
from dataclasses import replace

import pytest

from lab.virtio.qtest_machine import LogicalUnit
from lab.virtio.tmf.case import LunState, TagState, TmfCase, matrix_cases
from lab.virtio.tmf.judge import Judgement, function_text
from lab.virtio.tmf.observation import Observation
from lab.virtio.tmf.plan import ADDRESSED, SIBLING, STRANGER
from lab.virtio.tmf.watchdog import NEW_CONNECTION, SECOND_KICK, Stall
from lab.virtio.verdict import Verdict
from lab.virtio.virtio_scsi import Response, Tmf
from tests.unit.virtio.tmf.made_up import (
    NEVER,
    case_of,
    command_ending,
    function_ending,
    hang,
    perfect,
    result_of,
)


def judged(case: TmfCase, change: Callable[[Observation], Observation]) -> Judgement:
    """Judge what a QEMU shows that has one fault."""
    return result_of(case, change(perfect(case)[1])).judgement


def with_command(index: int, **changes: object) -> Callable[[Observation], Observation]:
    """Return a fault in one command."""

    def change(seen: Observation) -> Observation:
        commands = list(seen.commands)
        commands[index] = replace(commands[index], **changes)  # type: ignore[arg-type]
        return replace(seen, commands=tuple(commands))

    return change


def test_a_qemu_without_fault_passes_everything() -> None:
    """Every case of the matrix can be passed."""
    for case in matrix_cases(["none", "4", "explicit"]):
        result = result_of(case)
        assert result.judgement == Judgement(Verdict.PASSED), case.id


FAULTS: dict[str, Callable[[Observation], Observation]] = {
    "the function was never answered": lambda seen: replace(seen, function=NEVER),
    "the function was answered FUNCTION_REJECTED instead of FUNCTION_COMPLETE": lambda seen: replace(
        seen, function=function_ending(Response.FUNCTION_REJECTED)
    ),
    "the command on LUN 0:0, queue 1 never ended": with_command(1, ended=False, answer=b""),
    "the command on LUN 0:0, queue 0 ended ABORTED instead of OK": with_command(
        0, answer=command_ending(Response.ABORTED, "t0").answer
    ),
    "the command on LUN 0:0, queue 1 ended RESET instead of ABORTED": with_command(
        1, answer=command_ending(Response.RESET, "t1").answer
    ),
    "the command on LUN 0:0, queue 2 ended OK with the wrong data": with_command(2, data_ok=False),
    "the command on LUN 0:0, queue 1 ended after the function that ends it had been answered": with_command(
        1, pass_number=3
    ),
    "the command on LUN 0:0, queue 1 had ended ABORTED when the device wrote to its data buffer": with_command(
        1, overwritten=True
    ),
    "the command on LUN 0:0, queue 3 was served by main loop; the mapping says t1": with_command(
        3, served_by=("main loop",)
    ),
    "something ended twice: the device returned 1 times what it did not have": lambda seen: replace(seen, strays=1),
    "LUN 0:1 was not reset and said BUSY": lambda seen: replace(seen, after={**seen.after, SIBLING.lun: "BUSY"}),
    "device_del: refused": lambda seen: replace(seen, unplug_refused="refused"),
    "waited for everything to end: every thread of QEMU sleeps": lambda seen: replace(
        seen, stall=Stall.ASLEEP, waiting_for="everything to end"
    ),
    "waited for x: every thread of QEMU sleeps; a second kick of every virtqueue moved it": lambda seen: replace(
        seen, stall=Stall.ASLEEP, waiting_for="x", moved_by=SECOND_KICK
    ),
    "the device returned a request without an answer in it": lambda _: Observation(
        broken="the device returned a request without an answer in it"
    ),
    "QEMU ended by itself with signal SIGABRT": lambda seen: replace(
        seen, crash="QEMU ended by itself with signal SIGABRT"
    ),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_each_fault_fails_an_abort_by_itself(reason: str) -> None:
    """One thing wrong, one reason."""
    assert judged(case_of(Tmf.ABORT_TASK), FAULTS[reason]) == Judgement(Verdict.FAILED, (reason,))


def test_the_order_counts_only_for_what_the_function_ends() -> None:
    """A command that it does not select may end when it likes."""
    assert judged(case_of(Tmf.ABORT_TASK), with_command(0, pass_number=9)).verdict is Verdict.PASSED


def test_the_order_does_not_count_after_a_refusal() -> None:
    """A function that says it did nothing promises nothing; its answer is the fault."""
    case = case_of(Tmf.ABORT_TASK, TagState.IN_FLIGHT, LunState.BEING_UNPLUGGED)

    def refused(seen: Observation) -> Observation:
        late = with_command(1, pass_number=9)(seen)
        return replace(late, function=function_ending(Response.INCORRECT_LUN))

    assert judged(case, refused).verdict is Verdict.PASSED


def test_a_command_that_finishes_before_the_answer_is_noted() -> None:
    """It breaks no rule; after the answer it does, however it ends."""
    ok = command_ending(Response.OK, "t1").answer
    note = ("the command on LUN 0:0, queue 1 ended OK instead of ABORTED",)
    assert judged(case_of(), with_command(1, answer=ok)) == Judgement(Verdict.PASSED, (), note)
    late = judged(case_of(), with_command(1, answer=ok, pass_number=3))
    assert late.reasons == ("the command on LUN 0:0, queue 1 ended after the function that ends it had been answered",)


def test_a_lost_reply_is_named_first() -> None:
    """The disk had sent them all, so nothing held one back: it is a fault, and whose it is can be read."""
    lost = judged(case_of(), lambda seen: replace(seen, stall=Stall.ASLEEP, moved_by=NEW_CONNECTION, function=NEVER))
    assert lost.verdict is Verdict.FAILED
    assert lost.reasons[0] == "the disk's NBD client lost a reply: the disk had sent them all"


@pytest.mark.parametrize(
    ("subtype", "lun", "said", "reasons"),
    [
        (Tmf.ABORT_TASK, STRANGER, "OK", ()),
        (Tmf.ABORT_TASK, STRANGER, "CHECK_CONDITION UNIT_ATTENTION 3f/0e", ()),
        (Tmf.ABORT_TASK, STRANGER, "BAD_TARGET", ("LUN 1:2 was not reset and said BAD_TARGET",)),
        (Tmf.I_T_NEXUS_RESET, SIBLING, "CHECK_CONDITION UNIT_ATTENTION 29/00", ()),
        (Tmf.I_T_NEXUS_RESET, SIBLING, "OK", ()),
        (Tmf.I_T_NEXUS_RESET, SIBLING, "BUSY", ("LUN 0:1 does not report its reset: it said BUSY",)),
        (
            Tmf.I_T_NEXUS_RESET,
            STRANGER,
            "CHECK_CONDITION UNIT_ATTENTION 29/00",
            ("LUN 1:2 was not reset and said CHECK_CONDITION UNIT_ATTENTION 29/00",),
        ),
    ],
)
def test_the_luns_that_stay_are_asked(subtype: Tmf, lun: LogicalUnit, said: str, reasons: tuple[str, ...]) -> None:
    """While another one goes: they may report that, and a reset that the function was in time for; nothing else."""
    case = case_of(subtype, TagState.IN_FLIGHT, LunState.BEING_UNPLUGGED)
    assert judged(case, lambda seen: replace(seen, after={lun.lun: said})).reasons == reasons


def test_a_reset_that_is_not_reported() -> None:
    """The next command has to say that the LUN was reset."""
    judgement = judged(
        case_of(Tmf.LOGICAL_UNIT_RESET), lambda seen: replace(seen, after={**seen.after, ADDRESSED.lun: "OK"})
    )
    assert judgement.reasons == ("LUN 0:0 does not report its reset: it said OK",)


def test_an_earlier_abort_has_to_be_answered_too() -> None:
    """With success, and at all."""
    case = case_of(Tmf.QUERY_TASK, TagState.BEING_ABORTED)
    never = judged(case, lambda seen: replace(seen, earlier=NEVER))
    assert never.reasons == ("the earlier ABORT_TASK was never answered",)
    wrong = judged(case, lambda seen: replace(seen, earlier=function_ending(Response.BAD_TARGET)))
    assert wrong.reasons == ("the earlier ABORT_TASK was answered BAD_TARGET instead of FUNCTION_COMPLETE",)
    early = judged(case, with_command(1, pass_number=3))
    assert early.reasons == ("the earlier ABORT_TASK was answered before its command had ended",)


def test_a_tolerated_answer_is_noted() -> None:
    """It passes, and the note says what is not as it should be."""
    case = case_of(Tmf.I_T_NEXUS_RESET, TagState.OTHER_LUN, LunState.ABSENT_TARGET)
    judgement = judged(case, lambda seen: replace(seen, function=function_ending(Response.OK)))
    assert judgement.verdict is Verdict.PASSED and "instead of BAD_TARGET" in judgement.notes[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda seen: Observation(trouble="QEMU did not start"),
        lambda seen: replace(seen, stall=Stall.TOO_SLOW, waiting_for="x", function=NEVER),
    ],
    ids=["not-performed", "too-slow"],
)
def test_what_says_nothing_about_task_management_is_undecided(change: Callable[[Observation], Observation]) -> None:
    """The lab's own trouble and the host's are not the function's."""
    assert judged(case_of(), change).verdict is Verdict.UNDECIDED


def test_a_hang_says_so_first() -> None:
    """The function comes before the commands it took with it."""
    reasons = result_of(case_of(), hang(case_of())).judgement.reasons
    assert reasons[0] == "the function was never answered" and len(reasons) == 5


def test_a_function_that_was_never_sent_is_not_blamed() -> None:
    """Where commands did not even reach the disk, that is the fault."""
    seen = replace(hang(case_of()), function=None, stall=Stall.ASLEEP, waiting_for="the commands to reach the disk")
    reasons = result_of(case_of(), seen).judgement.reasons
    assert reasons[0] == "waited for the commands to reach the disk: every thread of QEMU sleeps"


def test_answers_have_the_names_of_functions() -> None:
    """0 is FUNCTION_COMPLETE for a function."""
    assert [function_text(value) for value in (0, 10, 77, None)] == [
        "FUNCTION_COMPLETE",
        "FUNCTION_SUCCEEDED",
        "response 77",
        "never answered",
    ]
