"""The host's time stamp counter to its frequency."""

import mmap
import platform
from collections.abc import Iterator

import pytest

from lab.machine.tsc import frequency_khz, tsc_khz


class Host:
    """A host whose counter runs at 2.6 GHz, and which is interrupted now and then in the middle of a reading."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000
        self._interruptions: Iterator[int] = iter([500_000, 0, 30_000] * 100)

    def clock_ns(self) -> int:
        """A look at the clock takes 40 ns."""
        self.now_ns += 40
        return self.now_ns

    def counter(self) -> int:
        """Sometimes somebody else runs first, and the counter is read late."""
        self.now_ns += next(self._interruptions)
        return self.now_ns * 26 // 10

    def rest(self) -> None:
        """Fifty milliseconds."""
        self.now_ns += 50_000_000


def test_an_interrupted_reading_does_no_harm() -> None:
    """Half a millisecond in fifty would be one per cent; the quickest reading has none of it."""
    host = Host()
    assert frequency_khz(host.counter, clock_ns=host.clock_ns, rest=host.rest) == 2_600_000


def test_this_host_has_a_frequency_a_processor_can_have() -> None:
    """Twice the same, for it becomes part of a command line."""
    if platform.machine() != "x86_64":
        assert tsc_khz() is None
        return
    khz = tsc_khz()
    assert khz is not None and 500_000 <= khz <= 8_000_000 and khz % 100 == 0
    tsc_khz.cache_clear()
    again = tsc_khz()
    assert again is not None and abs(again - khz) <= 1000


def test_a_host_that_is_none_of_ours_has_no_frequency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another processor has another counter, and a hardened host forbids the page."""
    tsc_khz.cache_clear()
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert tsc_khz() is None
    tsc_khz.cache_clear()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    def forbidden(*_words: object, **_more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(mmap, "mmap", forbidden)
    assert tsc_khz() is None
    tsc_khz.cache_clear()
