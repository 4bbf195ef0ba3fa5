"""A line of ninja's output to how far it is. Pure."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

_STEP = re.compile(r"^\[(\d+)/(\d+)\] (\S.*)$")


@dataclass(frozen=True)
class NinjaStep:
    """One line ``[done/total] what``; done is 0 while ninja makes its own file again."""

    done: int
    total: int
    what: str


class Pace:
    """What ninja said so far, to the time left.

    A build of QEMU begins with hundreds of small generated files, so steps and time are in no proportion over the
    whole: the later half of the time counts.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque([(0.0, 0)])

    def eta_s(self, step: NinjaStep, elapsed_s: float) -> float | None:
        """Return the seconds to go at the pace of the later half of those so far, or None where nothing is done yet."""
        self._seen.append((elapsed_s, step.done))
        while len(self._seen) > 2 and self._seen[1][0] <= elapsed_s / 2:
            self._seen.popleft()
        then_s, then = self._seen[0]
        return (elapsed_s - then_s) * (step.total - step.done) / (step.done - then) if step.done > then else None


def step_from_line(line: str) -> NinjaStep | None:
    """Return the step that a line reports, or None where it is something else (a warning, say)."""
    match = _STEP.match(line)
    return NinjaStep(int(match.group(1)), int(match.group(2)), _short(match.group(3))) if match else None


def _short(what: str) -> str:
    """Return the name of the file a step makes, without the folders that meson puts before it."""
    words = what.split()
    # "Compiling C object a/b.c.o", "Linking target x", but "Generating x with a custom command (...)".
    name = words[1] if words[0] == "Generating" and len(words) > 1 else words[-1]
    return name.rsplit("/", 1)[-1]
