"""A machine and a malformed request to the device's reaction, and whether everything works again after a reset."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from lab.deadline import Deadline
from lab.errors import DeadlineError, DeviceError, InputError, StageError
from lab.virtio.malformed.request import DATA_BYTES, QUEUE_SIZE, RESPONSE_OFFSET, Descriptor, MalformedRequest, Place
from lab.virtio.qtest_machine import QtestMachine
from lab.virtio.scsi import read_10, test_unit_ready
from lab.virtio.tmf.watchdog import Watched, WatchedProcess, wait_or_stall
from lab.virtio.virtio_pci import DeviceStatus
from lab.virtio.virtio_scsi import COMMAND_RESPONSE_BYTES, CommandResponse, Lun, command_response, unwritten

_GLANCE_S = 0.02
_LIMIT_S = 10.0
_RECOVERY_S = 10.0
_MAX_ATTENTIONS = 4


class Outcome(StrEnum):
    """How a device reacts."""

    NEEDS_RESET = "asks for a reset"
    RETURNED = "returns the request"
    IGNORED = "does nothing"


@dataclass(frozen=True)
class Reaction:
    """What the device did with a request.

    :param returned: heads in the used ring, in its order.
    :param response: the response header, where the device wrote to it.
    :param early: the device took something before DRIVER_OK.
    """

    outcome: Outcome
    returned: tuple[int, ...]
    response: CommandResponse | None
    early: bool


class RawQueues:
    """Virtqueues whose every byte is ours. The machine's own driver must not be used meanwhile."""

    def __init__(self, machine: QtestMachine, request: MalformedRequest) -> None:
        self._machine = machine
        self._memory = machine.memory
        self._device = machine.driver.device
        self._request = request
        self._data = self._table = self._descriptors = self._available = self._used = 0
        self._notify_address = 0

    def put(self) -> bool:
        """Reset the device, bring it up with the request in its rings, and notify it.

        :return: whether the device took something before DRIVER_OK.
        :raise DeadlineError: QEMU's main loop is blocked.
        :raise StageError: the device refused, or QEMU went away.
        :raise InputError: the device does not have that queue.
        """
        request, device = self._request, self._device
        self._machine.driver.reset()
        device.negotiate(request.features)
        if not device.queue_max_size(request.queue):
            raise InputError(f"the device has no queue {request.queue}")
        self._fill_memory()
        used = self._used if request.used_ring is None else request.used_ring
        self._notify_address = device.enable_queue(request.queue, QUEUE_SIZE, self._descriptors, self._available, used)
        early = False
        if request.early:
            self._notify()
            self._settle()
            early = bool(self.returned())
        device.add_status(DeviceStatus.DRIVER_OK)
        for write in request.config:
            device.write_config(write.offset, write.value, write.width)
        self._notify()
        return early

    def returned_all(self) -> bool:
        """Tell whether the device returned everything; a look into memory, of which QEMU notices nothing."""
        return len(self.returned()) >= max(1, len(self._request.heads))

    def needs_reset(self) -> bool:
        """Tell whether the device asks for a reset."""
        return DeviceStatus.NEEDS_RESET in self._device.status

    def returned(self) -> tuple[int, ...]:
        """Return the heads in the used ring."""
        count = min(self._memory.load16(self._used + 2), QUEUE_SIZE)
        return tuple(self._memory.load32(self._used + 4 + 8 * slot) for slot in range(count))

    def response(self) -> CommandResponse | None:
        """Return the response header, where the device wrote to it."""
        answer = self._memory.read(self._data + RESPONSE_OFFSET, COMMAND_RESPONSE_BYTES)
        if answer[:12] == unwritten(12):
            return None
        try:
            return command_response(answer)
        except DeviceError:  # sense data that cannot be read: the device wrote only a part
            return None

    def _fill_memory(self) -> None:
        request, memory = self._request, self._memory
        self._data = memory.allocate(DATA_BYTES, align=64)
        self._table = memory.allocate(DATA_BYTES, align=64)
        self._descriptors = memory.allocate(16 * QUEUE_SIZE)
        self._available = memory.allocate(4 + 2 * QUEUE_SIZE + 2, align=4)
        self._used = memory.allocate(4 + 8 * QUEUE_SIZE + 2, align=4)
        memory.write(self._data, request.data.ljust(DATA_BYTES, b"\0"))
        memory.write(self._data + RESPONSE_OFFSET, unwritten(DATA_BYTES - RESPONSE_OFFSET))
        memory.write(self._descriptors, self._packed(request.table))
        memory.write(self._table, self._packed(request.indirect))
        for slot, head in enumerate(request.heads):
            memory.store16(self._available + 4 + 2 * slot, head)
        memory.store16(self._available + 2, len(request.heads) if request.index is None else request.index)

    def _packed(self, table: tuple[Descriptor, ...]) -> bytes:
        return b"".join(
            struct.pack("<QIHH", self._address(item) & 0xFFFFFFFFFFFFFFFF, item.size, item.flags, item.next)
            for item in table
        )

    def _address(self, descriptor: Descriptor) -> int:
        bases = {
            Place.DATA: self._data,
            Place.TABLE: self._table,
            Place.RAM_END: self._memory.size,
            Place.DEVICE: self._notify_address or self._device.notify_base,
            Place.ZERO: 0,
        }
        return bases[descriptor.place] + descriptor.offset

    def _notify(self) -> None:
        number = self._request.queue if self._request.notify is None else self._request.notify
        self._device.post_notify(self._notify_address, number)

    def _settle(self) -> None:
        for _ in range(20):
            self.needs_reset()  # a register access passes through the main loop


