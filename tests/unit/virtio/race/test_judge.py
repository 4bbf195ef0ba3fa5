from typing import Any

import pytest

from lab.virtio.race.history import Disturbance, History, Sent
from lab.virtio.race.judge import Fault, FaultKind, judge_race
from lab.virtio.race.schedule import Action
from lab.virtio.tmf.watchdog import NEW_CONNECTION, Stall
from lab.virtio.virtio_scsi import Lun, Tmf

HERE, SIBLING, STRANGER = Lun(0, 0), Lun(0, 1), Lun(1, 2)
WAS_RESET, OTHER_LUNS = "CHECK_CONDITION UNIT_ATTENTION 29/00", "CHECK_CONDITION UNIT_ATTENTION 3f/0e"


def command(end: str, sent: int = 1, ended: int | None = 9, **more: Any) -> Sent:
    """Return a READ with tag 7 that was with the device between these passes."""
    return Sent(
        "READ", **{"lun": HERE, "queue": 0, "tag": 7, "sent_pass": sent, "ended_pass": ended, "end": end, **more}
    )


def function(subtype: int, sent: int = 2, ended: int | None = 9, end: str = "0", **more: Any) -> Sent:
    """Return a function for the tag of that READ."""
    fields = {"lun": HERE, "queue": 0, "tag": 7, "sent_pass": sent, "ended_pass": ended, "end": end, **more}
    return Sent("FUNCTION", subtype=subtype, **fields)


def kinds(*sent: Sent, **more: Any) -> list[FaultKind]:
    """Return the kinds of fault of a race with these commands and functions."""
    commands = [item for item in sent if item.subtype is None]
    functions = [item for item in sent if item.subtype is not None]
    return [fault.kind for fault in judge_race(History(commands=commands, functions=functions, **more)).faults]


def test_nothing_wrong() -> None:
    """Commands that end well, functions that are answered, and whatever a reset dropped."""
    assert kinds(command("OK"), function(Tmf.ABORT_TASK), command("", ended=None, dropped=True)) == []


@pytest.mark.parametrize("subtype", [Tmf.ABORT_TASK, Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET])
def test_aborted_needs_an_abort(subtype: Tmf) -> None:
    """That was with the device at the same time, for this LUN."""
    assert kinds(command("ABORTED"), function(subtype)) == []
    assert kinds(command("ABORTED")) == [FaultKind.WRONG_END]
    assert kinds(command("ABORTED"), function(subtype, lun=SIBLING)) == [FaultKind.WRONG_END]
    assert kinds(command("ABORTED", sent=9, ended=12), function(subtype, ended=9)) == [FaultKind.WRONG_END]
    assert kinds(command("ABORTED", ended=3), function(subtype, sent=3)) == [FaultKind.WRONG_END]


def test_the_tag_of_abort_task_counts() -> None:
    """ABORT_TASK ends one command, not its neighbours."""
    assert kinds(command("ABORTED", tag=8), function(Tmf.ABORT_TASK)) == [FaultKind.WRONG_END]
    assert kinds(command("ABORTED", tag=8), function(Tmf.ABORT_TASK_SET)) == []


def test_reset_needs_a_reset_of_the_lun() -> None:
    """An I_T nexus reset is one for every LUN of the target, a LUN reset for one."""
    assert kinds(command("RESET", lun=SIBLING), function(Tmf.I_T_NEXUS_RESET)) == []
    assert kinds(command("RESET", lun=STRANGER), function(Tmf.I_T_NEXUS_RESET)) == [FaultKind.WRONG_END]
    assert kinds(command("RESET"), function(Tmf.LOGICAL_UNIT_RESET)) == []
    assert kinds(command("RESET", lun=SIBLING), function(Tmf.LOGICAL_UNIT_RESET)) == [FaultKind.WRONG_END]


