"""The guest's clock against the host's: how long a second of the guest is.

fio counts by the guest's clock. Linux measures the frequency of its time stamp counter while it boots, and on a busy
host without KVM it measures wrong: guests have been seen whose clocks ran 7.4 and 1.11 times as fast as the host's, so
that their IOPS were too low by as much. So such a guest is told the frequency (``tsc_early_khz``, in the kernel's
list of parameters), and both clocks are read before and after the workload, for nothing else would show a wrong one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.errors import GuestError
from lab.machine.command_line import GuestBoot
from lab.machine.guest_shell import GuestShell
from lab.machine.tsc import tsc_khz

_ASK_S = 30.0


@dataclass(frozen=True)
class ClockReading:
    """Both clocks at one moment.

    :param guest_s: Unix time of the guest.
    :param host_s: monotonic clock of the host, in the middle of the question.
    :param uncertainty_s: half of what the question took.
    """

    guest_s: float
    host_s: float
    uncertainty_s: float


@dataclass(frozen=True)
class ClockRate:
    """How fast the guest's clock ran.

    :param rate: guest seconds per host second.
    :param uncertainty: of the rate: how far off it may be because the questions took time.
    """

    rate: float
    uncertainty: float

    def is_off(self, limit: float) -> bool:
        """Tell whether the rate is certain to differ from 1 by more than the limit."""
        return abs(self.rate - 1) - self.uncertainty > limit


def boot_with_clock(boot: GuestBoot, accelerator: str) -> GuestBoot:
    """Return the boot of a guest that is told how fast its clock runs, where it would have to measure that itself."""
    khz = tsc_khz() if accelerator == "tcg" else None
    return boot if khz is None else replace(boot, arguments=f"{boot.arguments} tsc_early_khz={khz}")


def guest_time_s(shell: GuestShell) -> float:
    """Return the guest's Unix time in seconds, to the microsecond.

    busybox's ``date`` knows seconds only; its ``adjtimex`` prints the time that adjtimex(2) returns.

    :raise GuestError: the guest does not say.
    :raise DeadlineError: it does not answer.
    """
    said = shell.run("adjtimex", timeout_s=_ASK_S).stdout
    seconds, micros = (re.search(rf"time\.tv_{unit}:\s+(\d+)", said) for unit in ("sec", "usec"))
    if seconds is None or micros is None:
        raise GuestError(f"adjtimex in the guest does not tell the time:\n{said[:300]}")
    return int(seconds[1]) + int(micros[1]) / 1e6


def read_clocks(shell: GuestShell, *, clock: Callable[[], float] = time.monotonic) -> ClockReading:
    """Read both clocks.

    :raise GuestError: the guest does not say.
    :raise DeadlineError: it does not answer.
    """
    before_s = clock()
    guest_s = guest_time_s(shell)
    after_s = clock()
    return ClockReading(guest_s, (before_s + after_s) / 2, (after_s - before_s) / 2)


def rate_between(first: ClockReading, last: ClockReading) -> ClockRate:
    """Return how fast the guest's clock ran between two readings.

    :raise ValueError: no time passed.
    """
    host_s = last.host_s - first.host_s
    if host_s <= 0:
        raise ValueError("two readings of the clocks take some time between them")
    return ClockRate((last.guest_s - first.guest_s) / host_s, (first.uncertainty_s + last.uncertainty_s) / host_s)
