import itertools
from dataclasses import asdict

import pytest

from lab.errors import StageError
from lab.virtio.guest_memory import GuestMemory
from lab.virtio.load.driver import Orders
from lab.virtio.load.layout import memory_mib_for, place_queue
from tests.unit.virtio.load.fake_queue import BumpMemory


def test_nothing_overlaps() -> None:
    """Ring, commands, answers, data and control words each have memory of their own."""
    layout = place_queue(BumpMemory(), 2, 256, 64, 4096)  # type: ignore[arg-type]
    sizes = {
        "descriptors": 16 * 256,
        "available": 4 + 2 * 256 + 2,
        "used": 4 + 8 * 256 + 2,
        "tables": 64 * 64,
        "requests": 64 * 64,
        "responses": 128 * 64,
        "data": 4096 * 64,
        "control": 128,
    }
    places = asdict(layout)
    ends = sorted((places[name], places[name] + size) for name, size in sizes.items())
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ends))


def test_a_layout_fits_on_a_command_line() -> None:
    """What one process places, another finds."""
    layout = place_queue(BumpMemory(), 5, 8, 4, 512)  # type: ignore[arg-type]
    orders = Orders(layout, doorbell=1, disk_bytes=1 << 20, random=True, start=0.5, seed=3, spin=False)
    assert Orders.from_json(orders.to_json()) == orders


def test_more_commands_than_the_ring_has_room_for() -> None:
    """Refused, with what to change."""
    with pytest.raises(StageError, match="9 commands do not fit into a virtqueue of 8"):
        place_queue(BumpMemory(), 2, 8, 9, 512)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("queues", "depth", "request_bytes"), [(1, 1, 512), (4, 64, 4096), (64, 256, 4096), (4, 16, 1 << 20)]
)
def test_the_memory_that_is_asked_for_is_enough(queues: int, depth: int, request_bytes: int) -> None:
    """Every queue of the load finds its place."""
    memory = GuestMemory(memory_mib_for(queues, queues * depth, request_bytes))
    try:
        for index in range(queues):
            place_queue(memory, index, 256, depth, request_bytes)
    finally:
        memory.close()
