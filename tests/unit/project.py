"""The project's own files, as tests of documentation, workflow and architecture read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(
    r"^(?P<marks>`{3,})(?P<language>[\w-]*)[^\n]*\n(?P<body>.*?)^(?P=marks)[ ]*$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class FencedBlock:
    """A fenced code block of a Markdown page.

    :param language: what follows the opening fence; empty where nothing does.
    :param before: the text between the previous block and this one.
    """

    page: Path
    line: int
    language: str
    body: str
    before: str


def fenced_blocks(page: Path) -> Iterator[FencedBlock]:
    """Yield the fenced code blocks of a Markdown page, in order."""
    text = page.read_text(encoding="utf-8")
    end = 0
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield FencedBlock(page, line, match["language"], match["body"], text[end : match.start()])
        end = match.end()


def pages() -> list[Path]:
    """Return README.md and every page under docs/."""
    return [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


def modules() -> list[Path]:
    """Return every Python module of the lab."""
    return sorted((PROJECT / "lab").rglob("*.py"))
