from __future__ import annotations

import time

import pytest

from lab.deadline import Deadline
from lab.errors import DeadlineError
from lab.testing import FakeClock


def test_time_runs_down() -> None:
    """Elapsed and remaining time add up to the deadline until it has passed."""
    clock = FakeClock()
    deadline = clock.deadline(10)
    clock.advance(4)
    assert (deadline.elapsed_s(), deadline.remaining_s(), deadline.passed()) == (4, 6, False)


def test_remaining_time_is_never_negative() -> None:
    """Long after the deadline nothing remains, rather than less than nothing."""
    clock = FakeClock()
    deadline = clock.deadline(10)
    clock.advance(25)
    assert (deadline.remaining_s(), deadline.passed()) == (0, True)


def test_deadline_has_passed_at_its_very_moment() -> None:
    """A deadline of no time at all has passed when it is made."""
    assert FakeClock().deadline(0).passed()


def test_wait_returns_what_the_check_found() -> None:
    """Waiting ends with the first answer that is not None, even one that is false."""
    answers = iter([None, None, 0])
    clock = FakeClock()
    assert clock.deadline(10).wait_for("a number", lambda: next(answers)) == 0
    assert clock.sleeps_s == [0.02, 0.02]


def test_wait_sleeps_as_long_as_asked() -> None:
    """The interval between two checks is the caller's, shortened where the deadline is nearer."""
    clock = FakeClock()
    with pytest.raises(DeadlineError):
        clock.deadline(2.5).wait_for("nothing", lambda: None, interval_s=1)
    assert clock.sleeps_s == [1, 1, 0.5]


def test_wait_gives_up_at_the_deadline() -> None:
    """Waiting for what never comes ends at the deadline and says for what and how long."""
    clock = FakeClock()
    with pytest.raises(DeadlineError, match="waited 3 s for the guest, and it did not happen"):
        clock.deadline(3).wait_for("the guest", lambda: None)
    assert clock.now() == pytest.approx(3, abs=0.01)


def test_wait_says_what_was_left_of_a_shared_budget() -> None:
    """The message does not blame a step for the time that earlier steps took from the same deadline."""
    clock = FakeClock()
    deadline = clock.deadline(30)
    clock.advance(28)
    with pytest.raises(DeadlineError, match=r"waited 2 s for ssh \(all that was left of 30 s\)"):
        deadline.wait_for("ssh", lambda: None)


def test_late_is_not_never() -> None:
    """A thing that is there when we look is found, even if we look only after the deadline."""
    clock = FakeClock()
    deadline = clock.deadline(1)
    clock.advance(100)
    assert deadline.wait_for("the thing", lambda: "there") == "there"


def test_slow_check_gets_one_more_chance() -> None:
    """A check that outlasts the deadline is asked once more, because what it saw first may be old."""
    clock = FakeClock()
    answers = iter([None, "there"])

    def slow() -> str | None:
        clock.advance(5)
        return next(answers)

    assert clock.deadline(1).wait_for("the thing", slow) == "there"


def test_real_clock_is_monotonic_time() -> None:
    """Without a clock of the caller's, time is the monotonic clock."""
    before = time.monotonic()
    deadline = Deadline(60)
    assert 0 <= deadline.elapsed_s() <= time.monotonic() - before
