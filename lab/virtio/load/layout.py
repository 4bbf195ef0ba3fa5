"""A virtqueue's depth and request size to addresses in guest memory: ring, commands, answers, data, control words."""

from __future__ import annotations

from dataclasses import dataclass

from lab.errors import StageError
from lab.virtio.guest_memory import GuestMemory

DESCRIPTOR_BYTES = 16
TABLE_BYTES = 64
"""Room for the three descriptors of a command."""
REQUEST_BYTES = 64
RESPONSE_BYTES = 128
"""The headers have 51 and 108 bytes; in lines of their own, no two commands share a cache line."""
CONTROL_BYTES = 128
_PAGE = 4096
_RING_HEADER = 4
_USED_ELEMENT = 8


@dataclass(frozen=True)
class QueueLayout:
    """Where one virtqueue and its commands are, as guest-physical addresses.

    :param index: of the virtqueue, the ctrl virtqueue being 0.
    :param size: of the ring, a power of two.
    :param depth: commands there are; each has a slot in every one of the arrays below.
    :param tables: the indirect descriptors of each slot.
    """

    index: int
    size: int
    depth: int
    request_bytes: int
    descriptors: int
    available: int
    used: int
    tables: int
    requests: int
    responses: int
    data: int
    control: int


def memory_mib_for(queues: int, in_flight: int, request_bytes: int) -> int:
    """Return how much guest memory a load needs, with room to spare for rings and alignment."""
    per_command = TABLE_BYTES + REQUEST_BYTES + RESPONSE_BYTES + max(request_bytes, _PAGE)
    return 16 + (in_flight * per_command + queues * 64 * 1024 >> 20) + 1


def place_queue(memory: GuestMemory, index: int, size: int, depth: int, request_bytes: int) -> QueueLayout:
    """Take guest memory for a virtqueue and its commands.

    :raise StageError: more commands than the ring has descriptors.
    :raise InputError: the memory is used up.
    """
    if depth > size:
        raise StageError(
            f"{depth} commands do not fit into a virtqueue of {size}", remedy="lower iodepth, or raise queue_size"
        )
    return QueueLayout(
        index=index,
        size=size,
        depth=depth,
        request_bytes=request_bytes,
        descriptors=memory.allocate(DESCRIPTOR_BYTES * size, align=_PAGE),
        available=memory.allocate(_RING_HEADER + 2 * size + 2, align=_PAGE),
        used=memory.allocate(_RING_HEADER + _USED_ELEMENT * size + 2, align=_PAGE),
        tables=memory.allocate(TABLE_BYTES * depth, align=_PAGE),
        requests=memory.allocate(REQUEST_BYTES * depth, align=_PAGE),
        responses=memory.allocate(RESPONSE_BYTES * depth, align=_PAGE),
        data=memory.allocate(request_bytes * depth, align=_PAGE),
        control=memory.allocate(CONTROL_BYTES, align=_PAGE),
    )
