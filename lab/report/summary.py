"""A comparison to a short Markdown page for the summary of a CI job: what it says, the table, what to know.

It has no pictures: a job's summary shows none from its own files. The CI job keeps them beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.analysis.compare import Comparison
from lab.report.markdown import escaped, markdown_list, reproduction, table
from lab.report.provenance import host_line, series_title, source_line
from lab.report.sentences import explanation, tier_sentence, verdict_sentence
from lab.report.tables import FULL_HEADER, full_row
from lab.report.text import all_warnings

LARGEST_TABLE = 500
"""Rows; GitHub refuses a summary of more than 1 MiB, and shows nothing of it."""

_MOST_WARNINGS = 100


def summary_text(comparison: Comparison) -> str:
    """Return summary.md."""
    return "\n\n".join(part for part in _parts(comparison) if part) + "\n"


def _parts(comparison: Comparison) -> Iterator[str]:
    results = comparison.results
    yield f"## {escaped(results.question.title)}"
    yield f"**{escaped(verdict_sentence(comparison))}**"
    if comparison.findings:
        yield markdown_list(f"finding: {text}" for text in comparison.findings)
    judged = comparison.judged
    yield table(FULL_HEADER, [full_row(point) for point in judged[:LARGEST_TABLE]])
    if len(judged) > LARGEST_TABLE:
        yield f"{len(judged) - LARGEST_TABLE} further rows are in report.md."
    warnings = all_warnings(comparison)
    if warnings:
        yield "Warnings:"
        yield markdown_list(warnings[:_MOST_WARNINGS])
        if len(warnings) > _MOST_WARNINGS:
            yield f"{len(warnings) - _MOST_WARNINGS} further warnings are in report.md."
    facts = [f"tier {results.tier}: {tier_sentence(results.tier)}", host_line(results), source_line(results)]
    if series_title(results):
        facts.insert(0, f"series: {series_title(results)}")
    yield markdown_list(facts)
    again = "\n\n".join(part for part in reproduction(comparison) if part)
    yield f"<details><summary>How to make it again</summary>\n\n{again}\n\n</details>"
    yield f"<details><summary>What the columns mean</summary>\n\n{escaped(explanation(comparison))}\n\n</details>"
