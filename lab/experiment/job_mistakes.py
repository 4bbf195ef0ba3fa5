"""What pydantic found wrong with a job file to sentences with line, key and the nearest valid word.

tomllib keeps no positions, so the lines are found here: the file is read a second time for its headers and keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from lab.experiment.job_tables import Job
from lab.experiment.nearest import nearest

Location = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=(.*)", re.DOTALL)
_QUOTES = ('"""', "'''")


@dataclass(frozen=True)
class Mistake:
    """One thing wrong with a job file.

    :param line: from 1.
    :param key: dotted, elements of arrays of tables by number from 1; empty for the whole file.
    """

    line: int
    key: str
    message: str


def mistakes_from_error(text: str, error: ValidationError) -> Iterator[Mistake]:
    """Yield what is wrong, in pydantic's order.

    :param text: the job file.
    """
    places = key_lines(text)
    for problem in error.errors():
        location = tuple(problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"there is no such key{nearest(str(location[-1]), _known_keys(location[:-1]))}"
        elif problem["type"] == "missing":
            message = "this key is missing"
        elif problem["type"] in ("literal_error", "enum") and isinstance(problem["input"], str):
            message += nearest(problem["input"], re.findall(r"'([^']*)'", str(problem.get("ctx", {}).get("expected"))))
        yield Mistake(_line_of(places, location), _dotted(location), message)


def key_lines(text: str) -> dict[Location, int]:
    """Return the line of each table and key of a TOML text; an element of an array of tables counts from 0."""
    found: dict[Location, int] = {}
    elements: dict[Location, int] = {}
    table: Location = ()
    for number, line in _lines_outside_strings(text):
        header = _HEADER.match(line)
        if header:
            table = _table(_words(header[2]), elements, opens=header[1] == "[[")
            found.setdefault(table, number)
            continue
        key = _KEY.match(line)
        if key:
            found.setdefault((*table, *_words(key[1])), number)
    return found


def _table(words: Sequence[str], elements: dict[Location, int], *, opens: bool) -> Location:
    """Return the place that a header means: a name that is an array of tables means its last element."""
    place: Location = ()
    for depth, word in enumerate(words, start=1):
        place = (*place, word)
        if opens and depth == len(words):
            elements[place] = elements.get(place, -1) + 1
        if place in elements:
            place = (*place, elements[place])
    return place


def _lines_outside_strings(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that do not begin inside a string of several lines."""
    inside = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not inside:
            yield number, line
        for quote in _QUOTES:
            if inside in ("", quote) and line.count(quote) % 2:
                inside = "" if inside else quote
                break


def _words(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip(" \t\"'") for part in dotted.split("."))


def _line_of(places: dict[Location, int], location: Location) -> int:
    """Return the line of the deepest key on the way that the file has; the first line where it has none."""
    for length in range(len(location), 0, -1):
        # What stands in an inline table or array has the line of the key that holds it.
        line = places.get(location[:length])
        if line is not None:
            return line
    return 1


def _dotted(location: Location) -> str:
    parts = [f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).removeprefix(".") or "the file"


def _known_keys(location: Location) -> frozenset[str]:
    """Return the keys of the table at a place."""
    model: type[BaseModel] = Job
    for part in location:
        field = model.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field is not None else None
        model = inner or model  # the name of a profile or the number of an element names no field
    return frozenset(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside an annotation such as ``tuple[BackendTable, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner)) is not None), None)
