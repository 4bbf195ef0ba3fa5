"""One question to a binary: a task management function sent in a certain situation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from lab.virtio.virtio_scsi import Tmf, tmf_text

NUM_QUEUES = 4
UNKNOWN_SUBTYPES = (8, 0xFFFFFFFF)


class TagState(StrEnum):
    """Where the command is whose tag the function carries, and what else its LUN has in flight.

    In every state a command with that tag, or one like it, is in flight on another LUN of the same target and on
    another target: tags are per LUN, so neither may notice.
    """

    IN_FLIGHT = "in flight"
    """It is in flight, and so is one command on each other queue."""
    FINISHED = "finished"
    """It has ended, and the LUN has nothing in flight."""
    NEVER_SEEN = "never seen"
    """There was none: the tag differs in bit 40 only from that of a command in flight; one is on each queue."""
    OTHER_LUN = "other LUN"
    """It is in flight on another LUN, on which each queue has a command; the addressed LUN has nothing."""
    BEING_ABORTED = "being aborted"
    """As in flight, and an earlier ABORT_TASK for the same tag has not been answered."""


class LunState(StrEnum):
    """What is at the addressed LUN."""

    PRESENT = "present"
    ABSENT_LUN = "absent LUN"
    """The target exists, the LUN does not."""
    ABSENT_TARGET = "absent target"
    BEING_UNPLUGGED = "being unplugged"
    """device_del was sent just before the function; it waits for the commands in flight."""
    UNPLUGGED_MEANWHILE = "unplugged meanwhile"
    """device_del is sent while the function is under way."""


@dataclass(frozen=True)
class TmfCase:
    """One case of the matrix.

    :param subtype: a :class:`Tmf` or an unknown number.
    :param queue: command virtqueue that has the tagged command.
    :param mapping: by name, see lab.virtio.tmf.controller.
    """

    subtype: int
    tag_state: TagState
    lun_state: LunState
    queue: int
    mapping: str

    @property
    def id(self) -> str:
        """A name for folders and for ``--only``."""
        parts = (self.mapping, tmf_text(self.subtype), self.tag_state, self.lun_state, f"queue {self.queue}")
        return "/".join(part.replace(" ", "-") for part in parts)


def situation(case: TmfCase) -> str:
    """Return the states of tag and LUN in words; the one that is not the default says enough."""
    if case.lun_state is LunState.PRESENT:
        return f"tag {case.tag_state}"
    absent = case.lun_state in (LunState.ABSENT_LUN, LunState.ABSENT_TARGET)
    return str(case.lun_state) if absent else f"LUN {case.lun_state}"


def matrix_cases(mappings: Iterable[str]) -> tuple[TmfCase, ...]:
    """Return every case for these mappings, ordered so that neighbours differ in their mapping."""
    names = tuple(mappings)
    return tuple(
        TmfCase(subtype, tag_state, lun_state, queue, mapping)
        for subtype in (*Tmf, *UNKNOWN_SUBTYPES)
        for tag_state, lun_state in _situations(subtype)
        for queue in _queues(subtype, tag_state, lun_state)
        for mapping in names
    )


def _situations(subtype: int) -> Iterator[tuple[TagState, LunState]]:
    known = subtype in Tmf.__members__.values()
    for tag_state in TagState if known else (TagState.IN_FLIGHT, TagState.FINISHED):
        yield tag_state, LunState.PRESENT
    yield TagState.OTHER_LUN, LunState.ABSENT_LUN
    yield TagState.OTHER_LUN, LunState.ABSENT_TARGET
    if known:
        yield TagState.IN_FLIGHT, LunState.BEING_UNPLUGGED
        yield TagState.IN_FLIGHT, LunState.UNPLUGGED_MEANWHILE


def _queues(subtype: int, tag_state: TagState, lun_state: LunState) -> range:
    """Every queue where the tag's own queue matters, the last one elsewhere: it is far from QEMU's defaults."""
    by_tag = subtype in (Tmf.ABORT_TASK, Tmf.QUERY_TASK)
    if by_tag and tag_state is TagState.IN_FLIGHT and lun_state is LunState.PRESENT:
        return range(NUM_QUEUES)
    return range(NUM_QUEUES - 1, NUM_QUEUES)
