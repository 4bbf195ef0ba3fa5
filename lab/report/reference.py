"""results/reference/NAME.toml to published tables: numbers of other machines, drawn as ratios and labelled as such."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from lab.analysis.document import validated
from lab.analysis.question import Question
from lab.errors import InputError
from lab.files import MIB, read_text_input
from lab.record import Level
from lab.settings import project_dir
from lab.units import metric_from_name

_LARGEST_FILE_BYTES = 16 * MIB


@dataclass(frozen=True)
class PublishedTable:
    """One table of a publication.

    :param title: of the publication.
    :param source: where it stands: an address or a citation.
    :param caution: what a reader of the numbers must know.
    :param name: of the table.
    :param factor: what its rows vary, in the words of the publication.
    :param rows: (level, value in the unit of the metric), in the published order.
    """

    title: str
    author: str
    source: str
    caution: str
    name: str
    metric: str
    factor: str
    rows: tuple[tuple[Level, float], ...]


class _Row(BaseModel):
    level: bool | int | float | str
    value: Annotated[float, Field(ge=1e-9, le=1e18)]


class _Table(BaseModel):
    name: str
    metric: str
    factor: str
    rows: tuple[_Row, ...] = Field(min_length=1)


class _Publication(BaseModel):
    title: str
    author: str
    source: str = Field(min_length=1)
    caution: str = ""
    tables: tuple[_Table, ...] = Field(min_length=1)


def reference_dir() -> Path:
    """Return the folder of the published tables."""
    return project_dir() / "results" / "reference"


def reference_table(question: Question) -> tuple[PublishedTable | None, str]:
    """Return the published table that a job asks for, or None and why it cannot be drawn (empty: none is wanted)."""
    reference = question.reference
    if reference is None:
        return None, ""
    if reference.factor not in question.factors:
        return None, f"no published table is drawn: '{reference.factor}' is no factor of this experiment"
    try:
        tables = published_tables(reference_dir() / f"{reference.table}.toml")
    except InputError as err:
        return None, f"no published table is drawn: {err.message}"
    for table in tables:
        if table.factor == reference.factor:
            return table, ""
    return None, f"no published table is drawn: {reference.table} has none over '{reference.factor}'"


def published_tables(path: Path) -> tuple[PublishedTable, ...]:
    """Read the tables of one publication.

    :raise InputError: the file cannot be read or says something else than a publication does.
    """
    try:
        text = read_text_input(path, limit_bytes=_LARGEST_FILE_BYTES)
    except InputError as err:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.toml")))
        raise InputError(f"the published table {err.message}", remedy=f"there are: {known or 'none'}") from err
    try:
        raw = validated(_Publication, tomllib.loads(text), str(path), remedy="")
    except (ValueError, RecursionError) as err:  # ValueError: no TOML, or a number of thousands of digits
        raise InputError(f"{path}: {err}") from err
    return tuple(
        PublishedTable(
            title=raw.title,
            author=raw.author,
            source=raw.source,
            caution=raw.caution,
            name=table.name,
            metric=metric_from_name(table.metric).name,
            factor=table.factor,
            rows=tuple((row.level, row.value) for row in table.rows),
        )
        for table in raw.tables
    )
