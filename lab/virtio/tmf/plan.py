"""A case to what is done: the disks, the commands that are in flight, and the function that is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lab.virtio.qtest_machine import LogicalUnit
from lab.virtio.tmf.case import NUM_QUEUES, LunState, TagState, TmfCase
from lab.virtio.virtio_scsi import Lun

ADDRESSED = LogicalUnit("addressed", Lun(0, 0))
SIBLING = LogicalUnit("sibling", Lun(0, 1))
STRANGER = LogicalUnit("stranger", Lun(1, 2))
"""On another target; its LUN number is its own too, because QEMU's trace names LUNs without their target."""

UNITS = (ADDRESSED, SIBLING, STRANGER)

_ABSENT_LUN = Lun(0, 5)
_ABSENT_TARGET = Lun(7, 0)

_FIRST_TAG = 0x7E57_0000_0000_0100
"""Larger than 32 bits, so that comparing a part of the tag shows."""
_UNSEEN_BIT = 1 << 40
_LBA_STEP = 64


class Unplug(StrEnum):
    """When the addressed disk is unplugged."""

    NEVER = "never"
    BEFORE = "before the function"
    AFTER = "after the function"


@dataclass(frozen=True)
class PlannedCommand:
    """A READ of one block.

    :param queue: command virtqueue.
    :param lba: different for every command of a unit, so that the disk knows which one arrived.
    """

    unit: LogicalUnit
    queue: int
    tag: int
    lba: int


@dataclass(frozen=True)
class Plan:
    """What is done in a case.

    :param finished: commands that are run to their end first.
    :param held: commands that are in flight when the function is sent.
    :param lun: where the function is sent.
    :param tag: the tag it carries.
    :param aborted_before: an ABORT_TASK with the same LUN and tag is sent before it and not yet answered.
    """

    finished: tuple[PlannedCommand, ...]
    held: tuple[PlannedCommand, ...]
    lun: Lun
    tag: int
    aborted_before: bool
    unplug: Unplug


def plan_from_case(case: TmfCase) -> Plan:
    """Return what is done in a case."""
    tag = _FIRST_TAG + case.queue
    everywhere = range(NUM_QUEUES)
    here = (case.queue,)
    places: dict[TagState, tuple[Iterable[int], Iterable[int]]] = {
        TagState.IN_FLIGHT: (everywhere, here),
        TagState.NEVER_SEEN: (everywhere, here),
        TagState.BEING_ABORTED: (everywhere, here),
        TagState.FINISHED: ((), here),
        TagState.OTHER_LUN: ((), everywhere),
    }
    on_addressed, on_sibling = places[case.tag_state]
    lun = {LunState.ABSENT_LUN: _ABSENT_LUN, LunState.ABSENT_TARGET: _ABSENT_TARGET}.get(case.lun_state, ADDRESSED.lun)
    unplug = {LunState.BEING_UNPLUGGED: Unplug.BEFORE, LunState.UNPLUGGED_MEANWHILE: Unplug.AFTER}
    return Plan(
        finished=_reads(ADDRESSED, here) if case.tag_state is TagState.FINISHED else (),
        held=(*_reads(ADDRESSED, on_addressed), *_reads(SIBLING, on_sibling), *_reads(STRANGER, here)),
        lun=lun,
        tag=tag ^ _UNSEEN_BIT if case.tag_state is TagState.NEVER_SEEN else tag,
        aborted_before=case.tag_state is TagState.BEING_ABORTED,
        unplug=unplug.get(case.lun_state, Unplug.NEVER),
    )


def _reads(unit: LogicalUnit, queues: Iterable[int]) -> tuple[PlannedCommand, ...]:
    return tuple(PlannedCommand(unit, queue, _FIRST_TAG + queue, _LBA_STEP * (queue + 1)) for queue in queues)
