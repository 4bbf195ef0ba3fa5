"""A modern virtio-scsi device in memory, for tests of its driver: registers, and rings served by hand."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

from lab.virtio.guest_memory import GuestMemory
from tests.unit.virtio.fake_pci import FakeFunction, FakePci

BAR = 4
COMMON, NOTIFY, ISR, CONFIG = 0x0000, 0x3000, 0x1000, 0x2000
MULTIPLIER = 4


def _structure(kind: int, offset: int, extra: bytes = b"") -> tuple[int, bytes]:
    return 9, struct.pack("<BBB3xII", 16 + len(extra), kind, BAR, offset, 0x1000) + extra


def virtio_function(*, without: tuple[int, ...] = ()) -> FakeFunction:
    """Return a PCI function with the virtio structures, some of them left out."""
    structures = {
        1: _structure(1, COMMON),
        3: _structure(3, ISR),
        4: _structure(4, CONFIG),
        2: _structure(2, NOTIFY, struct.pack("<I", MULTIPLIER)),
        5: _structure(5, 0),
    }
    kept = tuple(body for kind, body in structures.items() if kind not in without)
    return FakeFunction(0x1AF4, 0x1048, bar_sizes={BAR: (0x4000, 0xC)}, capabilities=((0x11, bytes(10)), *kept))


@dataclass
class Ring:
    """What the driver said of a queue, and how far the device got with it."""

    size: int = 256
    registers: dict[int, int] = field(default_factory=dict)
    enabled: bool = False
    taken: int = 0
    used: int = 0


class FakeDevice(FakePci):
    """The device and the bus it sits on.

    :param features: offered.
    :param accepts_features: keeps FEATURES_OK.
    :param resets: the status becomes 0 when 0 is written.
    """

    def __init__(
        self,
        memory: GuestMemory,
        *,
        features: int = 1 << 32 | 0b110,
        accepts_features: bool = True,
        resets: bool = True,
        num_queues: int = 2,
        function: FakeFunction | None = None,
    ) -> None:
        super().__init__({(3, 0): function or virtio_function()})
        self.memory = memory
        self.features = features
        self.agreed = 0
        self.status = 0
        self.statuses: list[int] = []
        self.kicks: list[int] = []
        self.config = bytearray(struct.pack("<I", num_queues) + bytes(32))
        self.rings = [Ring() for _ in range(num_queues + 2)]
        self._accepts_features = accepts_features
        self._resets = resets
        self._selected_feature = 0
        self._selected_queue = 0

    def _offset(self, address: int) -> int:
        start = int.from_bytes(self.functions[3, 0].space[0x20:0x24], "little") & ~0xF
        assert start <= address < start + 0x4000, "not in the BAR"
        return address - start

    def read(self, address: int, width: int) -> int:
        """Load from the BAR."""
        offset = self._offset(address)
        if offset >= CONFIG:
            return int.from_bytes(self.config[offset - CONFIG : offset - CONFIG + width], "little")
        ring = self.rings[self._selected_queue] if self._selected_queue < len(self.rings) else Ring(size=0)
        return {
            4: self.features >> 32 * self._selected_feature & 0xFFFFFFFF,
            18: len(self.rings),
            20: self.status,
            24: ring.size,
            30: self._selected_queue,
        }[offset]

    def write(self, address: int, value: int, width: int) -> None:
        """Store to the BAR."""
        offset = self._offset(address)
        if offset >= CONFIG and offset < NOTIFY:
            self.config[offset - CONFIG : offset - CONFIG + width] = value.to_bytes(width, "little")
        elif offset in (0, 8):
            self._selected_feature = value
        elif offset == 12:
            self.agreed |= value << 32 * self._selected_feature
        elif offset == 20:
            self._set_status(value)
        elif offset == 22:
            self._selected_queue = value
        elif offset == 24:
            self.rings[self._selected_queue].size = value
        elif offset == 28:
            self.rings[self._selected_queue].enabled = bool(value)
        else:
            self.rings[self._selected_queue].registers[offset] = value

    def post_write(self, address: int, value: int, width: int) -> None:
        """Take a kick: only notifications are posted."""
        index = (self._offset(address) - NOTIFY) // MULTIPLIER
        assert width == 2 and index == value, "a queue is notified at its own place with its own number"
        self.kicks.append(index)

    def _set_status(self, value: int) -> None:
        self.statuses.append(value)
        if value == 0 and self._resets:
            self.rings = [Ring() for _ in self.rings]
            self.agreed = 0
        if value or self._resets:
            self.status = value if self._accepts_features else value & ~8

    def take(self, queue: int) -> tuple[int, list[bytes], list[tuple[int, int]]] | None:
        """Take a chain: its head, what can be read, and address and size of what can be written."""
        ring = self.rings[queue]
        available = ring.registers[40]
        if ring.taken == self.memory.load16(available + 2):
            return None
        head = self.memory.load16(available + 4 + 2 * (ring.taken % ring.size))
        ring.taken = (ring.taken + 1) & 0xFFFF
        readable: list[bytes] = []
        writable: list[tuple[int, int]] = []
        index = head
        while True:
            raw = self.memory.read(ring.registers[32] + 16 * index, 16)
            address, size, flags, follower = struct.unpack("<QIHH", raw)
            if flags & 2:
                writable.append((address, size))
            else:
                readable.append(self.memory.read(address, size))
            if not flags & 1:
                return head, readable, writable
            index = follower

    def give_back(self, queue: int, head: int, written: int = 0) -> None:
        """Return a chain to the driver."""
        ring = self.rings[queue]
        element = ring.registers[48] + 4 + 8 * (ring.used % ring.size)
        self.memory.store32(element, head)
        self.memory.store32(element + 4, written)
        ring.used = (ring.used + 1) & 0xFFFF
        self.memory.store16(ring.registers[48] + 2, ring.used)

    def serve(self, queue: int, *answers: bytes) -> list[list[bytes]]:
        """Answer the chains of a queue in turn, each with the bytes of one answer; return what each asked."""
        pending = deque(answers)
        asked = []
        while pending and (chain := self.take(queue)) is not None:
            head, readable, writable = chain
            answer = pending.popleft()
            asked.append(readable)
            rest = answer
            for address, size in writable:
                self.memory.write(address, rest[:size])
                rest = rest[size:]
            self.give_back(queue, head, len(answer))
        return asked
