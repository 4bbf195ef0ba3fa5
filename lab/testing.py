"""Fakes for tests of the lab and of programs that use it. They refuse what they were not told.

A fake that swallows a wrong call lets a test pass that should fail; these raise :class:`AssertionError` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.deadline import Deadline
from lab.errors import GuestError
from lab.machine.guest_shell import GuestShell, ShellResult
from lab.machine.monitor import Monitor
from lab.machine.process import QemuProcess


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


Answer = str | tuple[int, str, str] | BaseException | Callable[[], str]
"""What a command prints, or (exit status, stdout, stderr), or what is raised, or what is called for the output."""


class FakeShell(GuestShell):
    """A shell in a guest that answers from a table, without a connection.

    :param answers: a word of the command to its answer; the first one that the command holds counts.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = dict(answers)
        self.commands: list[str] = []
        self.files: dict[str, bytes] = {}

    def run(self, command: str, *, timeout_s: float, check: bool = True) -> ShellResult:
        """Answer, and remember what was asked; a checked command that fails is an error, as of the real one.

        :raise AssertionError: the table has no answer to this command, or nobody could wait for it.
        :raise GuestError: the command failed, with ``check``.
        """
        if timeout_s <= 0:
            raise AssertionError(f"'{command}' was given no time")
        self.commands.append(command)
        answer = next((answer for word, answer in self.answers.items() if word in command), None)
        if answer is None:
            raise AssertionError(f"the fake shell was not told how to answer '{command}'")
        if isinstance(answer, BaseException):
            raise answer
        said = answer() if callable(answer) else answer
        exited, stdout, stderr = (0, said, "") if isinstance(said, str) else said
        if check and exited != 0:
            raise GuestError(f"'{command}' in the guest failed with exit status {exited}:\n{stderr or stdout}")
        return ShellResult(command, exited, stdout, stderr)

    def put(self, content: bytes, path: str, *, timeout_s: float = 20.0) -> None:  # noqa: ARG002 - the real signature
        """Keep a file."""
        self.files[path] = content

    def close(self) -> None:
        """Do nothing: there is no connection."""


class FakeProcess(QemuProcess):
    """A QEMU that runs until ``exited`` is set; what it says of its end is the real one's words.

    :param log: what it printed.
    :param exited: exit status, negative for a signal.
    """

    def __init__(self, *, log: Path, exited: int | None = None) -> None:
        self.argv = ("qemu-system-x86_64", "-nodefaults")
        self.log = log
        self.exited = exited

    def exit_code(self) -> int | None:
        """Return what was set."""
        return self.exited

    def ended_within(self, seconds: float) -> int | None:  # noqa: ARG002 - part of the signature that is replaced
        """Return what was set; no time passes."""
        return self.exited
