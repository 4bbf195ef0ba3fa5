"""A hunk and the file it is for to the reason why it does not apply. Pure: lines in, a diagnosis out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.series.diff import Hunk

_SHOWN_CHARS = 100


class Diagnosis(StrEnum):
    """Why a hunk does not apply."""

    ALREADY_APPLIED = "already-applied"
    """The lines it makes are there: its reverse applies."""
    CONTEXT_DRIFTED = "context-drifted"
    """It applies with less context, or but for white space."""
    FILE_RENAMED = "file-renamed"
    FILE_MISSING = "file-missing"
    FILE_EXISTS = "file-exists"
    """It makes a file that is there already, with another content."""
    WRONG_BASE = "wrong-base"
    """The file has another content than the one it was made for, and that content is not in the base's history."""
    CONFLICT = "conflict"
    """The file was changed where it changes it."""
    CORRUPT = "corrupt"
    """The patch is damaged: a hunk is shorter than it says, or holds what cannot be in one."""
    REFUSED = "refused"
    """Every hunk fits, but git refuses the patch all the same; the detail has git's words."""


@dataclass(frozen=True)
class HunkDiagnosis:
    """Why one hunk does not apply.

    :param file: path as the patch has it.
    :param line: line of the file that the hunk is meant for; of the patch where the patch is corrupt.
    :param detail: a sentence for people.
    """

    file: str
    line: int
    diagnosis: Diagnosis
    detail: str


def diagnose_hunk(hunk: Hunk, lines: Sequence[str]) -> tuple[Diagnosis, str] | None:
    """Return why a hunk does not apply to a file's lines, or None where it does, at whatever offset.

    :param lines: of the file, without line ends.
    """
    if hunk.is_cut_off:
        return Diagnosis.CORRUPT, f"the hunk at line {hunk.line} of the patch is not as long as its header says"
    expected = max(hunk.old_start - 1, 0)
    if find(hunk.old_lines, lines, expected) is not None:
        return None
    at = find(hunk.new_lines, lines, max(hunk.new_start - 1, 0))
    if hunk.new_lines and at is not None:
        return Diagnosis.ALREADY_APPLIED, f"the lines it makes are there, at line {at + 1}"
    return (
        _with_less_context(hunk, lines, expected)
        or _but_for_white_space(hunk, lines, expected)
        or _conflict(hunk, lines)
    )


def _with_less_context(hunk: Hunk, lines: Sequence[str], expected: int) -> tuple[Diagnosis, str] | None:
    """Look for the hunk with one line of context after another left out, as ``patch --fuzz`` does; one is kept."""
    before = _context(hunk.lines)
    after = _context(hunk.lines[::-1])
    old = hunk.old_lines
    for less in range(1, max(before, after)):
        head, tail = min(less, before), min(less, after)
        core = old[head : len(old) - tail]
        at = find(core, lines, expected + head)
        if core and at is not None:
            offset = at - head - expected
            where = f"at line {at - head + 1} (offset {offset:+d})" if offset else f"at line {at - head + 1}"
            return Diagnosis.CONTEXT_DRIFTED, f"it applies {where} with {less} line{'s' * (less > 1)} of context less"
    return None


def _context(lines: Sequence[str]) -> int:
    """Return how many lines at the beginning are context."""
    return next((number for number, line in enumerate(lines) if line[:1] != " "), len(lines))


def _but_for_white_space(hunk: Hunk, lines: Sequence[str], expected: int) -> tuple[Diagnosis, str] | None:
    def squeezed(texts: Sequence[str]) -> list[str]:
        return ["".join(text.split()) for text in texts]

    at = find(squeezed(hunk.old_lines), squeezed(lines), expected)
    if at is None:
        return None
    return Diagnosis.CONTEXT_DRIFTED, f"the lines are there but for white space, at line {at + 1}"


def _conflict(hunk: Hunk, lines: Sequence[str]) -> tuple[Diagnosis, str]:
    there = set(lines)
    gone = next((line[1:] for line in hunk.lines if line[:1] == "-" and line[1:] not in there), None)
    if gone is None:
        gone = next((line for line in hunk.old_lines if line not in there), None)
    if gone is None:
        return Diagnosis.CONFLICT, "every line it expects is in the file, but not together"
    return Diagnosis.CONFLICT, f"it expects '{gone.strip()[:_SHOWN_CHARS]}', which is not in the file"


def find(wanted: Sequence[str], lines: Sequence[str], near: int) -> int | None:
    """Return where some lines stand in a file, nearest to an index; nothing wanted is found where it is expected."""
    if not wanted:
        return min(near, len(lines))
    last = len(lines) - len(wanted)
    first = wanted[0]
    hits = (at for at in range(last + 1) if lines[at] == first and list(lines[at : at + len(wanted)]) == list(wanted))
    return min(hits, key=lambda at: abs(at - near), default=None)
