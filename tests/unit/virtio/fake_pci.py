"""A PCI bus in memory: functions with BARs that can be sized and capabilities that can be walked."""

from __future__ import annotations

import struct


class FakeFunction:
    """256 bytes of configuration space.

    :param bar_sizes: size and low flag bits by BAR number; flag 1 is I/O, 4 is 64 bits.
    :param capabilities: kind and the bytes that follow the two of the list.
    """

    def __init__(
        self,
        vendor: int,
        device: int,
        *,
        bar_sizes: dict[int, tuple[int, int]] | None = None,
        capabilities: tuple[tuple[int, bytes], ...] = (),
        multifunction: bool = False,
    ) -> None:
        self.space = bytearray(256)
        struct.pack_into("<HH", self.space, 0, vendor, device)
        self.space[0x0E] = 0x80 if multifunction else 0
        self.bars = bar_sizes or {}
        for number, (_, flags) in self.bars.items():
            self.space[0x10 + 4 * number] = flags
        previous = 0x34
        offset = 0x40
        for kind, body in capabilities:
            self.space[previous] = offset
            self.space[offset] = kind
            self.space[offset + 2 : offset + 2 + len(body)] = body
            previous = offset + 1
            offset += (len(body) + 2 + 3) // 4 * 4
        if capabilities:
            self.space[0x06] = 0x10

    def write(self, offset: int, value: int, width: int) -> None:
        """Store, keeping the read-only bits of a BAR."""
        number = (offset - 0x10) // 4
        if number in self.bars and offset == 0x10 + 4 * number:
            size, flags = self.bars[number]
            value = value & ~(size - 1) & 0xFFFFFFFF | flags
        elif 0x10 <= offset < 0x28 and not self.bars.get(number - 1, (0, 0))[1] & 4:
            value = 0  # neither a BAR nor the upper half of one: reads as zero
        self.space[offset : offset + width] = value.to_bytes(width, "little")


class FakePci:
    """The two ports, with functions by (device, function)."""

    def __init__(self, functions: dict[tuple[int, int], FakeFunction]) -> None:
        self.functions = functions
        self._selector = 0

    def _selected(self, port: int) -> tuple[FakeFunction | None, int]:
        assert self._selector & 0x80000000, "the configuration mechanism is off"
        place = self._selector >> 11 & 31, self._selector >> 8 & 7
        return self.functions.get(place), (self._selector & 0xFC) + port - 0xCFC

    def port_in(self, port: int, width: int) -> int:
        """Read configuration space; all ones where nothing is."""
        function, offset = self._selected(port)
        if function is None:
            return (1 << 8 * width) - 1
        return int.from_bytes(function.space[offset : offset + width], "little")

    def port_out(self, port: int, value: int, width: int) -> None:
        """Select an address, or write configuration space."""
        if port == 0xCF8:
            self._selector = value
            return
        function, offset = self._selected(port)
        assert function is not None, "a write to nothing"
        function.write(offset, value, width)
