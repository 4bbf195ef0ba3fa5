"""The command of an experiment to the commands that bring a single cell of it back: pure text, nothing is run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from lab.analysis.question import Question
from lab.record import Cell

_KEPT = ("--tree", "--base", "--series", "--range", "--revision", "--accelerator")
"""Options of ``lab run`` that say what is started; the others say how an experiment is conducted."""

_FLAGS = ("--json", "--quiet")
_VERBS_WITH_JOB = ("run",)
_VERBS_WITH_CELL = ("shell", "command-line")


def commands_for_cell(question: Question, cell: Cell) -> tuple[str, ...]:
    """Return what to type to get one cell again, with the arguments of the experiment; nothing where nobody knows them.

    The first boots it and gives a shell in its guest, the second prints the command line of its QEMU.
    """
    words = words_of_command(question.command)
    if len(words) < 2 or words[0] != "lab":
        return ()
    kept = list(_arguments(words[1], words[2:]))
    return tuple(shlex.join(["lab", verb, *kept, "--cell", cell.id]) for verb in _VERBS_WITH_CELL)


def words_of_command(command: str) -> list[str]:
    """Return the words of a shell command that somebody typed."""
    try:
        return shlex.split(command)
    except ValueError:  # no shell would read it either; it is shown as it is
        return command.split()


def _arguments(verb: str, words: Sequence[str]) -> Iterator[str]:
    """Yield the job and the options that are kept."""
    rest = iter(words)
    job_is_due = verb in _VERBS_WITH_JOB
    for word in rest:
        name, joined, value = word.partition("=")
        if not word.startswith("-"):
            if job_is_due:
                yield word
            job_is_due = False
            continue
        if name in _FLAGS:
            continue
        if not joined:
            value = next(rest, "")
        if name == "--job":
            yield value
        elif name in _KEPT:
            yield f"{name}={value}"