def test_the_wrong_response_is_named() -> None:
    """A command that a reset cancelled and that ends ABORTED, and the other way round."""
    for end, subtype, gist in (
        ("ABORTED", Tmf.LOGICAL_UNIT_RESET, "ABORTED instead of RESET"),
        ("RESET", Tmf.ABORT_TASK_SET, "RESET instead of ABORTED"),
    ):
        (fault,) = judge_race(History(commands=[command(end)], functions=[function(subtype)])).faults
        assert (fault.kind, fault.gist) == (FaultKind.WRONG_END, gist)


def test_an_end_after_the_answer_is_late() -> None:
    """Where every function that may have ended it was answered before; one that is open explains it."""
    late = command("RESET", ended=12)
    reset = function(Tmf.LOGICAL_UNIT_RESET, ended=10)
    assert kinds(late, reset) == [FaultKind.LATE_END]
    assert kinds(late, reset, function(Tmf.LOGICAL_UNIT_RESET, sent=11, ended=14)) == []
    assert kinds(command("RESET", ended=10), reset) == []


def test_a_reset_is_reported() -> None:
    """UNIT ATTENTION needs something that is reported; a disk that comes is reported by all."""
    attention = command("CHECK_CONDITION UNIT_ATTENTION 29/00")
    assert kinds(attention) == [FaultKind.WRONG_END]
    assert kinds(attention, function(Tmf.LOGICAL_UNIT_RESET)) == []
    plugged = [Disturbance(Action.PLUG_DISK, SIBLING, 1)]
    assert kinds(command(OTHER_LUNS), disturbances=plugged) == []
    assert kinds(command(OTHER_LUNS, ended=1), disturbances=plugged) == [FaultKind.WRONG_END]
    assert kinds(attention, disturbances=plugged) == [FaultKind.WRONG_END]


def test_each_reset_is_reported_once() -> None:
    """A second report of one reset has no reason, and a reset is reported as nothing else."""
    reset, again = function(Tmf.LOGICAL_UNIT_RESET), function(Tmf.I_T_NEXUS_RESET, lun=SIBLING, sent=3)
    twice = [command(WAS_RESET), command(WAS_RESET, ended=8, tag=8)]
    assert kinds(*twice, reset) == [FaultKind.WRONG_END]
    assert kinds(*twice, reset, again) == []
    assert kinds(command("CHECK_CONDITION UNIT_ATTENTION 2a/09"), reset) == [FaultKind.WRONG_END]


@pytest.mark.parametrize("action", [Action.DEVICE_RESET, Action.EARLY_KICK, Action.SYSTEM_RESET])
@pytest.mark.parametrize("end", ["ABORTED", "RESET", "FAILURE", "CHECK_CONDITION", "CHECK_CONDITION NOT_READY 04/01"])
def test_a_reset_of_the_machine_explains_nothing_of_what_comes_later(action: Action, end: str) -> None:
    """What is sent when the driver is up again reports the reset, and ends like anything else."""
    over = [Disturbance(action, None, 1, end_pass=1)]
    assert kinds(command(end), disturbances=over) == [FaultKind.WRONG_END]
    assert kinds(command(WAS_RESET), disturbances=over) == []
    assert kinds(command(WAS_RESET), command(WAS_RESET, tag=8), disturbances=over) == [FaultKind.WRONG_END]


def test_a_reset_that_is_not_over_explains_how_commands_end() -> None:
    """The driver could not bring the device up again."""
    going_on = [Disturbance(Action.DEVICE_RESET, None, 3)]
    assert kinds(command("ABORTED"), command("CHECK_CONDITION NOT_READY 04/01"), disturbances=going_on) == []
    assert kinds(command("ABORTED", ended=3), disturbances=going_on) == [FaultKind.WRONG_END]
    assert kinds(command("BAD_TARGET"), disturbances=going_on) == [FaultKind.WRONG_END]


