"""PCI configuration space through ports 0xCF8/0xCFC: find functions, walk capabilities, place BARs.

No firmware has run, so nothing is placed and nothing is enabled. Facts: PCI Local Bus Specification 3.0, section
3.2.2.3.2 (configuration mechanism), 6.2.5.1 (BAR sizing), 6.7 (capability list).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from lab.errors import StageError

_ADDRESS_PORT = 0xCF8
_DATA_PORT = 0xCFC
_ENABLE = 1 << 31

_VENDOR_ID = 0x00
_DEVICE_ID = 0x02
_COMMAND = 0x04
_STATUS = 0x06
_HEADER_TYPE = 0x0E
_BAR_0 = 0x10
_CAPABILITIES = 0x34

_COMMAND_IO = 1 << 0
_COMMAND_MEMORY = 1 << 1
_COMMAND_BUS_MASTER = 1 << 2
_STATUS_CAPABILITIES = 1 << 4
_BAR_IS_IO = 1 << 0
_BAR_IS_64_BIT = 1 << 2

_NO_VENDOR = 0xFFFF
_WINDOW_START = 0xE0000000
"""Inside the PCI hole of both PC machines for any RAM up to 2 GiB, below the I/O APIC."""


class RegisterAccess(Protocol):
    """What this layer needs of the one below (lab.virtio.qtest_client)."""

    def port_in(self, port: int, width: int) -> int:
        """Read an I/O port."""

    def port_out(self, port: int, value: int, width: int) -> None:
        """Write an I/O port."""


@dataclass(frozen=True)
class Capability:
    """One entry of a function's capability list.

    :param kind: capability id; 9 is vendor-specific, which virtio uses.
    :param offset: where it begins in configuration space.
    """

    kind: int
    offset: int


class PciFunction:
    """One function on bus 0.

    :param device: 0 to 31.
    :param function: 0 to 7.
    """

    def __init__(self, registers: RegisterAccess, device: int, function: int = 0) -> None:
        self._registers = registers
        self._selector = _ENABLE | device << 11 | function << 8

    def read(self, offset: int, width: int) -> int:
        """Read 1, 2 or 4 bytes of configuration space."""
        self._registers.port_out(_ADDRESS_PORT, self._selector | offset & 0xFC, 4)
        return self._registers.port_in(_DATA_PORT + (offset & 3), width)

    def write(self, offset: int, value: int, width: int) -> None:
        """Write 1, 2 or 4 bytes of configuration space."""
        self._registers.port_out(_ADDRESS_PORT, self._selector | offset & 0xFC, 4)
        self._registers.port_out(_DATA_PORT + (offset & 3), value, width)

    @property
    def ids(self) -> tuple[int, int]:
        """Vendor and device id."""
        return self.read(_VENDOR_ID, 2), self.read(_DEVICE_ID, 2)

    @property
    def has_other_functions(self) -> bool:
        """Whether functions 1 to 7 may exist."""
        return bool(self.read(_HEADER_TYPE, 1) & 0x80)

    def capabilities(self) -> Iterator[Capability]:
        """Walk the capability list; at most 48 entries fit, so a loop ends."""
        if not self.read(_STATUS, 2) & _STATUS_CAPABILITIES:
            return
        offset = self.read(_CAPABILITIES, 1) & 0xFC
        for _ in range(48):
            if offset == 0:
                return
            yield Capability(self.read(offset, 1), offset)
            offset = self.read(offset + 1, 1) & 0xFC

    def place_memory_bars(self, window: BarWindow) -> dict[int, int]:
        """Give every memory BAR an address, let the function decode memory and be bus master.

        :return: address by BAR number.
        """
        addresses: dict[int, int] = {}
        number = 0
        while number < 6:
            register = _BAR_0 + 4 * number
            kind = self.read(register, 4)
            size = self._bar_size(register)
            is_64_bit = not kind & _BAR_IS_IO and bool(kind & _BAR_IS_64_BIT)
            if size and not kind & _BAR_IS_IO:
                addresses[number] = window.take(size)
                self.write(register, addresses[number], 4)
                if is_64_bit:
                    self.write(register + 4, 0, 4)
            number += 2 if is_64_bit else 1
        command = self.read(_COMMAND, 2) & ~_COMMAND_IO
        self.write(_COMMAND, command | _COMMAND_MEMORY | _COMMAND_BUS_MASTER, 2)
        return addresses

    def _bar_size(self, register: int) -> int:
        self.write(register, 0xFFFFFFFF, 4)
        mask = self.read(register, 4)
        flags = 0x3 if mask & _BAR_IS_IO else 0xF
        return -(mask & ~flags) & 0xFFFFFFFF if mask else 0


class BarWindow:
    """Addresses for BARs, each aligned to its size."""

    def __init__(self, start: int = _WINDOW_START) -> None:
        self._next = start

    def take(self, size: int) -> int:
        """Return a free address for ``size`` bytes, a power of two."""
        address = (self._next + size - 1) // size * size
        self._next = address + size
        return address


def find_functions(registers: RegisterAccess, vendor: int, devices: frozenset[int]) -> tuple[PciFunction, ...]:
    """Return the functions on bus 0 with this vendor and one of these device ids, in slot order."""
    found: list[PciFunction] = []
    for slot in range(32):
        first = PciFunction(registers, slot)
        if first.ids[0] == _NO_VENDOR:
            continue
        others = range(1, 8) if first.has_other_functions else ()
        functions = (first, *(PciFunction(registers, slot, number) for number in others))
        found += [function for function in functions if function.ids[0] == vendor and function.ids[1] in devices]
    return tuple(found)


def find_function(registers: RegisterAccess, vendor: int, devices: frozenset[int]) -> PciFunction:
    """Return the first such function.

    :raise StageError: there is none.
    """
    found = find_functions(registers, vendor, devices)
    if not found:
        raise StageError(f"no PCI function {vendor:#06x} with one of these ids: {sorted(map(hex, devices))}")
    return found[0]
