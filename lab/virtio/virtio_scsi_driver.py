"""Commands and task management functions to descriptor chains, and what the device returns back to their answers.

The order in which things ended cannot be read from several rings at once. :meth:`VirtioScsi.poll` therefore looks at
the ctrl virtqueue first and at the command virtqueues after it, and numbers its passes: a command that shows up in a
later pass than a TMF was certainly not in the used ring when the TMF's answer was (x86 keeps the order of stores).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from lab.deadline import Deadline
from lab.errors import DeviceError
from lab.virtio.guest_memory import GuestMemory
from lab.virtio.scsi import Command, test_unit_ready
from lab.virtio.virtio_pci import DeviceStatus, VirtioPciDevice
from lab.virtio.virtio_scsi import (
    AN_RESPONSE_BYTES,
    COMMAND_RESPONSE_BYTES,
    CTRL_QUEUE,
    EVENT_BYTES,
    EVENT_QUEUE,
    FEATURE_CHANGE,
    FEATURE_HOTPLUG,
    FIRST_COMMAND_QUEUE,
    TMF_RESPONSE_BYTES,
    AsyncNotification,
    CommandResponse,
    ControlType,
    Event,
    Lun,
    an_request,
    an_response,
    check_written,
    command_request,
    command_response,
    event_from_bytes,
    tmf_request,
    unwritten,
)
from lab.virtio.virtqueue import Buffer, Used, Virtqueue, buffer_with

T = TypeVar("T")

_QUEUE_SIZE = 128
_EVENT_BUFFERS = 12
_POLL_INTERVAL_S = 0.0005
_NUM_QUEUES_CONFIG = 0
_MOST_ATTENTIONS = 8
"""A LUN may have several things to say before it answers; after a reset QEMU has one or two."""


@dataclass(frozen=True)
class Request:
    """Something that the device was given.

    :param queue: virtqueue number, ctrl 0.
    :param head: first descriptor of its chain.
    :param tag: its command identifier; 0 for what has none.
    :param response: where the device writes its answer.
    :param data_in: where the device writes data.
    """

    queue: int
    head: int
    tag: int
    response: Buffer
    data_in: Buffer


@dataclass(frozen=True)
class Completion:
    """Something that the device returned.

    :param request: None where the device returned a chain that it did not have.
    :param queue: virtqueue number.
    :param pass_number: of the :meth:`VirtioScsi.poll` that saw it.
    :param at_s: when that was, on the monotonic clock.
    :param written: bytes that the device says it wrote.
    :param answer: the bytes at ``request.response``.
    :param data: the bytes at ``request.data_in``.
    """

    request: Request | None
    queue: int
    pass_number: int
    at_s: float
    written: int
    answer: bytes
    data: bytes


class VirtioScsi:
    """A virtio-scsi host seen from its driver. Not thread-safe.

    :param memory: the guest's RAM; the driver owns all of it and frees it at every device reset.
    """

    def __init__(self, device: VirtioPciDevice, memory: GuestMemory) -> None:
        self.device = device
        self.queue_size = _QUEUE_SIZE
        self._memory = memory
        self._queues: list[Virtqueue] = []
        self._requests: dict[tuple[int, int], Request] = {}
        self._event_buffers: dict[int, Buffer] = {}
        self._passes = 0
        self._to_kick: set[int] | None = None

    @property
    def num_queues(self) -> int:
        """Command virtqueues of the device."""
        return self.device.read_config(_NUM_QUEUES_CONFIG, 4)

    @property
    def in_device(self) -> int:
        """Requests that the device has not returned, event buffers left out."""
        return len(self._requests)

    def start(self, before_driver_ok: Callable[[], None] | None = None) -> None:
        """Reset the device and bring it up (VIRTIO 1.2, section 3.1.1), all queues enabled, event buffers supplied.

        :param before_driver_ok: called when the queues are there and DRIVER_OK is not set.
        :raise DeadlineError: QEMU's main loop is blocked.
        :raise StageError: the device refused, or QEMU went away.
        """
        self.reset()
        self.device.negotiate(FEATURE_HOTPLUG | FEATURE_CHANGE)
        for index in range(FIRST_COMMAND_QUEUE + self.num_queues):
            self._queues.append(self._make_queue(index))
        for _ in range(_EVENT_BUFFERS):
            self._supply_event_buffer()
        if before_driver_ok is not None:
            before_driver_ok()
        self.device.add_status(DeviceStatus.DRIVER_OK)
        self._queues[EVENT_QUEUE].kick()

    def reset(self) -> None:
        """Reset the device and forget everything it had.

        :raise DeadlineError: QEMU's main loop is blocked.
        :raise StageError: the device refused, or QEMU went away.
        """
        self.device.reset()
        self._queues.clear()
        self._requests.clear()
        self._event_buffers.clear()
        self._memory.free_all()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Kick each virtqueue once, at the end of the block, for all that the block submits."""
        waiting: set[int] = set()
        self._to_kick = waiting
        try:
            yield
        finally:
            self._to_kick = None
        for index in sorted(waiting):
            self._queues[index].kick()

    def submit(self, queue: int, lun: Lun, command: Command, *, tag: int) -> Request:
        """Give the device a command and kick, without waiting.

        :param queue: command virtqueue, from 0.
        :raise StageError: the virtqueue is full, or QEMU went away.
        """
        readable = [command_request(lun, tag, command.cdb), command.data_out]
        return self._give(FIRST_COMMAND_QUEUE + queue, readable, COMMAND_RESPONSE_BYTES, command.data_in, tag)

    def manage_task(self, subtype: int, lun: Lun, tag: int) -> Request:
        """Give the device a task management function of any subtype and kick, without waiting.

        :raise StageError: the virtqueue is full, or QEMU went away.
        """
        return self._give(CTRL_QUEUE, [tmf_request(subtype, lun, tag)], TMF_RESPONSE_BYTES, 0, tag)

    def kick_all(self) -> None:
        """Kick every virtqueue once more; tells a lost notification from a request that is stuck."""
        for queue in self._queues:
            queue.kick()

    def poll(self) -> list[Completion]:
        """Look once at every ring, ctrl first, and return what the device has returned since.

        :raise DeviceError: it did not write an answer, or none that can be read.
        """
        self._passes += 1
        found: list[Completion] = []
        for index in (CTRL_QUEUE, *range(FIRST_COMMAND_QUEUE, len(self._queues))):
            found.extend(self._completion(index, used) for used in self._queues[index].take_used())
        return found

    def take_events(self) -> list[Event]:
        """Return the events that came since the last call and give their buffers back to the device.

        :raise DeviceError: it returned a buffer that it did not have, or with no event in it.
        """
        events = []
        for used in self._queues[EVENT_QUEUE].take_used():
            if not used.known:
                raise DeviceError(f"the device returned event buffer {used.head}, which it did not have")
            buffer = self._event_buffers.pop(used.head)
            events.append(event_from_bytes(self._memory.read(buffer.address, buffer.size)))
            self._supply_event_buffer()
        if events:
            self._queues[EVENT_QUEUE].kick()
        return events

    def wait_for(self, what: str, check: Callable[[], T | None], timeout_s: float) -> T:
        """Wait in real time until ``check`` returns something; it is called about 2000 times a second.

        :raise DeadlineError: it still returned None at the deadline.
        """
        return Deadline(timeout_s).wait_for(what, check, interval_s=_POLL_INTERVAL_S)

    def answer_to(self, request: Request, timeout_s: float = 5.0) -> Completion:
        """Wait for one request, while nothing else is with the device.

        :raise DeadlineError: it was not returned in time.
        :raise StageError: something else was returned.
        """

        def look() -> Completion | None:
            for completion in self.poll():
                if completion.request != request:
                    raise DeviceError(f"the device returned something else than was waited for: {completion}")
                return completion
            return None

        return self.wait_for(f"the answer to tag {request.tag:#x}", look, timeout_s)

    def run(self, queue: int, lun: Lun, command: Command, *, tag: int, timeout_s: float = 5.0) -> CommandResponse:
        """Run one command to its end, while nothing else is with the device.

        :raise DeadlineError: it was not returned in time.
        :raise StageError: something else was returned, or QEMU went away.
        """
        return command_response(self.answer_to(self.submit(queue, lun, command, tag=tag), timeout_s).answer)

    def until_ready(self, lun: Lun, *, queue: int = 0, timeout_s: float = 5.0) -> None:
        """Take the unit attentions that a reset leaves, while nothing else is with the device.

        :raise DeadlineError: an answer did not come in time.
        :raise StageError: the LUN has too much to say, something else was returned, or QEMU went away.
        """
        for tag in range(1, _MOST_ATTENTIONS + 1):
            if str(self.run(queue, lun, test_unit_ready(), tag=tag, timeout_s=timeout_s)) == "OK":
                return
        raise DeviceError(f"LUN {lun} is not ready after {_MOST_ATTENTIONS} times TEST UNIT READY")

    def query_notifications(
        self, kind: ControlType, lun: Lun, wanted: AsyncNotification
    ) -> tuple[AsyncNotification, int]:
        """Ask which asynchronous notifications a LUN supports, or subscribe to them.

        :return: those it supports, and the response byte.
        :raise DeadlineError: no answer in time.
        :raise StageError: something else was returned, or QEMU went away.
        """
        asked = self._give(CTRL_QUEUE, [an_request(kind, lun, wanted)], AN_RESPONSE_BYTES, 0, 0)
        return an_response(self.answer_to(asked).answer)

    def _make_queue(self, index: int) -> Virtqueue:
        size = min(self.queue_size, self.device.queue_max_size(index))
        address = 0

        def notify() -> None:
            self.device.post_notify(address, index)

        queue = Virtqueue(self._memory, size, notify)
        address = self.device.enable_queue(index, size, queue.descriptors, queue.available, queue.used)
        return queue

    def _give(self, index: int, readable: list[bytes], response_bytes: int, data_in: int, tag: int) -> Request:
        asked = [buffer_with(self._memory, data) for data in readable if data]
        response, data = (buffer_with(self._memory, unwritten(size)) for size in (response_bytes, data_in))
        head = self._queues[index].add(asked, [buffer for buffer in (response, data) if buffer.size])
        request = Request(index, head, tag, response, data)
        self._requests[index, head] = request
        if self._to_kick is not None:
            self._to_kick.add(index)
        else:
            self._queues[index].kick()
        return request

    def _completion(self, index: int, used: Used) -> Completion:
        request = self._requests.pop((index, used.head), None) if used.known else None
        answer = self._memory.read(request.response.address, request.response.size) if request else b""
        data = self._memory.read(request.data_in.address, request.data_in.size) if request else b""
        if request:
            check_written(answer, used.written)
        return Completion(request, index, self._passes, time.monotonic(), used.written, answer, data)

    def _supply_event_buffer(self) -> None:
        buffer = buffer_with(self._memory, unwritten(EVENT_BYTES))
        self._event_buffers[self._queues[EVENT_QUEUE].add((), (buffer,))] = buffer