def test_unplugging_explains_what_it_overlapped() -> None:
    """A command to that disk, sent before QMP had answered and ended after it was asked."""
    unplugged = [Disturbance(Action.UNPLUG_DISK, HERE, 3, end_pass=5)]
    assert kinds(command("ABORTED", sent=4), disturbances=unplugged) == []
    assert kinds(command("ABORTED", sent=5), disturbances=unplugged) == [FaultKind.WRONG_END]
    assert kinds(command("ABORTED", ended=3), disturbances=unplugged) == [FaultKind.WRONG_END]
    assert kinds(command("ABORTED", lun=SIBLING), disturbances=unplugged) == [FaultKind.WRONG_END]


@pytest.mark.parametrize(
    "end",
    ["BAD_TARGET", "INCORRECT_LUN", "CHECK_CONDITION ILLEGAL_REQUEST 25/00", "CHECK_CONDITION UNIT_ATTENTION 29/00"],
)
def test_a_disk_is_missing_until_it_is_plugged_again(end: str) -> None:
    """What QEMU refused changes nothing."""
    unplug, plug = Disturbance(Action.UNPLUG_DISK, HERE, 3, 5), Disturbance(Action.PLUG_DISK, HERE, 11, 13)
    for sent, right in ((6, True), (12, True), (13, False)):
        late = command(end, sent=sent, ended=20)
        reported = end == WAS_RESET and sent == 13  # a disk that was plugged in says so, once
        assert kinds(late, disturbances=[unplug, plug]) == ([] if right or reported else [FaultKind.WRONG_END])
    refused = Disturbance(Action.PLUG_DISK, HERE, 11, 13, refused=True)
    assert kinds(command(end, sent=13, ended=20), disturbances=[unplug, refused]) == []
    refused = Disturbance(Action.UNPLUG_DISK, HERE, 3, 5, refused=True)
    assert kinds(command(end, sent=6), disturbances=[refused]) == [FaultKind.WRONG_END]


def test_each_failed_request_explains_one_error() -> None:
    """Of its disk, of a command that was with the device, and with sense data."""
    error = "CHECK_CONDITION ABORTED_COMMAND 00/06"
    failed = [Disturbance(Action.FAIL, HERE, 3)]
    assert kinds(command(error), disturbances=failed) == []
    assert kinds(command(error), command(error, ended=8, tag=8), disturbances=failed) == [FaultKind.WRONG_END]
    assert kinds(command(error), command(error, ended=8, tag=8), disturbances=2 * failed) == []
    for other in (command(error, sent=4), command(error, lun=SIBLING), command("CHECK_CONDITION")):
        assert kinds(other, disturbances=failed) == [FaultKind.WRONG_END]


def test_errors_need_a_reason() -> None:
    """A failed request of the disk, or a LUN that goes."""
    error, gone = command("CHECK_CONDITION ABORTED_COMMAND 00/06"), command("BAD_TARGET")
    assert kinds(error) == kinds(gone) == [FaultKind.WRONG_END]
    assert kinds(gone, disturbances=[Disturbance(Action.UNPLUG_DISK, HERE, 3)]) == []
    assert kinds(gone, disturbances=[Disturbance(Action.UNPLUG_DISK, SIBLING, 3)]) == [FaultKind.WRONG_END]
    assert kinds(gone, disturbances=[Disturbance(Action.UNPLUG_DISK, HERE, 9)]) == [FaultKind.WRONG_END]


@pytest.mark.parametrize(
    ("subtype", "answer", "right"),
    [
        (Tmf.ABORT_TASK, "0", True),
        (Tmf.ABORT_TASK, "10", False),
        (Tmf.QUERY_TASK, "0", True),
        (Tmf.QUERY_TASK_SET, "10", True),
        (Tmf.CLEAR_ACA, "11", True),
        (Tmf.CLEAR_ACA, "0", False),
        (0xFFFFFFFF, "11", True),
        (Tmf.LOGICAL_UNIT_RESET, "3", False),
    ],
)
def test_answers_of_functions(subtype: int, answer: str, right: bool) -> None:
    """Each has its own; a LUN that goes may be missing."""
    assert kinds(function(subtype, end=answer)) == ([] if right else [FaultKind.WRONG_ANSWER])


