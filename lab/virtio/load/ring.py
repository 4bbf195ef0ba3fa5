"""Commands to a virtqueue in batches, and back: every chain is written once and used again and again.

A slot is a command that the ring knows: a descriptor that points to a table of three (header, answer, data; the layout
that Linux uses, VIRTIO 1.2, section 2.7.5.3), the header with its CDB, room for the answer and for the data. To give
one to the device again takes a new address in the CDB and its number in the ring, so that a batch of 64 is a dozen
operations of numpy.

Every command that comes back is checked: it was with the device, it came back once, and its answer was written anew
and says that all went well.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lab.errors import StageError
from lab.virtio.load.layout import REQUEST_BYTES, RESPONSE_BYTES, TABLE_BYTES, QueueLayout
from lab.virtio.load.workload import Direction
from lab.virtio.scsi import BLOCK_BYTES, read_10, write_10
from lab.virtio.virtio_scsi import COMMAND_RESPONSE_BYTES, Lun, command_request, command_response

_NEXT, _WRITE, _INDIRECT = 1, 2, 4
_NO_INTERRUPT = 1
_NO_NOTIFY = 1
_REQUEST_HEADER = 51
_LBA_OFFSET = 19 + 2
"""The CDB begins at byte 19 of the header, its address at byte 2 (READ (10) and WRITE (10) alike)."""
_OUTCOME_OFFSET = 4
"""From here on residual, status qualifier, status and response are eight bytes: all zero where all went well."""
_UNWRITTEN = np.uint64(0xFFFFFFFFFFFFFFFF)

Slots = npt.NDArray[np.intp]

_DESCRIPTOR = np.dtype([("address", "<u8"), ("bytes", "<u4"), ("flags", "<u2"), ("next", "<u2")])
_USED = np.dtype([("slot", "<u4"), ("written", "<u4")])


class Ring:
    """One virtqueue, from its driver's side. Goes on where the indices in memory stand.

    :param memory: the guest's RAM, writable, from guest-physical address 0.
    """

    def __init__(self, memory: mmap.mmap, layout: QueueLayout) -> None:
        self._memory = memory
        self._layout = layout
        self._mask = layout.size - 1
        words = memoryview(memory).cast("H")
        self._used_head = words[layout.used >> 1 : (layout.used >> 1) + 2]
        self._available_head = words[layout.available >> 1 : (layout.available >> 1) + 2]
        self._available = np.frombuffer(memory, "<u2", layout.size, layout.available + 4)
        self._used = np.frombuffer(memory, _USED, layout.size, layout.used + 4)["slot"]
        self._addresses = self._field(layout.requests, REQUEST_BYTES, _LBA_OFFSET, ">u4")
        self._outcomes = self._field(layout.responses, RESPONSE_BYTES, _OUTCOME_OFFSET, "<u8")
        self._steps = np.arange(layout.size)
        self._with_device = np.zeros(layout.depth, bool)
        self._given, self._seen = self._available_head[1], self._used_head[1]
        self.in_device = 0
        """Commands that the device has and has not returned."""

    def prepare(self, direction: Direction, luns: Sequence[Lun]) -> None:
        """Write the chains and commands of all slots; they go to the LUNs in turn."""
        layout = self._layout
        blocks = layout.request_bytes // BLOCK_BYTES
        reads = direction is Direction.READ
        command = read_10(0, blocks) if reads else write_10(0, bytes(layout.request_bytes))
        descriptors = np.frombuffer(self._memory, _DESCRIPTOR, layout.size, layout.descriptors)
        for slot in range(layout.depth):
            table = layout.tables + TABLE_BYTES * slot
            header = layout.requests + REQUEST_BYTES * slot
            answer = (layout.responses + RESPONSE_BYTES * slot, COMMAND_RESPONSE_BYTES, _WRITE)
            data = (layout.data + layout.request_bytes * slot, layout.request_bytes, _WRITE if reads else 0)
            descriptors[slot] = (table, 3 * _DESCRIPTOR.itemsize, _INDIRECT, 0)
            # What the device reads stands before what it writes, section 2.7.4.2.
            second, third = (answer, data) if reads else (data, answer)
            chain = np.frombuffer(self._memory, _DESCRIPTOR, 3, table)
            chain[0] = (header, _REQUEST_HEADER, _NEXT, 1)
            chain[1] = (second[0], second[1], second[2] | _NEXT, 2)
            chain[2] = (third[0], third[1], third[2], 0)
            lun = luns[slot % len(luns)]
            self._memory[header : header + _REQUEST_HEADER] = command_request(
                lun, layout.index << 32 | slot, command.cdb
            )
        self._available_head[0] = _NO_INTERRUPT

    @property
    def wants_kick(self) -> bool:
        """Whether the device wants to be told of new commands; one that is looking at the ring does not."""
        return not self._used_head[0] & _NO_NOTIFY

    def returned(self) -> int:
        """Return how many commands the device has returned and nobody has taken."""
        return (self._used_head[1] - self._seen) & 0xFFFF

    def give(self, slots: Slots, lbas: npt.NDArray[np.uint32]) -> None:
        """Make commands available to the device, without telling it.

        :param slots: none of them with the device.
        :param lbas: the address of each, in logical blocks.
        """
        count = len(slots)
        self._outcomes[slots] = _UNWRITTEN
        self._addresses[slots] = lbas
        self._with_device[slots] = True
        self._available[(self._given + self._steps[:count]) & self._mask] = slots
        self._given = (self._given + count) & 0xFFFF
        self.in_device += count
        self._available_head[1] = self._given

    def take(self) -> Slots:
        """Return the slots of the commands that the device has returned, each of them checked.

        :raise StageError: one was not with the device, came back twice, or failed.
        """
        count = self.returned()
        if count > self.in_device:
            raise StageError(f"the device returned {count} commands and had {self.in_device}")
        slots: Slots = self._used[(self._seen + self._steps[:count]) & self._mask].astype(np.intp)
        if (slots >= self._layout.depth).any() or not self._with_device[slots].all():
            raise StageError(f"the device returned a command that it did not have: heads {slots.tolist()}")
        self._with_device[slots] = False
        self._seen = (self._seen + count) & 0xFFFF
        self.in_device -= count
        if np.count_nonzero(self._with_device) != self.in_device:
            raise StageError(f"the device returned a command twice: heads {slots.tolist()}")
        if self._outcomes[slots].any():
            raise StageError(self._failure(slots))
        return slots

    def answer(self, slot: int) -> bytes:
        """Return what the device wrote as the answer of a slot."""
        start = self._layout.responses + RESPONSE_BYTES * slot
        return self._memory[start : start + COMMAND_RESPONSE_BYTES]

    def _failure(self, slots: Slots) -> str:
        slot = int(slots[self._outcomes[slots].nonzero()[0][0]])
        if self._outcomes[slot] == _UNWRITTEN:
            return f"the device returned the command in slot {slot} without an answer"
        return f"the command in slot {slot} failed: {command_response(self.answer(slot))}"

    def _field(self, start: int, stride: int, offset: int, kind: str) -> npt.NDArray[np.uint64]:
        """Return one number of every slot as an array."""
        field = np.dtype({"names": ["value"], "formats": [kind], "offsets": [offset], "itemsize": stride})
        return np.frombuffer(self._memory, field, self._layout.depth, start)["value"]
