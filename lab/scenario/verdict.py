"""What ended a scenario to a verdict: passed, failed, or undecided. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import BootError, CrashError, DeadlineError, GuestError, MonitorError, StageError
from lab.machine.guest_clock import ClockRate
from lab.scenario.load import StuckError
from lab.scenario.service import Mark, Reading, ServiceGap, Wait, gaps_of
from lab.virtio.verdict import Verdict

WRONG_CLOCK = 0.05
"""By how much the guest's clock may be off before what is counted by it is not reported."""
_TOO_SLOW_FOR_FIO = "exceeds specified max"
"""fio on a request that took longer than ``max_latency``, by the guest's clock."""


@dataclass
class Seen:
    """What has been found out so far; kept apart so that a scenario that failed keeps it.

    :param seconds: what the scenario took of the host's time, without the pauses in which the load was left alone.
    :param paused_s: how long the guest was stopped.
    :param clock: how fast the guest's clock ran; None where nothing was disturbed.
    :param complaint: what the guest's kernel said on its console when something went wrong; often nothing.
    :param fault: how the machine hangs, or what its guest's kernel ended with; None where it may be slow only.
    """

    completed: int = 0
    trace: tuple[Reading, ...] = ()
    waits: tuple[Wait, ...] = ()
    marks: Sequence[Mark] = ()
    seconds: float = 0.0
    paused_s: float = 0.0
    clock: ClockRate | None = None
    fault: str | None = None
    complaint: str = ""

    @property
    def clock_is_wrong(self) -> bool:
        """Tell whether a second of the guest was none."""
        return self.clock is not None and self.clock.is_off(WRONG_CLOCK)

    def gaps(self) -> tuple[ServiceGap, ...]:
        """Return what each disturbance did; nothing where the clock that all of it is counted by was wrong."""
        return () if self.clock_is_wrong else gaps_of(self.trace, self.marks, self.waits)

    def judge(self, err: StageError) -> tuple[Verdict, str]:
        """Return verdict and reason for what ended a scenario."""
        verdict, reason = self._judge(err)
        more = self.complaint and self.complaint not in reason
        return verdict, f"{reason}; the guest's kernel complained: {self.complaint}" if more else reason

    def _judge(self, err: StageError) -> tuple[Verdict, str]:
        if isinstance(err, BootError):
            return Verdict.UNDECIDED, err.message
        if isinstance(err, DeadlineError | GuestError | MonitorError | StuckError) and not isinstance(err, CrashError):
            return (Verdict.FAILED, f"{self.fault}: {err.message}") if self.fault else (Verdict.UNDECIDED, err.message)
        if _TOO_SLOW_FOR_FIO in err.message and self.clock_is_wrong:
            return Verdict.UNDECIDED, f"a request was late by a clock of the guest that was wrong: {err.message}"
        return Verdict.FAILED, err.message