def put_before(
    machine: QtestMachine,
    request: MalformedRequest,
    *,
    patient: bool = True,
    process: Watched | None = None,
    make_deadline: Callable[[float], Deadline] = Deadline,
) -> Reaction:
    """Put a request before the device and wait until it has reacted, or QEMU sleeps without having done so.

    :param patient: False: what has not happened after 20 ms does not happen.
    :param process: QEMU as it is watched for progress; by default that of the machine.
    :raise DeadlineError: QEMU's main loop is blocked.
    :raise StageError: the device refused, or QEMU went away.
    :raise InputError: the device does not have that queue.
    """
    queues = RawQueues(machine, request)
    early = queues.put()
    with suppress(DeadlineError):
        glance = make_deadline(_GLANCE_S)
        glance.wait_for("a reaction", lambda: queues.needs_reset() or queues.returned_all() or None)
    if patient and not queues.needs_reset() and not queues.returned_all():  # asking would keep QEMU awake
        watched = process or WatchedProcess(machine.process)
        wait_or_stall(watched, queues.returned_all, patience_s=_GLANCE_S, limit_s=_LIMIT_S, make_deadline=make_deadline)
    outcome = Outcome.RETURNED if queues.returned() else Outcome.IGNORED
    if queues.needs_reset():
        outcome = Outcome.NEEDS_RESET
    return Reaction(outcome, queues.returned(), queues.response(), early)


def recover(machine: QtestMachine, lun: Lun) -> None:
    """Bring the device up as a driver does, and read a block through each queue.

    :raise DeadlineError: the device does not answer.
    :raise StageError: it answers with something else than the data, or QEMU went away.
    """
    driver = machine.driver
    driver.start()
    end = Deadline(_RECOVERY_S)
    for queue in range(driver.num_queues):
        for _ in range(_MAX_ATTENTIONS):
            if str(driver.run(queue, lun, test_unit_ready(), tag=1, timeout_s=end.remaining_s())) == "OK":
                break
        end_text = str(driver.run(queue, lun, read_10(queue), tag=2, timeout_s=end.remaining_s()))
        if end_text != "OK":
            raise StageError(f"after a reset a READ through queue {queue} ended {end_text}")
