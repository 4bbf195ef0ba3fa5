import struct

import numpy as np
import pytest

from lab.errors import StageError
from lab.virtio.load.ring import Ring
from lab.virtio.load.workload import Direction
from lab.virtio.virtio_scsi import Lun
from tests.unit.virtio.load.fake_queue import UNIT_ATTENTION, FakeQueue

LUNS = (Lun(0, 0), Lun(0, 1))


def prepared(queue: FakeQueue, direction: Direction = Direction.READ) -> Ring:
    """Return a ring whose commands are written."""
    ring = Ring(queue.memory, queue.layout)
    ring.prepare(direction, LUNS)
    return ring


def give(ring: Ring, *slots: int) -> None:
    """Give slots to the device, slot k with address 8 k."""
    ring.give(np.array(slots, np.intp), np.array([8 * slot for slot in slots], np.uint32))


@pytest.mark.parametrize(
    ("direction", "flags", "sizes", "code"),
    [(Direction.READ, [1, 3, 2], [51, 108, 4096], 0x28), (Direction.WRITE, [1, 1, 2], [51, 4096, 108], 0x2A)],
)
def test_a_chain_is_header_then_what_the_device_reads_then_what_it_writes(
    direction: Direction, flags: list[int], sizes: list[int], code: int
) -> None:
    """For a READ the answer stands before the data, for a WRITE the data before the answer."""
    queue = FakeQueue()
    give(prepared(queue, direction), 3)
    assert queue.available() == [3]
    chain = queue.chain(3)
    assert [entry[2] for entry in chain] == flags
    assert [entry[1] for entry in chain] == sizes
    assert [entry[3] for entry in chain][:2] == [1, 2]
    header = queue.memory[chain[0][0] : chain[0][0] + 51]
    assert header[19] == code
    assert struct.unpack_from(">IBH", header, 21) == (24, 0, 8)


def test_commands_go_to_the_luns_in_turn_with_tags_of_their_own() -> None:
    """Even slots to the first, odd slots to the second."""
    queue = FakeQueue()
    prepared(queue)
    headers = [queue.memory[queue.layout.requests + 64 * slot :][:16] for slot in range(4)]
    assert [Lun.from_bytes(header[:8]).lun for header in headers] == [0, 1, 0, 1]
    assert len({header[8:] for header in headers}) == 4


def test_slots_go_round_and_round() -> None:
    """Past what the 16-bit indices count, in batches that wrap around the end of the ring."""
    queue = FakeQueue(size=8, depth=6)
    queue.start_at(65_500)
    ring = prepared(queue)
    give(ring, *range(6))
    total = 0
    while total < 100:
        heads = queue.available()
        queue.use(heads[:4])
        back = ring.take()
        assert sorted(back) == sorted(heads[:4])
        queue.use(heads[4:])
        back = np.concatenate((back, ring.take()))
        assert ring.in_device == 0
        total += len(back)
        give(ring, *back)
    assert ring.in_device == 6


def test_a_new_ring_goes_on_where_the_indices_stand() -> None:
    """The lab tries the disks, then a driver takes over."""
    queue = FakeQueue()
    first = prepared(queue)
    give(first, 0)
    queue.serve()
    first.take()
    second = Ring(queue.memory, queue.layout)
    assert second.returned() == 0
    give(second, 0, 1)
    assert queue.available() == [0, 1]
    queue.use([1, 0])
    assert list(second.take()) == [1, 0]


def test_the_device_says_whether_it_wants_kicks() -> None:
    """Its flag is read each time."""
    queue = FakeQueue()
    ring = prepared(queue)
    assert ring.wants_kick
    queue.want_kicks(wanted=False)
    assert not ring.wants_kick


def test_a_command_that_comes_back_twice_at_once() -> None:
    """Not counted twice: the run is worthless."""
    queue = FakeQueue()
    ring = prepared(queue)
    give(ring, 0, 1)
    queue.use([0, 0])
    with pytest.raises(StageError, match=r"returned a command twice: heads \[0, 0\]"):
        ring.take()


def test_a_command_that_comes_back_again() -> None:
    """It is not with the device any more."""
    queue = FakeQueue()
    ring = prepared(queue)
    give(ring, 0, 1)
    queue.use([0])
    ring.take()
    queue.use([0])
    with pytest.raises(StageError, match=r"that it did not have: heads \[0\]"):
        ring.take()


def test_a_command_that_nobody_gave() -> None:
    """A head beyond the slots is no index into anything."""
    queue = FakeQueue()
    ring = prepared(queue)
    give(ring, 0)
    queue.use([4], answer=None)
    with pytest.raises(StageError, match="that it did not have"):
        ring.take()


def test_more_commands_than_were_given() -> None:
    """The used index alone may be wrong, too."""
    queue = FakeQueue()
    ring = prepared(queue)
    give(ring, 0)
    queue.use([0, 1])
    with pytest.raises(StageError, match="returned 2 commands and had 1"):
        ring.take()


def test_a_command_without_an_answer() -> None:
    """What stood there before does not count as one."""
    queue = FakeQueue()
    ring = prepared(queue)
    give(ring, 0)
    queue.serve()
    ring.take()
    give(ring, 0)
    queue.use([0], answer=None)
    with pytest.raises(StageError, match="slot 0 without an answer"):
        ring.take()


def test_a_command_that_failed() -> None:
    """The message says how, in the words of SCSI."""
    queue = FakeQueue()
    ring = prepared(queue)
    give(ring, 0, 1)
    queue.use([1])
    queue.use([0], answer=UNIT_ATTENTION)
    with pytest.raises(StageError, match="slot 0 failed: CHECK_CONDITION UNIT_ATTENTION 29/00"):
        ring.take()
    assert ring.in_device == 0
