"""Fakes for tests of the lab and of programs that use it. They refuse what they were not told.

A fake that swallows a wrong call lets a test pass that should fail; these raise :class:`AssertionError` instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lab.deadline import Deadline
from lab.machine.monitor import Monitor


class FakeClock:
    """A clock that moves only when somebody sleeps or advances it.

    :param limit_s: where time ends: going past it fails the test, instead of waiting for ever for what never happens.
    """

    def __init__(self, limit_s: float = 3600.0) -> None:
        self._now_s = 0.0
        self._limit_s = limit_s
        self.sleeps_s: list[float] = []

    def now(self) -> float:
        """Return the seconds since the clock was made."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Let time pass.

        :raise AssertionError: backwards, or past the limit.
        """
        if seconds < 0:
            raise AssertionError(f"time does not go back ({seconds:g} s)")
        self._now_s += seconds
        if self._now_s > self._limit_s:
            raise AssertionError(f"the fake clock passed its limit of {self._limit_s:g} s: does this wait ever end?")

    def sleep(self, seconds: float) -> None:
        """Advance, and remember for how long.

        :raise AssertionError: as for :meth:`advance`.
        """
        self.sleeps_s.append(seconds)
        self.advance(seconds)

    def deadline(self, seconds: float) -> Deadline:
        """Return a deadline on this clock, ``seconds`` from now."""
        return Deadline(seconds, clock=self.now, sleep=self.sleep)


@dataclass(frozen=True)
class StageUpdate:
    """One call of ``Stage.update``."""

    done: float
    total: float | None
    note: str
    eta_s: float | None


@dataclass
class RecordedStage:
    """A stage as it was shown.

    :param finished: it ended without an exception.
    """

    title: str
    total: float | None
    updates: list[StageUpdate] = field(default_factory=list)
    open: bool = True
    finished: bool = False

    def update(self, done: float, total: float | None = None, note: str = "", eta_s: float | None = None) -> None:
        """Record how far it is.

        :raise AssertionError: the stage has ended.
        """
        if not self.open:
            raise AssertionError(f"stage '{self.title}' was updated after its end")
        self.updates.append(StageUpdate(done, total, note, eta_s))


class RecordingProgress:
    """A :class:`lab.progress.Progress` that keeps what it was given: ``stages``, as they were opened, and ``lines``."""

    def __init__(self) -> None:
        self.stages: list[RecordedStage] = []
        self.lines: list[str] = []

    @property
    def titles(self) -> list[str]:
        """Return the titles of all stages, in the order of opening."""
        return [stage.title for stage in self.stages]

    def say(self, line: str) -> None:
        """Record one line.

        :raise AssertionError: it is more than one.
        """
        if "\n" in line:
            raise AssertionError(f"'say' takes one line, not {line!r}")
        self.lines.append(line)

    @contextmanager
    def stage(self, title: str, total: float | None = None) -> Iterator[RecordedStage]:
        """Record a stage.

        :raise AssertionError: another is open; a terminal can show one at a time.
        """
        if self.stages and self.stages[-1].open:
            raise AssertionError(f"stage '{title}' was opened inside '{self.stages[-1].title}'")
        stage = RecordedStage(title, total)
        self.stages.append(stage)
        try:
            yield stage
            stage.finished = True
        finally:
            stage.open = False


class FakeMonitor(Monitor):
    """A monitor that answers from a table, without a QEMU.

    :param answers: command name to what it returns; an exception is raised instead.
    """

    def __init__(self, answers: Mapping[str, object]) -> None:
        self._answers = dict(answers)
        self.executed: list[tuple[str, Mapping[str, object] | None]] = []

    def execute(
        self,
        command: str,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout_s: float = 15.0,  # noqa: ARG002 - part of the signature that is replaced
    ) -> Any:
        """Answer, and remember what was asked.

        :raise AssertionError: the table has no answer to this command.
        """
        self.executed.append((command, arguments))
        if command not in self._answers:
            raise AssertionError(f"the fake monitor was not told how to answer {command}")
        answer = self._answers[command]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Do nothing: there is no connection."""
