"""What ended a scenario to a verdict."""

import pytest

from lab.errors import BootError, CrashError, DeadlineError, StageError, WorkloadError
from lab.machine.guest_clock import ClockRate
from lab.scenario.load import StuckError
from lab.scenario.service import Mark, Reading
from lab.scenario.stage import ScenarioError
from lab.scenario.verdict import Seen
from lab.virtio.verdict import Verdict

LATE = WorkloadError(
    "fio lost data, or a request failed: fio: latency of 61000 msec exceeds specified max (60000 msec)"
)
WRONG = ClockRate(7.4, 0.02)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ScenarioError("no"), Verdict.FAILED),
        (CrashError("no"), Verdict.FAILED),
        (WorkloadError("no"), Verdict.FAILED),
        (LATE, Verdict.FAILED),
        (BootError("no"), Verdict.UNDECIDED),
        (DeadlineError("no"), Verdict.UNDECIDED),
        (StuckError("no"), Verdict.UNDECIDED),
    ],
)
def test_silence_alone_decides_nothing(error: StageError, verdict: Verdict) -> None:
    """Everything else is the machine's doing."""
    assert Seen().judge(error) == (verdict, error.message)


@pytest.mark.parametrize("error", [DeadlineError("no"), StuckError("no")])
def test_a_fault_is_a_failure(error: StageError) -> None:
    """And is told first."""
    assert Seen(fault="QEMU sleeps").judge(error) == (Verdict.FAILED, "QEMU sleeps: no")


def test_what_the_kernel_complained_of_is_told_beside_the_reason() -> None:
    """Once: fio says that a request failed, the kernel which one."""
    seen = Seen(complaint="I/O error, dev sda, sector 40784")
    verdict, reason = seen.judge(WorkloadError("a request failed"))
    assert verdict is Verdict.FAILED
    assert reason == "a request failed; the guest's kernel complained: I/O error, dev sda, sector 40784"
    again = "the guest's kernel complained: I/O error, dev sda, sector 40784"
    assert seen.judge(ScenarioError(again)) == (Verdict.FAILED, again)


def test_a_request_that_is_late_by_a_wrong_clock_is_no_failure() -> None:
    """A guest has been seen whose minute took eight seconds."""
    verdict, reason = Seen(clock=WRONG).judge(LATE)
    assert verdict is Verdict.UNDECIDED and "a clock of the guest that was wrong" in reason


def test_a_wrong_clock_leaves_no_gaps() -> None:
    """One that may be right, as far as the readings tell, does."""
    trace = tuple(Reading(number / 10, 100.0) for number in range(1, 30))
    seen = Seen(trace=trace, marks=(Mark("m", 1.5),), clock=ClockRate(1.08, 0.05))
    assert len(seen.gaps()) == 1
    seen.clock = WRONG
    assert seen.gaps() == ()
