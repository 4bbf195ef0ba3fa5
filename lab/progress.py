"""Progress on stderr: a live line on a terminal, plain lines elsewhere.

Whatever takes more than two seconds opens a :class:`Stage`. Stages nest only by being opened one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from lab.units import text_from_seconds

_PLAIN_INTERVAL_S = 10.0
_MOST_SHOWN = 300
_BIDI_AND_BREAKS = (0x061C, 0x200E, 0x200F, 0x2028, 0x2029)
"""Single characters that change the direction of a line or break it without being control characters."""


class Stage(Protocol):
    """One step that is under way."""

    def update(self, done: float, total: float | None = None, note: str = "", eta_s: float | None = None) -> None:
        """Say how far it is.

        :param done: in any unit, the same as ``total``.
        :param total: None where nobody knows.
        :param note: what is being done, a few words.
        :param eta_s: seconds to go where the caller knows better than a proportion.
        """


class Progress(Protocol):
    """Where progress is shown."""

    def stage(self, title: str, total: float | None = None) -> AbstractContextManager[Stage]:
        """Open a stage, used as a context manager."""
        ...

    def say(self, line: str) -> None:
        """Print one finished line that stays."""


class SilentProgress:
    """Shows nothing: for tests, for ``--quiet`` and for library use."""

    @contextmanager
    def stage(self, title: str, total: float | None = None) -> Iterator[Stage]:  # noqa: ARG002
        """Open a stage that shows nothing."""
        yield _SilentStage()

    def say(self, line: str) -> None:
        """Say nothing."""


class _SilentStage:
    def update(self, done: float, total: float | None = None, note: str = "", eta_s: float | None = None) -> None:
        pass


class TerminalProgress:
    """A live line with a bar and the time left on a terminal; a plain line every ten seconds elsewhere."""

    def __init__(self, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._clock = clock

    def say(self, line: str) -> None:
        """Print one line that stays, its control characters made visible."""
        self._console.print(printable(line), soft_wrap=True)

    @contextmanager
    def stage(self, title: str, total: float | None = None) -> Iterator[Stage]:
        """Show a stage until the block ends, then leave one line with its duration."""
        start = self._clock()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            with RichProgress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[note]}", markup=False),
                TimeElapsedColumn(),
                TextColumn("{task.fields[eta]}", markup=False),
                console=self._console,
                transient=True,
            ) as bars:
                task = bars.add_task(printable(title), total=total, note="", eta="")
                yield _LiveStage(bars, task, total, self._clock)
        else:
            self.say(f"{title} ...")
            yield _PlainStage(self, title, total, self._clock)
        self.say(f"{title}: done in {text_from_seconds(self._clock() - start)}")


def _eta_text(done: float, total: float | None, elapsed: float, eta_s: float | None) -> str:
    if eta_s is None and total and done > 0:
        eta_s = elapsed * (total - done) / done
    return "" if eta_s is None else f"{text_from_seconds(max(0.0, eta_s))} left"


class _LiveStage:
    def __init__(self, bars: RichProgress, task: TaskID, total: float | None, clock: Callable[[], float]) -> None:
        self._bars, self._task, self._total, self._clock, self._start = bars, task, total, clock, clock()

    def update(self, done: float, total: float | None = None, note: str = "", eta_s: float | None = None) -> None:
        self._total = total if total is not None else self._total
        eta = _eta_text(done, self._total, self._clock() - self._start, eta_s)
        self._bars.update(self._task, completed=done, total=self._total, note=printable(note), eta=eta)


class _PlainStage:
    def __init__(self, progress: TerminalProgress, title: str, total: float | None, clock: Callable[[], float]) -> None:
        self._progress, self._title, self._total, self._clock = progress, title, total, clock
        self._start = self._last = clock()

    def update(self, done: float, total: float | None = None, note: str = "", eta_s: float | None = None) -> None:
        now = self._clock()
        self._total = total if total is not None else self._total
        if now - self._last < _PLAIN_INTERVAL_S:
            return
        self._last = now
        share = f" {100 * done / self._total:.0f} %" if self._total else ""
        eta = _eta_text(done, self._total, now - self._start, eta_s)
        parts = [part for part in (note, eta) if part]
        self._progress.say(f"{self._title}:{share}{' ' if parts else ''}{', '.join(parts)}")


def printable(text: str) -> str:
    """Return the text with every control character shown as an escape, so that foreign text cannot drive a terminal.

    Tabs and newlines stay; bidirectional overrides, which can hide what a line says, are shown too.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text  # a long table, at once
    return "".join(char if char in "\n\t" or _is_harmless(char) else ascii(char)[1:-1] for char in text)


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a line takes: Chinese characters take two each, combining accents none."""
    return len(text) if text.isascii() else cell_len(text)


def shortened(text: str) -> str:
    """Return a foreign text that is meant to be one line, such as a Subject, cut where no honest one would go on."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}... ({len(text)} characters)"


def headline(text: str) -> str:
    """Return the first line of a reason, together with the second where the first only announces it: "...:"."""
    lines = text.splitlines() or [""]
    return " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])


def _is_harmless(char: str) -> bool:
    code = ord(char)
    if code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000:
        return False
    return not (0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069 or code in _BIDI_AND_BREAKS)
