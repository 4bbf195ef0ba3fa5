"""A comparison to report.md, for a pull request. Foreign text is escaped: it can make neither markup nor links."""

from __future__ import annotations

import html
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from lab.analysis.compare import Comparison, planned_runs
from lab.progress import printable
from lab.record import Arm, Cell, Outcome
from lab.report.again import experiment_again
from lab.report.folder import evidence_text
from lab.report.pictures import Picture
from lab.report.provenance import build_facts, host_facts, patch_subjects, series_title
from lab.report.sentences import explanation, point_sentence, verdict_sentence
from lab.report.tables import FULL_HEADER, Row, full_row, markdown_table
from lab.report.text import all_warnings

_LONGEST_COMMAND_BYTES = 20_000

_LINKED = re.compile(r"(?<=@)(?=\w)|(?<=#)(?=\d)|(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=\bGH-)(?=\d)", re.IGNORECASE)
"""Where a comment goes so that a site makes neither a link nor a ping of bare text: addresses (GitHub Flavored Markdown
0.29, 6.9), and @name, #1 and GH-1 ("Autolinked references and URLs" in GitHub's documentation). These are looked for in
the text as shown, so that neither backslash nor entity helps; a comment does, and is not copied with the text.
"""


def markdown_text(comparison: Comparison, pictures: Sequence[Picture]) -> str:
    """Return report.md.

    :param pictures: files beside report.md.
    """
    return "\n\n".join(part for part in _parts(comparison, pictures) if part) + "\n"


def _parts(comparison: Comparison, pictures: Sequence[Picture]) -> Iterator[str]:
    question = comparison.results.question
    yield f"# {escaped(question.title)}"
    yield escaped(question.question)
    yield f"**{escaped(verdict_sentence(comparison))}**"
    if comparison.findings:
        yield "## Findings"
        yield markdown_list(comparison.findings)
    yield table(FULL_HEADER, [full_row(point) for point in comparison.judged])
    yield escaped(explanation(comparison))
    yield markdown_list(point_sentence(point) for point in comparison.judged)
    yield from (f"![{escaped(picture.title)}]({picture.path.name})" for picture in pictures)
    warnings = all_warnings(comparison)
    if warnings:
        yield "## Warnings"
        yield markdown_list(warnings)
    shown = [point for point in comparison.points if not point.judged]
    if shown:
        yield "## Other metrics"
        yield "Shown, but not part of the verdict; p is adjusted over the points of each metric by itself."
        yield table(FULL_HEADER, [full_row(point) for point in shown])
    yield "## Runs"
    yield table(("cell", "planned", "ok", "failed"), list(_run_rows(comparison)))
    yield from _builds(comparison)
    yield "## Host"
    yield markdown_list(f"{name}: {value}" for name, value in host_facts(comparison.results))
    yield from _command_lines(comparison)
    yield "## How to make it again"
    yield from reproduction(comparison)
    yield "This report, from the stored data, in the folder that holds this experiment's:"
    yield _fenced(shlex.join(["lab", "report", comparison.results.path.name]))


def reproduction(comparison: Comparison) -> Iterator[str]:
    """Yield how to measure the whole experiment again."""
    again = experiment_again(comparison.results)
    if again.command:
        yield "The whole experiment:"
        yield _fenced(again.command)
    yield markdown_list(f"{name}: {value}" for name, value in again.facts)


def _run_rows(comparison: Comparison) -> Iterator[Row]:
    planned = Counter(run.cell for run in planned_runs(comparison.results))
    ok = Counter(record.scheduled.cell for record in comparison.results.ok)
    failed = Counter(record.scheduled.cell for record in comparison.results.records if record.outcome is not Outcome.OK)
    for cell in _cells(comparison):
        yield (cell.id, str(planned[cell]), str(ok[cell]), str(failed[cell]))


def _cells(comparison: Comparison) -> Iterator[Cell]:
    points = dict.fromkeys(point.point for point in comparison.judged)
    return (Cell(arm, point) for point in points for arm in Arm)


def _builds(comparison: Comparison) -> Iterator[str]:
    yield "## Builds"
    facts = {arm: dict(build_facts(comparison.results, arm)) for arm in Arm}
    names = dict.fromkeys(name for arm in Arm for name in facts[arm])
    yield table(
        ("", *(arm.value for arm in Arm)), [(name, *(facts[arm].get(name, "") for arm in Arm)) for name in names]
    )
    title = series_title(comparison.results)
    if title:
        yield f"Series: {escaped(title)}"
        yield markdown_list(patch_subjects(comparison.results))


def _command_lines(comparison: Comparison) -> Iterator[str]:
    """Yield what was started for the first good run of each cell, where it was kept."""
    first = {record.scheduled.cell: record for record in reversed(comparison.results.ok)}
    found = []
    for cell in _cells(comparison):
        record = first.get(cell)
        if record is None:
            continue
        text = evidence_text(comparison.results.path, record.id, "command-line.txt", limit_bytes=_LONGEST_COMMAND_BYTES)
        if text is not None:
            found.append(f"<details><summary>{escaped(record.id)}</summary>\n\n{_fenced(text)}\n\n</details>")
    if found:
        yield "## Command lines"
        yield from found


def table(header: Row, rows: Sequence[Row]) -> str:
    """Return a Markdown table, everything in it escaped; nothing where it has no rows."""
    return markdown_table(header, [tuple(escaped(cell) for cell in row) for row in rows]) if rows else ""


def markdown_list(texts: Iterable[str]) -> str:
    """Return a Markdown list, everything in it escaped."""
    return "\n".join(f"- {escaped(text)}" for text in texts)


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    one_line = " ".join(printable(text).split())
    shown = re.sub(r"([\\`*_\[\]~#])", r"\\\1", html.escape(one_line, quote=False))
    return _LINKED.sub("<!-- -->", shown).replace("|", "&#124;")


def _fenced(text: str) -> str:
    """Return a code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{printable(text).strip()}\n{fence}"
