"""Commands and functions to the device, what came back, and the load that is kept up meanwhile."""

from __future__ import annotations

from contextlib import suppress

from lab.errors import StageError
from lab.virtio.backing import Backing
from lab.virtio.qtest_machine import LogicalUnit
from lab.virtio.race.content import fresh_block, written_block
from lab.virtio.race.history import History, Sent
from lab.virtio.scsi import Command, read_10, test_unit_ready, write_10
from lab.virtio.virtio_scsi import command_response, tmf_text
from lab.virtio.virtio_scsi_driver import Completion, Request, VirtioScsi

_FIRST_TAG = 0x7E57_0000_0000_0000
_MOST_LOAD = 6000
"""READs of the load in all: guest memory is given out once."""
_MOST_IN_FLIGHT = 30
"""Commands on one queue: three descriptors each, and a queue has 128."""
_READ_LBAS = 1024
_WRITE_LBAS = range(_READ_LBAS, 2 * _READ_LBAS)
_RECENT = 200


class Traffic:
    """What is with the device, and what was.

    :param driver: up and running; replaced after a system reset.
    """

    def __init__(
        self, driver: VirtioScsi, units: tuple[LogicalUnit, ...], num_queues: int, backing: Backing, history: History
    ) -> None:
        self.driver = driver
        self.passes = 0
        self._units = units
        self._num_queues = num_queues
        self._backing = backing
        self._history = history
        self._with_device: dict[Request, Sent] = {}
        self._load: dict[tuple[int, int], int] = {}
        self._load_left = _MOST_LOAD
        self._tag = _FIRST_TAG
        self._free_lbas = list(_WRITE_LBAS)

    @property
    def in_device(self) -> int:
        """Commands and functions that have not come back."""
        return len(self._with_device)

    def read(self, unit: int, queue: int) -> Sent | None:
        """Send a READ of one block; None where the queue is full."""
        lba = self._tag % _READ_LBAS
        return self._submit("READ", unit, queue, read_10(lba), lba)

    def read_back(self, written: Sent) -> Sent | None:
        """Send a READ of what a WRITE wrote; None where the queue is full."""
        unit = next(number for number, unit in enumerate(self._units) if unit.lun == written.lun)
        return self._submit("READ BACK", unit, written.queue, read_10(written.lba), written.lba)

    def write(self, unit: int, queue: int) -> Sent | None:
        """Send a WRITE of one block that no other command touches; None where there is no room for it."""
        if not self._free_lbas:
            return None
        lba = self._free_lbas.pop(0)
        return self._submit("WRITE", unit, queue, write_10(lba, written_block(lba)), lba)

    def probe(self, unit: int, queue: int) -> Sent | None:
        """Send TEST UNIT READY; None where the queue is full."""
        return self._submit("TEST UNIT READY", unit, queue, test_unit_ready(), 0)

    def function(self, subtype: int, unit: int, age: int) -> None:
        """Send a task management function, where the ctrl queue has room.

        :param age: its tag is that of the age-th youngest command to the disk.
        """
        lun = self._units[unit].lun
        tags = [sent.tag for sent in self._history.commands[-_RECENT:] if sent.lun == lun]
        tag = tags[-min(age, len(tags))] if tags and age else 0
        sent = Sent(tmf_text(subtype), lun, 0, tag, self.passes, subtype=subtype)
        with suppress(StageError):
            self._with_device[self.driver.manage_task(subtype, lun, tag)] = sent
            self._history.functions.append(sent)

    def set_load(self, unit: int, queue: int, depth: int) -> None:
        """From now on keep that many READs in flight there."""
        self._load[unit, queue % self._num_queues] = min(depth, _MOST_IN_FLIGHT)

    def end_load(self) -> None:
        """Send nothing more by itself."""
        self._load.clear()

    def drop_all(self) -> None:
        """Forget what is with the device, which was reset."""
        for sent in self._with_device.values():
            sent.dropped = True
        self._with_device.clear()

    def look(self) -> None:
        """Take what came back, and keep up the load."""
        self.passes += 1
        for completion in self.driver.poll():
            sent = self._with_device.pop(completion.request, None) if completion.request else None
            if sent is None:
                self._history.strays += 1
            else:
                self._end(sent, completion)
        self.driver.take_events()
        for (unit, queue), depth in self._load.items():
            self._keep_up(unit, queue, depth)

    def _submit(self, name: str, unit: int, queue: int, command: Command, lba: int) -> Sent | None:
        queue %= self._num_queues
        if sum(sent.queue == queue for sent in self._with_device.values()) >= _MOST_IN_FLIGHT:
            return None
        self._tag += 1
        lun = self._units[unit].lun
        sent = Sent(name, lun, queue, self._tag, self.passes, lba=lba)
        self._with_device[self.driver.submit(queue, lun, command, tag=self._tag)] = sent
        self._history.commands.append(sent)
        return sent

    def _end(self, sent: Sent, completion: Completion) -> None:
        sent.ended_pass = self.passes
        if sent.subtype is not None:
            sent.end = str(completion.answer[0])
            return
        sent.end = str(command_response(completion.answer))
        if sent.end == "OK" and sent.name == "READ":
            sent.data_ok = completion.data == fresh_block(self._backing, sent.lba)
        elif sent.end == "OK" and sent.name == "READ BACK":
            sent.data_ok = completion.data == written_block(sent.lba)

    def _keep_up(self, unit: int, queue: int, depth: int) -> None:
        lun = self._units[unit].lun
        mine = sum((sent.lun, sent.queue) == (lun, queue) for sent in self._with_device.values())
        for _ in range(depth - mine if self._load_left > 0 else 0):
            if self.read(unit, queue) is None:
                return
            self._load_left -= 1
