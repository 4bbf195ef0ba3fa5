"""The exact question of an experiment as one TOML text: the job file verbatim, and what was chosen on the call."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

from lab.errors import InputError
from lab.experiment.job import LoadedJob

_TABLE = "experiment"


@dataclass(frozen=True)
class Choices:
    """What is not in the job file but part of the question.

    :param id: name of the results folder.
    :param seed: the schedule is drawn from it.
    :param series: what the user called the series, for people.
    :param known_verdict: of a demonstration series, empty otherwise.
    :param fio: text of the fio job: editing its file must not change what an experiment goes on with.
    :param command: what was typed.
    :param control: what a campaign of ``lab calibrate`` compares the base with; empty for an experiment.
    :param candidate_latency_ns: backend latency that was added to the candidate to slow it down on purpose.
    :param blocks: how many are scheduled, so that a schedule that was cut is noticed; 0 in folders from before that.
    """

    id: str
    job: str
    profile: str
    seed: int
    series: str
    image: str
    accelerator: str
    fio: str
    known_verdict: str = ""
    command: str = ""
    control: str = ""
    candidate_latency_ns: int = 0
    blocks: int = 0


def question_text(loaded: LoadedJob, choices: Choices) -> str:
    """Return the text of experiment.toml: a table ``[experiment]`` after the job's own text.

    :raise InputError: the job file has a table of that name itself.
    """
    if _TABLE in tomllib.loads(loaded.text):
        raise InputError(f"{loaded.path}: the table [{_TABLE}] is the lab's own", remedy="remove it from the job file")
    lines = [f"{name} = {_toml_from_value(value)}" for name, value in vars(choices).items()]
    return "\n".join((loaded.text.rstrip("\n"), "", f"[{_TABLE}]", *lines, ""))


def choices_from_text(text: str, where: str) -> Choices:
    """Return the choices that a stored question was asked with.

    :param where: names the file in errors.
    :raise InputError: the text is not one of ours.
    """
    try:
        table: dict[str, Any] = tomllib.loads(text)[_TABLE]
        return Choices(**{**table, "seed": int(table["seed"])})
    except (KeyError, TypeError, ValueError, OverflowError) as err:  # a TOMLDecodeError is a ValueError
        raise InputError(f"{where} is not the question of an experiment: {err}") from err


def same_question(one: str, other: str) -> bool:
    """Tell whether two stored questions differ in nothing but their folder's name, seed, blocks and the words typed."""
    trees = [tomllib.loads(text) for text in (one, other)]
    for tree in trees:
        table = tree.get(_TABLE)
        for free in ("id", "seed", "blocks", "command"):
            if isinstance(table, dict):  # a damaged one may be anything
                table.pop(free, None)
    return trees[0] == trees[1]


def _toml_from_value(value: str | int) -> str:
    """Return a number or a basic string of TOML 1.0.

    What no TOML string can hold, such as a byte of a file name that is not UTF-8, is written out as Python escapes it.
    """
    if isinstance(value, int):
        return str(value)
    text = value.encode("utf-8", "backslashreplace").decode("utf-8")
    escaped = (
        f"\\u{ord(char):04x}" if ord(char) < 0x20 or ord(char) == 0x7F or char in '"\\' else char for char in text
    )
    return f'"{"".join(escaped)}"'
