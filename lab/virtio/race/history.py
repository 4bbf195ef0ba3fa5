"""What happened in a race: pure data between lab.virtio.race.perform, which fills it, and lab.virtio.race.judge.

Time is counted in passes over the rings. Something that was sent after pass 7 and seen to have ended in pass 9 was with
the device somewhere between; of two that ended in passes 9 and 12 the first had certainly ended when the second did,
if it is a function and the second a command: the ctrl ring is looked at first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.virtio.race.schedule import Action
from lab.virtio.tmf.watchdog import Stall
from lab.virtio.virtio_scsi import Lun


@dataclass
class Sent:
    """A command or a function.

    :param name: ``READ``, ``WRITE``, ``TEST UNIT READY`` or the name of the function.
    :param subtype: of a function; None for a command.
    :param sent_pass: the last pass before it was sent.
    :param ended_pass: the pass that saw it returned; None while it is with the device.
    :param end: what the device said, as :class:`lab.virtio.virtio_scsi.CommandResponse` prints it; of a function the
        number of its response.
    :param data_ok: a READ that ended OK brought the right data.
    :param dropped: the device was reset under it: nothing is owed any more.
    """

    name: str
    lun: Lun
    queue: int
    tag: int
    sent_pass: int
    subtype: int | None = None
    lba: int = 0
    ended_pass: int | None = None
    end: str = ""
    data_ok: bool = True
    dropped: bool = False

    @property
    def text(self) -> str:
        """A name for messages."""
        where = f"LUN {self.lun}" if self.subtype is not None else f"LUN {self.lun}, queue {self.queue}"
        return f"{self.name} {self.tag:#x} ({where})"


@dataclass
class Disturbance:
    """Something that changes what is allowed.

    :param lun: of the disk it was done to; None for the whole machine.
    :param at_pass: the last pass before it.
    :param end_pass: the first pass whose commands were certainly sent after it; None while it may go on.
    :param refused: QEMU did not do it.
    """

    action: Action
    lun: Lun | None
    at_pass: int
    end_pass: int | None = None
    refused: bool = False

    def overlaps(self, sent: Sent) -> bool:
        """Tell whether something may have been with the device while this was done."""
        return self.began_before_end_of(sent) and (self.end_pass is None or sent.sent_pass < self.end_pass)

    def began_before_end_of(self, sent: Sent) -> bool:
        """Tell whether this was begun before something ended."""
        return sent.ended_pass is None or self.at_pass < sent.ended_pass


@dataclass
class History:
    """A race, as far as it got.

    :param strays: chains that the device returned and did not have.
    :param refused: QMP commands that QEMU refused, with its words: not a fault by itself.
    :param silent: QMP commands that were never answered.
    :param trouble: what kept the race from being performed; empty where nothing did.
    :param broken: the rule that the device broke, after which it could not be driven any more; empty where it could.
    :param never_ready: disks that went on reporting unit attentions when everything was over.
    :param crash: how QEMU ended by itself; empty where it did not.
    :param stall: why something did not end, and ``waiting_for`` what that was.
    :param moved_by: what made it go on after all.
    """

    commands: list[Sent] = field(default_factory=list)
    functions: list[Sent] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    strays: int = 0
    refused: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    trouble: str = ""
    broken: str = ""
    never_ready: list[Lun] = field(default_factory=list)
    crash: str = ""
    stall: Stall | None = None
    waiting_for: str = ""
    moved_by: str | None = None
