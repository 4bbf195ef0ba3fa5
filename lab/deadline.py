"""Waiting: a point in time after which we stop hoping. The only module that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lab.errors import DeadlineError

T = TypeVar("T")


class Deadline:
    """A moment on the monotonic clock.

    A deadline is made once and handed down, so that the steps of a task share one budget.

    :param seconds: time from now, in seconds.
    """

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self.seconds = seconds
        self._start = clock()

    def elapsed_s(self) -> float:
        """Return the seconds since this deadline was made."""
        return self._clock() - self._start

    def remaining_s(self) -> float:
        """Return the seconds left, never below zero."""
        return max(0.0, self.seconds - self.elapsed_s())

    def passed(self) -> bool:
        """Tell whether the moment is over."""
        return self.elapsed_s() >= self.seconds

    def rest(self) -> None:
        """Sleep until the moment has passed: for what has to go on for a while without being looked at."""
        while not self.passed():
            self._sleep(max(self.remaining_s(), 0.001))

    def wait_for(self, what: str, check: Callable[[], T | None], *, interval_s: float = 0.02) -> T:
        """Call ``check`` until it returns something other than None.

        The check is tried once more after the deadline: a thing that is there when we look is not late because
        this process was not scheduled.

        :param what: finishes the sentence "waited for ...", for the error.
        :raise DeadlineError: the check still returned None at the deadline.
        """
        begun_s = self.elapsed_s()
        while True:
            over = self.passed()
            found = check()
            if found is not None:
                return found
            if over:
                waited_s = self.elapsed_s() - begun_s
                budget = "" if waited_s >= 0.9 * self.seconds else f" (all that was left of {self.seconds:g} s)"
                raise DeadlineError(f"waited {waited_s:.3g} s for {what}{budget}, and it did not happen")
            self._sleep(min(interval_s, max(self.remaining_s(), 0.001)))
