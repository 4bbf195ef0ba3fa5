import pytest

from lab.errors import StageError
from lab.virtio.guest_memory import GuestMemory
from lab.virtio.virtqueue import Buffer, Used, Virtqueue, buffer_with
from tests.unit.virtio.fake_device import FakeDevice, Ring


class Rig:
    """A virtqueue of four descriptors, and the device's end of it."""

    def __init__(self) -> None:
        self.memory = GuestMemory(2)
        self.kicks = 0
        self.queue = Virtqueue(self.memory, 4, self.count)
        self.device = FakeDevice(self.memory)
        addresses = {32: self.queue.descriptors, 40: self.queue.available, 48: self.queue.used}
        self.device.rings[0] = Ring(4, addresses, enabled=True)

    def count(self) -> None:
        """Take a kick."""
        self.kicks += 1

    def buffer(self, data: bytes) -> Buffer:
        """Return a buffer that holds these bytes."""
        return buffer_with(self.memory, data)


@pytest.fixture
def rig() -> Rig:
    """Return a fresh virtqueue."""
    return Rig()


def test_a_chain_reaches_the_device_and_comes_back(rig: Rig) -> None:
    """Readable buffers come first, writable ones after them, and the used element names the head."""
    answer = rig.buffer(bytes(8))
    head = rig.queue.add((rig.buffer(b"question"), rig.buffer(b"more")), (answer,))
    assert rig.device.take(0) == (head, [b"question", b"more"], [(answer.address, 8)])
    assert rig.queue.take_used() == [] and rig.queue.in_device == 1
    rig.device.give_back(0, head, written=3)
    assert rig.queue.take_used() == [Used(head, 3, known=True)]
    assert rig.queue.in_device == 0


def test_nothing_is_kicked_unasked(rig: Rig) -> None:
    """Adding does not notify; kicking does. Interrupts are off."""
    rig.queue.add((rig.buffer(b"x"),), ())
    assert rig.kicks == 0 and rig.memory.load16(rig.queue.available) == 1
    rig.queue.kick()
    assert rig.kicks == 1


def test_indices_wrap(rig: Rig) -> None:
    """After 65536 chains the indices begin again, and nothing is lost."""
    rig.queue._available_index = rig.queue._seen_index = 0xFFFE
    rig.device.rings[0].taken = rig.device.rings[0].used = 0xFFFE
    for index in (rig.queue.available + 2, rig.queue.used + 2):
        rig.memory.store16(index, 0xFFFE)
    buffer = rig.buffer(b"x")
    for _ in range(4):
        head = rig.queue.add((buffer,), ())
        chain = rig.device.take(0)
        assert chain is not None and chain[0] == head
        rig.device.give_back(0, head)
        assert [used.head for used in rig.queue.take_used()] == [head]
    assert rig.device.rings[0].taken == 2


def test_descriptors_come_back_in_turn(rig: Rig) -> None:
    """A head is not used again while another one is free, so that a late duplicate is not taken for something new."""
    first = rig.queue.add((rig.buffer(b"x"),), ())
    rig.device.give_back(0, first)
    rig.queue.take_used()
    assert rig.queue.add((rig.buffer(b"y"),), ()) != first


def test_what_comes_back_twice_is_told(rig: Rig) -> None:
    """A chain that the device does not have is marked, and its descriptors are not freed again."""
    head = rig.queue.add((rig.buffer(b"x"),), ())
    rig.device.give_back(0, head)
    rig.device.give_back(0, head)
    rig.device.give_back(0, 77)
    assert [used.known for used in rig.queue.take_used()] == [True, False, False]
    for _ in range(4):
        rig.queue.add((rig.buffer(b"y"),), ())
    with pytest.raises(StageError, match="0 free descriptors and 1 are needed"):
        rig.queue.add((rig.buffer(b"z"),), ())