def test_an_absent_lun_may_be_said_to_be() -> None:
    """After an unplug only."""
    unplugged = [Disturbance(Action.UNPLUG_DISK, HERE, 1)]
    assert kinds(function(Tmf.LOGICAL_UNIT_RESET, end="3"), disturbances=unplugged) == []
    assert kinds(function(Tmf.CLEAR_ACA, end="0"), disturbances=unplugged) == [FaultKind.WRONG_ANSWER]
    unplugged = [Disturbance(Action.UNPLUG_DISK, HERE, 1, 2), Disturbance(Action.PLUG_DISK, HERE, 3, 4)]
    assert kinds(function(Tmf.LOGICAL_UNIT_RESET, sent=3, end="3"), disturbances=unplugged) == []
    assert kinds(function(Tmf.LOGICAL_UNIT_RESET, sent=4, end="3"), disturbances=unplugged) == [FaultKind.WRONG_ANSWER]


def test_what_comes_twice_and_wrong_data() -> None:
    """Both are faults of their own."""
    assert kinds(strays=2) == [FaultKind.TWICE]
    assert kinds(command("OK", data_ok=False)) == [FaultKind.WRONG_DATA]


def test_a_hang_names_what_is_owed() -> None:
    """Commands and QMP commands; what was dropped is not owed."""
    open_ends = [command("", ended=None), command("", ended=None, dropped=True)]
    history = History(commands=open_ends, stall=Stall.ASLEEP, waiting_for="everything to end", silent=["cont"])
    (fault,) = judge_race(history).faults
    assert fault.kind is FaultKind.HANG and "READ 0x7 (LUN 0:0, queue 0), cont" in fault.text


def test_a_crash_is_all_that_counts() -> None:
    """Its gist is the assertion, so that two with other output are one."""
    text = "QEMU ended by itself with signal SIGABRT:\nnoise\nERROR:a.c:7:f: assertion failed: (x)"
    (fault,) = judge_race(History(crash=text, commands=[command("ABORTED")])).faults
    assert fault == Fault(FaultKind.CRASH, text, "ERROR:a.c:7:f: assertion failed: (x)")
    assert judge_race(History(crash="signal SIGSEGV")).faults[0].gist == "signal SIGSEGV"


@pytest.mark.parametrize(
    "history",
    [
        History(trouble="no room"),
        History(stall=Stall.TOO_SLOW),
    ],
)
def test_what_says_nothing_is_undecided(history: History) -> None:
    """It is not a fault, unless something wrong was seen before."""
    judged = judge_race(history)
    assert judged.undecided and not judged.faults
    history.strays = 1
    again = judge_race(history)
    assert again.faults and not again.undecided


def test_a_device_that_breaks_a_rule_is_a_fault() -> None:
    """The race ended there, and says something all the same; so does a disk that is never ready."""
    assert kinds(broken="the device's status is not 0 after a reset") == [FaultKind.BROKEN]
    assert kinds(never_ready=[HERE]) == [FaultKind.WRONG_END]


def test_a_lost_reply_is_a_fault_of_the_disks_client() -> None:
    """Every reply had been sent, so nothing was held back until the next one."""
    assert kinds(stall=Stall.ASLEEP, moved_by=NEW_CONNECTION) == [FaultKind.NBD_CLIENT]


def test_the_same_fault_is_recognised() -> None:
    """By kind and gist, not by its text."""
    judged = judge_race(History(commands=[command("ABORTED", tag=1)], functions=[function(Tmf.LOGICAL_UNIT_RESET)]))
    assert judged.has(Fault(FaultKind.WRONG_END, "another text", "ABORTED instead of RESET"))
    assert not judged.has(Fault(FaultKind.LATE_END, "another text", "ABORTED instead of RESET"))
