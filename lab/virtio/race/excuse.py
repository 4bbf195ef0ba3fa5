"""What was done in a race, to the ends of commands that it explains: of what it overlapped, and what it leaves.

A disturbance explains nothing that was sent after it was over, but for the unit attentions it leaves. Sources:

* SAM-5, section 5.14: a unit attention waits until a command reports it, and is then cleared; so each reset is
  reported to an I_T nexus once. Section 5.3.1: CHECK CONDITION comes with sense data.
* SPC-4, section 5.14.2: every disk reports REPORTED LUNS DATA HAS CHANGED (3f/0e) when another one comes or goes.
* SPC-4, section 4.5.6: 29h is every kind of reset. QEMU gives a disk that was plugged in one, too.
* A command to a LUN that is not there is served by another one of its target, which says LOGICAL UNIT NOT SUPPORTED,
  for LUN 0 INVALID COMMAND OPERATION CODE, or what unit attention it has itself (``scsi_req_new()`` and
  ``scsi_target_send_command()`` in hw/scsi/scsi-bus.c of QEMU).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.virtio.race.history import History, Sent
from lab.virtio.race.schedule import Action
from lab.virtio.virtio_scsi import Lun, Tmf

_WHOLE_MACHINE = (Action.SYSTEM_RESET, Action.DEVICE_RESET, Action.EARLY_KICK, Action.CONTROLLER_DEL)
_PLUGGING = (Action.UNPLUG_DISK, Action.PLUG_DISK)
_NOT_THERE = {"BAD_TARGET", "INCORRECT_LUN"}
_GOING = _NOT_THERE | {"FAILURE", "TRANSPORT_FAILURE", "TARGET_FAILURE"}
_CHECK = "CHECK_CONDITION"
_NOT_SUPPORTED = {f"{_CHECK} ILLEGAL_REQUEST 25/00", f"{_CHECK} ILLEGAL_REQUEST 20/00"}
_ATTENTION = f"{_CHECK} UNIT_ATTENTION"
_WAS_RESET = f"{_ATTENTION} 29/"
_OTHER_LUNS = f"{_ATTENTION} 3f/0e"


def is_reset_of(function: Sent, lun: Lun) -> bool:
    """Tell whether a function resets a disk."""
    if function.subtype == Tmf.I_T_NEXUS_RESET:
        return function.lun.target == lun.target
    return function.subtype == Tmf.LOGICAL_UNIT_RESET and function.lun == lun


def was_disturbed(command: Sent, history: History) -> bool:
    """Tell whether a command overlapped a reset of the machine, or its disk being taken away or brought."""
    return _overlapped(command, history, *_WHOLE_MACHINE, *_PLUGGING)


def may_be_missing(sent: Sent, history: History) -> bool:
    """Tell whether the disk may not have been there while something was with the device."""
    mine = [item for item in history.disturbances if item.lun == sent.lun and not item.refused]
    gone = sum(item.action is Action.UNPLUG_DISK and item.began_before_end_of(sent) for item in mine)
    plugs = [item.end_pass for item in mine if item.action is Action.PLUG_DISK and item.end_pass is not None]
    return gone > sum(end_pass <= sent.sent_pass for end_pass in plugs) or _overlapped(sent, history, *_PLUGGING)


def unexplained(history: History) -> Iterator[Sent]:
    """Yield the commands that ended neither well nor cancelled, and for no reason."""
    odd = [
        command
        for command in history.commands
        if command.ended_pass is not None and command.end not in ("OK", "ABORTED", "RESET")
    ]
    counted: dict[tuple[Lun, bool], list[Sent]] = {}
    for command in odd:
        if _explained(command, history):
            continue
        if command.end.startswith(_WAS_RESET):
            counted.setdefault((command.lun, True), []).append(command)
        elif command.end.startswith(f"{_CHECK} ") and not command.end.startswith(_ATTENTION):
            counted.setdefault((command.lun, False), []).append(command)
        else:
            yield command
    for (lun, was_reset), commands in counted.items():
        causes = _resets_of(lun, history) if was_reset else _failures_of(lun, history)
        yield from _without_cause(commands, causes, lasting=was_reset)


def _explained(command: Sent, history: History) -> bool:
    if command.end == _CHECK:
        return False  # whatever was done, sense data says what it was
    if command.end in _GOING:
        return _overlapped(command, history, *_PLUGGING) or (
            command.end in _NOT_THERE and may_be_missing(command, history)
        )
    if command.end == _OTHER_LUNS:
        plugged = [item for item in history.disturbances if item.action in _PLUGGING and not item.refused]
        return any(item.began_before_end_of(command) for item in plugged)
    if command.end in _NOT_SUPPORTED or command.end.startswith(_WAS_RESET):
        return may_be_missing(command, history)
    return was_disturbed(command, history)


def _resets_of(lun: Lun, history: History) -> list[int]:
    functions = [function.sent_pass for function in history.functions if is_reset_of(function, lun)]
    others = [
        item.at_pass
        for item in history.disturbances
        if item.action in _WHOLE_MACHINE or (item.action is Action.PLUG_DISK and item.lun == lun and not item.refused)
    ]
    return functions + others


def _failures_of(lun: Lun, history: History) -> list[int]:
    return [item.at_pass for item in history.disturbances if item.action is Action.FAIL and item.lun == lun]


def _without_cause(commands: Sequence[Sent], causes: Sequence[int], *, lasting: bool) -> Iterator[Sent]:
    """Deal each command a cause of its own, and yield those that get none.

    :param causes: the last pass before each.
    :param lasting: it may be reported later by a command that was not there yet.
    """
    left = sorted(causes)
    for command in sorted(commands, key=lambda command: command.ended_pass or 0):
        fitting = [at for at in left if at < (command.ended_pass or 0) and (lasting or command.sent_pass <= at)]
        if fitting:
            left.remove(fitting[0])
        else:
            yield command


def _overlapped(sent: Sent, history: History, *actions: Action) -> bool:
    return any(
        item.action in actions and item.lun in (None, sent.lun) and item.overlaps(sent) for item in history.disturbances
    )
