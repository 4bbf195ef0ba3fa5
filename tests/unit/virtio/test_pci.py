import pytest

from lab.errors import StageError
from lab.virtio.pci import BarWindow, Capability, PciFunction, find_function, find_functions
from tests.unit.virtio.fake_pci import FakeFunction, FakePci


def test_functions_are_found_by_their_ids() -> None:
    """Slots and, on multifunction devices, all functions are looked at, in order."""
    pci = FakePci(
        {
            (0, 0): FakeFunction(0x8086, 0x1237),
            (1, 0): FakeFunction(0x8086, 0x7000, multifunction=True),
            (1, 3): FakeFunction(0x1AF4, 0x1048),
            (4, 0): FakeFunction(0x1AF4, 0x1041),
            (5, 0): FakeFunction(0x1AF4, 0x1048),
        }
    )
    assert len(find_functions(pci, 0x1AF4, frozenset({0x1048}))) == 2
    assert find_function(pci, 0x8086, frozenset({0x7000})).has_other_functions


def test_nothing_found_says_what_was_looked_for() -> None:
    """The error names the ids."""
    with pytest.raises(StageError, match="0x1af4 with one of these ids"):
        find_function(FakePci({}), 0x1AF4, frozenset({0x1048}))


def test_bars_are_placed_aligned_and_decoded() -> None:
    """Memory BARs get addresses of their own, I/O BARs none; memory and bus mastering are switched on."""
    function = FakeFunction(1, 2, bar_sizes={0: (32, 1), 1: (4096, 0), 4: (0x4000, 0xC)})
    function.space[0x04] = 1
    addresses = PciFunction(FakePci({(3, 0): function}), 3).place_memory_bars(BarWindow(0xE0000100))
    assert addresses == {1: 0xE0001000, 4: 0xE0004000}
    assert function.space[0x20:0x28] == bytes((0x0C, 0x40, 0x00, 0xE0, 0, 0, 0, 0))
    assert function.space[0x04] == 0b110


def test_capabilities_are_walked_in_order() -> None:
    """Each entry names its kind and its place."""
    function = FakeFunction(1, 2, capabilities=((9, b"12345"), (0x11, b"")))
    found = list(PciFunction(FakePci({(0, 0): function}), 0).capabilities())
    assert found == [Capability(9, 0x40), Capability(0x11, 0x48)]


def test_a_looped_capability_list_ends() -> None:
    """A device that links its list to itself does not hold the driver for ever."""
    function = FakeFunction(1, 2, capabilities=((9, b""),))
    function.space[0x41] = 0x40
    assert len(list(PciFunction(FakePci({(0, 0): function}), 0).capabilities())) == 48


def test_no_capability_list() -> None:
    """Without the status bit, the pointer is not followed."""
    function = FakeFunction(1, 2, capabilities=((9, b""),))
    function.space[0x06] = 0
    assert list(PciFunction(FakePci({(0, 0): function}), 0).capabilities()) == []
