"""Results to the commands that bring them back, whole or a single cell: pure text, nothing is run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.analysis.question import Question
from lab.analysis.results import Results
from lab.record import Arm, Cell
from lab.report.provenance import build_facts, series_title

_STARTED = ("--tree", "--base", "--series", "--range", "--revision", "--accelerator")
"""Options of ``lab run`` that say what is started; the others say how an experiment is conducted."""

_CONDUCTED = ("--pin", "--tune", "--force", "--no-proof")
"""Those of the others that change what is measured."""

_FLAGS = ("--json", "--quiet", "--tune", "--force", "--proof", "--no-proof", "--auto", "--wait")
_JOB = "--job"
_VERBS = ("run", "bench")
_VERBS_WITH_CELL = ("shell", "command-line")


@dataclass(frozen=True)
class Again:
    """How to measure the same again.

    :param command: what to type; empty where nobody knows.
    :param facts: (name, value) of what else it takes, and of what is frozen in the command.
    """

    command: str
    facts: tuple[tuple[str, str], ...]


def experiment_again(results: Results) -> Again:
    """Return how to get a whole experiment again: same job, profile, order of the runs, base and series."""
    question, chosen = results.question, dict(results.question.chosen)
    series = results.builds.get("series")
    series = series if isinstance(series, Mapping) else {}
    origin = dict(build_facts(results, Arm.BASELINE)).get("made from")
    base = str(results.builds.get("base_commit") or dict(build_facts(results, Arm.BASELINE)).get("commit", ""))
    facts = {
        "job file": f"jobs/{chosen['job']}.toml, as copied to experiment.toml" if "job" in chosen else "",
        "profile": chosen.get("profile", ""),
        "seed": chosen.get("seed", ""),
        "base commit": f"{base} of {origin}" if base and origin else base,
        "series": ", ".join(part for part in (series_title(results), _revision(series), _message_id(series)) if part),
        "typed": question.command,
    }
    known = tuple((name, text) for name, text in facts.items() if text)
    return Again(_command(question, chosen, base), known)


def commands_for_cell(question: Question, cell: Cell) -> tuple[str, ...]:
    """Return what to type to get one cell again, with the arguments of the experiment; nothing where nobody knows them.

    The first boots it and gives a shell in its guest, the second prints the command line of its QEMU.
    """
    words = words_of_command(question.command)
    if len(words) < 2 or words[0] != "lab":
        return ()
    kept = [_word(name, value) for name, value in _arguments(words[1], words[2:]) if name in (_JOB, *_STARTED)]
    return tuple(shlex.join(["lab", verb, *kept, "--cell", cell.id]) for verb in _VERBS_WITH_CELL)


def words_of_command(command: str) -> list[str]:
    """Return the words of a shell command that somebody typed."""
    try:
        return shlex.split(command)
    except ValueError:  # no shell would read it either; it is shown as it is
        return command.split()


def _command(question: Question, chosen: Mapping[str, str], base: str) -> str:
    """Return the ``lab run`` that measures the same; what was typed where it was another verb."""
    words = words_of_command(question.command)
    if words[:1] != ["lab"] or words[1:2] not in ([verb] for verb in _VERBS) or "job" not in chosen:
        return question.command
    arguments = dict(_arguments(words[1], words[2:]))
    job = arguments.get(_JOB, f"jobs/{chosen['job']}.toml")
    if "--tree" in arguments and "--range" not in arguments and base:
        arguments["--base"] = base  # a branch or HEAD has moved since
    kept = [_word(name, arguments[name]) for name in (*_STARTED, *_CONDUCTED) if name in arguments]
    kept += [f"--{name}={chosen[name]}" for name in ("profile", "seed") if name in chosen]
    return shlex.join(["lab", "run", job, *kept])


def _arguments(verb: str, words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (option, value) of a call; the job as ``--job``, flags without a value."""
    rest = iter(words)
    job_is_due = verb == "run"
    for word in rest:
        name, joined, value = word.partition("=")
        if not word.startswith("-"):
            if job_is_due:
                yield _JOB, word
            job_is_due = False
        elif name in _FLAGS:
            yield name, ""
        else:
            yield name, value if joined else next(rest, "")


def _word(name: str, value: str) -> str:
    if name == _JOB:
        return value
    return f"{name}={value}" if value else name


def _revision(series: Mapping[str, object]) -> str:
    revision = series.get("revision")
    return f"v{revision}" if isinstance(revision, int) else ""


def _message_id(series: Mapping[str, object]) -> str:
    """Return the message-id of the first patch, by which an archive finds the whole thread."""
    patches = series.get("patches")
    first = patches[0] if isinstance(patches, list) and patches else None
    found = first.get("message_id") if isinstance(first, Mapping) else None
    return f"<{found}>" if found else ""
