"""What happened in a case: pure data between lab.virtio.tmf.perform, which fills it, and lab.virtio.tmf.judge."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.virtio.tmf.watchdog import Stall
from lab.virtio.virtio_scsi import CommandResponse, Lun, command_response


@dataclass(frozen=True)
class Ending:
    """How something ended.

    :param ended: the device returned it.
    :param pass_number: over the rings, in which that was seen; 0 where it never ended.
    :param answer: the bytes that the device wrote.
    :param data_ok: a READ that ended OK brought the right data.
    :param overwritten: the device wrote to its data buffer after it had returned it.
    :param served_by: names of the threads that took it, from the trace; empty where there is no trace.
    """

    ended: bool
    pass_number: int
    answer: bytes
    data_ok: bool
    served_by: tuple[str, ...]
    overwritten: bool = False

    @property
    def response(self) -> CommandResponse | None:
        """The response of a command that ended."""
        return command_response(self.answer) if self.ended else None


@dataclass
class Observation:
    """What happened in a case, as far as it got.

    :param commands: in the order of ``plan.held``.
    :param function: the function itself; ``earlier`` the ABORT_TASK before it, where there was one.
    :param strays: chains that the device returned and did not have: something ended twice.
    :param trouble: what kept the case from being performed to its end; empty where nothing did.
    :param broken: the rule of virtio that the device broke, after which the case could not go on; empty where it did.
    :param crash: how QEMU ended by itself; empty where it did not.
    :param stall: why something did not end.
    :param waiting_for: what was waited for then.
    :param moved_by: what made it go on after all (lab.virtio.tmf.watchdog.nudged).
    :param after: what the next command to each LUN said.
    :param unplug_refused: what QEMU said to device_del.
    """

    commands: tuple[Ending, ...] = ()
    function: Ending | None = None
    earlier: Ending | None = None
    strays: int = 0
    trouble: str = ""
    broken: str = ""
    crash: str = ""
    stall: Stall | None = None
    waiting_for: str = ""
    moved_by: str | None = None
    after: dict[Lun, str] = field(default_factory=dict)
    unplug_refused: str = ""
