"""A comparison to plain text: at most 72 columns for a mailing list, wider for a terminal."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from lab.analysis.compare import Comparison
from lab.analysis.family import PointComparison
from lab.progress import columns_of, printable
from lab.report.again import experiment_again, words_of_command
from lab.report.provenance import host_line, source_line
from lab.report.sentences import explanation, point_sentence, verdict_sentence
from lab.report.tables import FULL_HEADER, SHORT_HEADER, Row, full_row, short_row, text_table
from lab.units import Metric

COLUMNS = 72
_TRAILER = re.compile(r"^[\w-]+-by:", re.MULTILINE | re.IGNORECASE)


def mail_text(comparison: Comparison) -> str:
    """Return report.txt: no line over 72 columns, no trailer on anybody's behalf."""
    results = comparison.results
    parts = [_wrapped(results.question.title), _wrapped(verdict_sentence(comparison))]
    if comparison.findings:
        parts.append("Findings\n\n" + _bullets(comparison.findings))
    for metric in _metrics(comparison):
        points = [point for point in comparison.judged if point.metric is metric]
        parts.append(f"{metric.title} ({metric.better.value} is better)\n\n{narrow_table(points)}")
    parts.append(_bullets(point_sentence(point) for point in comparison.judged))
    warnings = all_warnings(comparison)
    if warnings:
        parts.append("Warnings\n\n" + _bullets(warnings))
    parts.append(_wrapped(explanation(comparison)))
    parts.append("\n".join([_wrapped(f"Host: {host_line(results)}"), _wrapped(f"Source: {source_line(results)}")]))
    again = experiment_again(results)
    if again.command:
        parts.append(f"To reproduce:\n\n{_command(again.command)}")
    parts.append(_bullets(f"{name}: {value}" for name, value in again.facts))
    return "\n\n".join(part for part in parts if part) + "\n"


def terminal_text(comparison: Comparison, pictures: Sequence[Path], page: Path) -> str:
    """Return what `lab run` prints at its end: table, verdicts, warnings, and where the pictures are."""
    parts = [printable(comparison.results.question.title)]
    parts.append(text_table(FULL_HEADER, [full_row(point) for point in comparison.judged]))
    parts.append("\n".join(point_sentence(point) for point in comparison.judged))
    warnings = all_warnings(comparison)
    if warnings:
        parts.append("\n".join(["warnings:", *(f"- {text}" for text in warnings)]))
    if pictures:
        parts.append("\n".join(["pictures:", *(f"  {path}" for path in pictures), f"report: {page}"]))
    if comparison.findings:
        parts.append("\n".join(["findings:", *(f"- {text}" for text in comparison.findings)]))
    parts.append(verdict_sentence(comparison))
    return printable("\n\n".join(part for part in parts if part))


def all_warnings(comparison: Comparison) -> tuple[str, ...]:
    """Return the warnings of the experiment, then those of the points that decide; the same text once."""
    texts = {caveat.text: None for caveat in comparison.caveats}
    where: dict[str, list[str]] = {}
    for point in comparison.judged:
        for caveat in point.caveats:
            where.setdefault(caveat.text, []).append(point.point.id)
    return (*texts, *(f"{text} [{', '.join(dict.fromkeys(points))}]" for text, points in where.items()))


def narrow_table(points: Sequence[PointComparison]) -> str:
    """Return the table of one metric in 72 columns.

    Where it does not fit, or a point is called like a trailer, the point stands on lines of its own; where the numbers
    alone do not fit, they become a list.
    """
    rows: list[Row] = [(printable(row[0]), *row[1:]) for row in map(short_row, points)]
    table = text_table(SHORT_HEADER, rows)
    if _fits(table) and _TRAILER.search(table) is None:
        return table
    table = text_table(SHORT_HEADER[1:], [row[1:] for row in rows])
    if not _fits(table):
        cells = [", ".join(map(" ".join, zip(SHORT_HEADER[1:], row[1:], strict=True))) for row in rows]
        return _bullets(f"{row[0]}: {text}" for row, text in zip(rows, cells, strict=True))
    header, rule, *lines = table.splitlines()
    named = (f"{_wrapped(row[0])}\n{line}" for row, line in zip(rows, lines, strict=True))
    return "\n".join([header, rule, *named])


def _fits(table: str) -> bool:
    return max(map(columns_of, table.splitlines())) <= COLUMNS


def _command(text: str) -> str:
    """Return a shell command over several lines, to be pasted; a line is only too long if one word is."""
    lines = [""]
    for word in map(shlex.quote, words_of_command(printable(text))):
        if lines[-1] and columns_of(lines[-1]) + columns_of(word) + 1 > COLUMNS - 6:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return " \\\n".join(f"    {line}" for line in lines)


def _metrics(comparison: Comparison) -> tuple[Metric, ...]:
    return tuple(dict.fromkeys(point.metric for point in comparison.judged))


def _wrapped(text: str) -> str:
    """Return lines, none of which git would take for a trailer: a title may read 'Tested-by: somebody'."""
    lines = _filled(text)
    return lines if _TRAILER.search(lines) is None else _filled(text, first=" ", others=" ")


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join(_filled(text, first="- ", others="  ") for text in texts)


def _filled(text: str, *, first: str = "", others: str = "") -> str:
    """Return lines of at most 72 columns; textwrap counts characters, of which some take two columns."""
    for width in range(COLUMNS, COLUMNS // 2 - 1, -1):
        lines = textwrap.fill(printable(text), width, initial_indent=first, subsequent_indent=others)
        if _fits(lines or " "):
            break
    return lines
