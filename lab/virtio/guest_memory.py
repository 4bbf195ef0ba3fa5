"""Guest RAM as a memfd: QEMU maps it through an inherited descriptor, Python maps the same pages.

Nothing is copied and nothing is on disk, so a descriptor ring is written by storing into it. Rings need loads and
stores of whole 16-bit words, which ``struct.pack_into`` does not promise; typed memory views do. The order of stores
as seen by QEMU is that of x86 (total store order); Python offers no barrier for weaker machines.
"""

from __future__ import annotations

import mmap
import os

from lab.errors import InputError

_FIRST_FREE_ADDRESS = 0x100000
"""Below 1 MiB a PC has holes for video memory and firmware."""


class GuestMemory:
    """RAM from guest-physical address 0, with a bump allocator.

    :param size_mib: at most 2048, so that guest-physical addresses are offsets into the memfd (a PC moves RAM
        above its PCI hole to 4 GiB).
    :raise InputError: the size is out of range.
    """

    def __init__(self, size_mib: int) -> None:
        if not 2 <= size_mib <= 2048:
            raise InputError(f"{size_mib} MiB of guest memory were asked for", remedy="ask for 2 to 2048 MiB")
        self.size = size_mib << 20
        self.fd = os.memfd_create("lab-guest-memory", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, self.size)
        self._map = mmap.mmap(self.fd, self.size)
        self._bytes = memoryview(self._map)
        self._words16 = self._bytes.cast("H")
        self._words32 = self._bytes.cast("I")
        self._words64 = self._bytes.cast("Q")
        self._next = _FIRST_FREE_ADDRESS

    def allocate(self, size: int, *, align: int = 16) -> int:
        """Return the guest-physical address of ``size`` zeroed bytes.

        :raise InputError: the memory is used up.
        """
        address = (self._next + align - 1) // align * align
        if address + size > self.size:
            raise InputError(
                f"guest memory of {self.size >> 20} MiB is used up", remedy="give the machine more, or reset the device"
            )
        self._next = address + size
        self._bytes[address : address + size] = bytes(size)
        return address

    def free_all(self) -> None:
        """Forget every allocation; only while no device holds an address (after a device reset)."""
        self._next = _FIRST_FREE_ADDRESS

    def read(self, address: int, size: int) -> bytes:
        """Return a copy of ``size`` bytes."""
        return bytes(self._bytes[address : address + size])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes."""
        self._bytes[address : address + len(data)] = data

    def load16(self, address: int) -> int:
        """Load an aligned little-endian word of 16 bits in one access."""
        return self._words16[address >> 1]

    def store16(self, address: int, value: int) -> None:
        """Store an aligned little-endian word of 16 bits in one access."""
        self._words16[address >> 1] = value

    def load32(self, address: int) -> int:
        """Load an aligned little-endian word of 32 bits in one access."""
        return self._words32[address >> 2]

    def store32(self, address: int, value: int) -> None:
        """Store an aligned little-endian word of 32 bits in one access."""
        self._words32[address >> 2] = value

    def store64(self, address: int, value: int) -> None:
        """Store an aligned little-endian word of 64 bits in one access."""
        self._words64[address >> 3] = value

    def close(self) -> None:
        """Unmap and close; a second call does nothing."""
        if self._map.closed:
            return
        for view in (self._words64, self._words32, self._words16, self._bytes):
            view.release()
        self._map.close()
        os.close(self.fd)
