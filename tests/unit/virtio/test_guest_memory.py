import os

import pytest

from lab.errors import InputError
from lab.virtio.guest_memory import GuestMemory


@pytest.fixture
def memory() -> GuestMemory:
    """Return 2 MiB of guest memory."""
    return GuestMemory(2)


def test_allocations_are_aligned_zeroed_and_apart(memory: GuestMemory) -> None:
    """Every allocation begins where it should, holds zeros and overlaps no other."""
    first = memory.allocate(3)
    memory.write(first, b"abc")
    second = memory.allocate(100, align=64)
    assert first >= 0x100000 and second % 64 == 0 and second >= first + 3
    assert memory.read(second, 100) == bytes(100)


def test_freed_memory_is_zeroed_again(memory: GuestMemory) -> None:
    """After everything was freed, the same addresses come back, and empty."""
    first = memory.allocate(4)
    memory.write(first, b"left")
    memory.free_all()
    assert memory.allocate(4) == first and memory.read(first, 4) == bytes(4)


def test_words_are_little_endian(memory: GuestMemory) -> None:
    """A word stored is found as bytes, lowest first, and the other way round."""
    address = memory.allocate(16)
    memory.store16(address, 0x0201)
    memory.store32(address + 4, 0x06050403)
    memory.store64(address + 8, 0x1122334455667788)
    assert memory.read(address, 8) == bytes((1, 2, 0, 0, 3, 4, 5, 6))
    assert memory.read(address + 8, 8)[0] == 0x88
    assert (memory.load16(address), memory.load32(address + 4)) == (0x0201, 0x06050403)


def test_the_descriptor_shows_the_same_memory(memory: GuestMemory) -> None:
    """What is written here is what another process finds in the memfd."""
    address = memory.allocate(4)
    memory.write(address, b"qemu")
    assert os.pread(memory.fd, 4, address) == b"qemu"


def test_memory_runs_out(memory: GuestMemory) -> None:
    """Asking for more than there is says what to do."""
    with pytest.raises(InputError, match="used up"):
        memory.allocate(2 << 20)


@pytest.mark.parametrize("size_mib", [0, 1, 2049])
def test_sizes_that_a_pc_moves_are_refused(size_mib: int) -> None:
    """Memory that would not be at offset = address is refused."""
    with pytest.raises(InputError, match="were asked for"):
        GuestMemory(size_mib)


def test_closing_twice_is_harmless(memory: GuestMemory) -> None:
    """Closing gives the descriptor back once."""
    memory.close()
    memory.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(memory.fd)
