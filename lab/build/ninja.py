"""A line of ninja's output to how far it is. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STEP = re.compile(r"^\[(\d+)/(\d+)\] (\S.*)$")


@dataclass(frozen=True)
class NinjaStep:
    """One line ``[done/total] what``; done is 0 while ninja makes its own file again."""

    done: int
    total: int
    what: str

    def eta_s(self, elapsed_s: float) -> float | None:
        """Return the seconds to go in proportion to those so far, or None where nothing is done yet."""
        return elapsed_s * (self.total - self.done) / self.done if self.done else None


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
