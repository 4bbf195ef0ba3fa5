"""The guest's clock against the host's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import GuestError
from lab.machine import guest_clock
from lab.machine.command_line import GuestBoot
from lab.machine.guest_clock import ClockReading, boot_with_clock, guest_time_s, rate_between, read_clocks
from lab.testing import FakeShell

SAID = "    time.tv_sec:  1795349783\n    time.tv_usec: 588926\n"


def test_a_guest_that_would_measure_its_clock_is_told_the_frequency(monkeypatch: pytest.MonkeyPatch) -> None:
    """With KVM the host's kernel tells it; where nobody knows the frequency, nothing is said."""
    monkeypatch.setattr(guest_clock, "tsc_khz", lambda: 2600000)
    boot = GuestBoot(Path("vmlinux"), Path("initrd"), "quiet")
    assert boot_with_clock(boot, "tcg").arguments == "quiet tsc_early_khz=2600000"
    assert boot_with_clock(boot, "kvm") == boot
    monkeypatch.setattr(guest_clock, "tsc_khz", lambda: None)
    assert boot_with_clock(boot, "tcg") == boot


def test_the_guest_s_time_is_read_to_the_microsecond() -> None:
    """busybox's adjtimex prints it; its date has seconds only."""
    assert guest_time_s(FakeShell({"adjtimex": SAID})) == pytest.approx(1795349783.588926, abs=1e-6)


def test_a_guest_that_does_not_tell_the_time_is_an_error() -> None:
    """With what it said."""
    with pytest.raises(GuestError, match="no such applet"):
        guest_time_s(FakeShell({"adjtimex": "no such applet"}))


def test_a_reading_knows_how_uncertain_it_is() -> None:
    """The guest was asked at some moment between the two of the host."""
    host: Iterator[float] = iter([10.0, 10.4])
    reading = read_clocks(FakeShell({"adjtimex": SAID}), clock=lambda: next(host))
    assert (reading.host_s, reading.uncertainty_s) == pytest.approx((10.2, 0.2))


def test_a_clock_that_runs_seven_times_too_fast_is_seen() -> None:
    """As Linux's does where its calibration was disturbed."""
    rate = rate_between(ClockReading(100.0, 0.0, 0.1), ClockReading(174.0, 10.0, 0.1))
    assert (rate.rate, rate.uncertainty) == pytest.approx((7.4, 0.02)) and rate.is_off(0.05)


def test_what_the_questions_took_is_no_deviation() -> None:
    """A slow answer makes a rate uncertain, not wrong."""
    rate = rate_between(ClockReading(100.0, 0.0, 0.5), ClockReading(110.6, 10.0, 0.5))
    assert rate.rate == pytest.approx(1.06) and not rate.is_off(0.01)


def test_no_time_between_the_readings_is_refused() -> None:
    """There is no rate."""
    with pytest.raises(ValueError, match="some time between"):
        rate_between(ClockReading(1, 1, 0), ClockReading(1, 1, 0))
