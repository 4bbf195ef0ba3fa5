"""Buffers to descriptors and back: a split virtqueue in guest memory.

Facts: VIRTIO 1.2, section 2.7. No indirect descriptors, no event index; interrupts are switched off and the used ring
is polled. Every chain has descriptors of its own, which come back when the device has used it; what it hands back is
checked, because a device that returns a chain twice, or one it was never given, is what this driver looks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.errors import StageError
from lab.virtio.guest_memory import GuestMemory

_DESCRIPTOR_BYTES = 16
_NEXT = 1
_WRITE = 2
_NO_INTERRUPT = 1
_AVAIL_HEADER = 4
_USED_HEADER = 4
_USED_ELEMENT = 8


@dataclass(frozen=True)
class Buffer:
    """A piece of guest memory that one descriptor points to.

    :param address: guest-physical.
    :param size: bytes.
    """

    address: int
    size: int


def buffer_with(memory: GuestMemory, data: bytes) -> Buffer:
    """Return a buffer of new memory with this in it; without data none is taken.

    :raise InputError: the memory is used up.
    """
    if not data:
        return Buffer(0, 0)
    buffer = Buffer(memory.allocate(len(data)), len(data))
    memory.write(buffer.address, data)
    return buffer


@dataclass(frozen=True)
class Used:
    """One element of the used ring.

    :param head: first descriptor of the chain.
    :param written: bytes that the device says it wrote.
    :param known: False where no chain with this head was with the device: used twice, or made up.
    """

    head: int
    written: int
    known: bool


class Virtqueue:
    """One split virtqueue.

    :param size: number of descriptors, a power of two.
    :param notify: tells the device to look; called by :meth:`kick`.
    """

    def __init__(self, memory: GuestMemory, size: int, notify: Callable[[], None]) -> None:
        self._memory = memory
        self._notify = notify
        self.size = size
        self.descriptors = memory.allocate(_DESCRIPTOR_BYTES * size, align=16)
        self.available = memory.allocate(_AVAIL_HEADER + 2 * size + 2, align=4)
        self.used = memory.allocate(_USED_HEADER + _USED_ELEMENT * size + 2, align=4)
        memory.store16(self.available, _NO_INTERRUPT)
        self._free = list(range(size))
        self._chains: dict[int, tuple[int, ...]] = {}
        self._available_index = 0
        self._seen_index = 0

    @property
    def in_device(self) -> int:
        """How many chains the device has and has not returned."""
        return len(self._chains)

    def add(self, readable: Sequence[Buffer], writable: Sequence[Buffer]) -> int:
        """Make a chain available to the device, without telling it.

        :return: the head of the chain.
        :raise StageError: too few descriptors are free.
        """
        buffers = [(buffer, 0) for buffer in readable] + [(buffer, _WRITE) for buffer in writable]
        if len(buffers) > len(self._free):
            raise StageError(f"the virtqueue has {len(self._free)} free descriptors and {len(buffers)} are needed")
        chain = tuple(self._free.pop(0) for _ in buffers)
        for position, (buffer, direction) in enumerate(buffers):
            follower = chain[position + 1] if position + 1 < len(chain) else None
            self._write_descriptor(chain[position], buffer, direction, follower)
        self._chains[chain[0]] = chain
        slot = self.available + _AVAIL_HEADER + 2 * (self._available_index % self.size)
        self._memory.store16(slot, chain[0])
        self._available_index = (self._available_index + 1) & 0xFFFF
        self._memory.store16(self.available + 2, self._available_index)
        return chain[0]

    def kick(self) -> None:
        """Tell the device that chains are available. Never waits."""
        self._notify()

    def take_used(self) -> list[Used]:
        """Return what the device has used since the last call, in its order."""
        device_index = self._memory.load16(self.used + 2)
        elements = []
        while self._seen_index != device_index:
            address = self.used + _USED_HEADER + _USED_ELEMENT * (self._seen_index % self.size)
            head = self._memory.load32(address)
            chain = self._chains.pop(head, None)
            elements.append(Used(head, self._memory.load32(address + 4), known=chain is not None))
            self._free.extend(chain or ())
            self._seen_index = (self._seen_index + 1) & 0xFFFF
        return elements

    def _write_descriptor(self, index: int, buffer: Buffer, direction: int, follower: int | None) -> None:
        address = self.descriptors + _DESCRIPTOR_BYTES * index
        self._memory.store64(address, buffer.address)
        self._memory.store32(address + 8, buffer.size)
        self._memory.store16(address + 12, direction | (_NEXT if follower is not None else 0))
        self._memory.store16(address + 14, follower or 0)
