"""The device's end of a virtqueue in plain memory: it serves what is available when it is told to, well or badly."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence

from lab.virtio.load.layout import QueueLayout, place_queue
from lab.virtio.virtio_scsi import COMMAND_RESPONSE_BYTES, FIRST_COMMAND_QUEUE

MEMORY_BYTES = 4 << 20
GOOD = bytes(COMMAND_RESPONSE_BYTES)
UNIT_ATTENTION = struct.pack("<IIHBB", 18, 0, 0, 2, 0) + bytes((0x70, 0, 6)) + bytes(9) + bytes((0x29,)) + bytes(83)


class BumpMemory:
    """Gives out addresses, as ``GuestMemory`` does."""

    def __init__(self) -> None:
        self._next = 4096

    def allocate(self, size: int, *, align: int = 16) -> int:
        """Return the next free address."""
        address = -(-self._next // align) * align
        self._next = address + size
        return address


class FakeQueue:
    """Memory with one virtqueue in it, and the device that looks at it."""

    def __init__(self, *, size: int = 8, depth: int = 4, request_bytes: int = 4096) -> None:
        self.memory = mmap.mmap(-1, MEMORY_BYTES)
        self.layout: QueueLayout = place_queue(
            BumpMemory(),  # type: ignore[arg-type]
            FIRST_COMMAND_QUEUE,
            size,
            depth,
            request_bytes,
        )
        self._looked = 0

    def start_at(self, index: int) -> None:
        """Let both indices stand there, as after so many commands."""
        struct.pack_into("<H", self.memory, self.layout.available + 2, index)
        struct.pack_into("<H", self.memory, self.layout.used + 2, index)
        self._looked = index

    def available(self) -> list[int]:
        """Return the heads that the driver made available since the last look."""
        heads: list[int] = []
        (index,) = struct.unpack_from("<H", self.memory, self.layout.available + 2)
        while self._looked != index:
            place = self.layout.available + 4 + 2 * (self._looked % self.layout.size)
            heads += struct.unpack_from("<H", self.memory, place)
            self._looked = (self._looked + 1) & 0xFFFF
        return heads

    def chain(self, head: int) -> list[tuple[int, int, int, int]]:
        """Return the descriptors that the indirect table of a head holds: address, bytes, flags, next."""
        table, size, flags, _ = struct.unpack_from("<QIHH", self.memory, self.layout.descriptors + 16 * head)
        assert flags == 4 and size == 48
        return [struct.unpack_from("<QIHH", self.memory, table + 16 * number) for number in range(3)]

    def use(self, heads: Sequence[int], answer: bytes | None = GOOD) -> None:
        """Return heads to the driver.

        :param answer: None leaves what stands there.
        """
        (index,) = struct.unpack_from("<H", self.memory, self.layout.used + 2)
        for head in heads:
            if answer is not None:
                start = self.layout.responses + 128 * head
                self.memory[start : start + len(answer)] = answer
            struct.pack_into("<II", self.memory, self.layout.used + 4 + 8 * (index % self.layout.size), head, 4204)
            index = (index + 1) & 0xFFFF
        struct.pack_into("<H", self.memory, self.layout.used + 2, index)

    def serve(self) -> list[int]:
        """Use everything that is available, well, and return it."""
        heads = self.available()
        self.use(heads)
        return heads

    def want_kicks(self, *, wanted: bool) -> None:
        """Set or clear the flag that asks the driver for kicks."""
        struct.pack_into("<H", self.memory, self.layout.used, 0 if wanted else 1)
