"""A comparison to report.html: one page, whose links are relative and percent-encoded."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab import __version__
from lab.analysis.caveats import CaveatKind
from lab.analysis.compare import Comparison
from lab.analysis.verdict import Verdict
from lab.record import Arm
from lab.report.again import experiment_again
from lab.report.html import environment, own, policy
from lab.report.page_cells import cells_of_page
from lab.report.page_rows import LARGEST_TABLE, Row, rows_of_page
from lab.report.pictures import Picture
from lab.report.provenance import build_facts, host_facts, host_line, patch_subjects, series_title, source_line
from lab.report.sentences import explanation, tier_sentence, verdict_sentence
from lab.report.text import all_warnings

LARGEST_PAGE_BYTES = 2_900_000
"""A page that is larger cannot be mailed to many lists and bug trackers: what does not fit is linked."""

_MOST_WARNINGS = 200

_SYMBOLS = {
    Verdict.REGRESSED: "\u25bc",
    Verdict.IMPROVED: "\u25b2",
    Verdict.NO_CHANGE_DETECTED: "\u25cf",
    Verdict.INCONCLUSIVE: "\u25c6",
    Verdict.NOT_COMPARABLE: "\u2715",
}


@dataclass(frozen=True)
class Embedded:
    """A picture in the page.

    :param source: a ``data:`` address; empty for a picture that is too much for the page and only linked.
    """

    name: str
    title: str
    source: str


def page_text(comparison: Comparison, pictures: Sequence[Picture]) -> str:
    """Return report.html.

    :param pictures: files beside report.html, which are put into it as far as there is room.
    :raise OSError: a picture cannot be read.
    """
    template = environment().get_template("page.html")
    context = _context(comparison)
    words = template.render(context, pictures=_embedded(pictures, room_bytes=0))
    room_bytes = max(0, LARGEST_PAGE_BYTES - len(words.encode())) * 3 // 4  # base64 makes four bytes of three
    return template.render(context, pictures=_embedded(pictures, room_bytes=room_bytes)) + "\n"


def _context(comparison: Comparison) -> Mapping[str, Any]:
    results = comparison.results
    style, script = (own(name) for name in ("page.css", "page.js"))
    rows = rows_of_page(comparison)
    warnings = all_warnings(comparison)
    return {
        "policy": policy(style, script),
        "style": style,
        "script": script,
        "title": results.question.title,
        "question": results.question.question,
        "verdict": comparison.verdict,
        "symbols": {verdict.value: symbol for verdict, symbol in _SYMBOLS.items()},
        "sentence": verdict_sentence(comparison).partition(": ")[2],
        "findings": comparison.findings,
        "facts": _facts(comparison),
        "rows": rows[:LARGEST_TABLE],
        "rows_left_out": max(0, len(rows) - LARGEST_TABLE),
        "verdicts": _verdicts(rows),
        "shown_metrics": any(not row.judged for row in rows),
        "explanation": explanation(comparison),
        "warnings": warnings[:_MOST_WARNINGS],
        "warnings_left_out": max(0, len(warnings) - _MOST_WARNINGS),
        "cells": cells_of_page(comparison),
        "builds": _builds(comparison),
        "series": series_title(results),
        "patches": patch_subjects(results),
        "host": host_facts(results),
        "again": experiment_again(results),
        "report_again": shlex.join(["lab", "report", results.path.name]),
        "source": source_line(results),
        "version": __version__,
    }


def _facts(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """Return what a reader must know before believing a number, for the first screen."""
    results = comparison.results
    calibration = [caveat.text for caveat in comparison.caveats if caveat.kind is CaveatKind.CALIBRATION]
    failed = len(results.records) - len(results.ok)
    runs = f"{len(results.ok)} ok" + (f", {failed} failed" if failed else "")
    if results.schedule:
        runs += f" of {len(results.schedule)} scheduled"
    facts = (
        ("Series", series_title(results)),
        ("Tier", f"{results.tier}: {tier_sentence(results.tier)}"),
        ("Calibration", "; ".join(calibration) or "calibrated on this host"),
        ("Runs", f"{runs}; one run is one boot, paired by block"),
        ("Host", host_line(results).rpartition(", tier ")[0]),
    )
    return tuple((name, text) for name, text in facts if text)


def _verdicts(rows: Sequence[Row]) -> tuple[str, ...]:
    present = {row.verdict for row in rows}
    return tuple(verdict.value for verdict in Verdict if verdict.value in present)


def _builds(comparison: Comparison) -> tuple[tuple[str, ...], ...]:
    """Return (name, baseline, candidate) of what is known of the builds."""
    facts = {arm: dict(build_facts(comparison.results, arm)) for arm in Arm}
    names = dict.fromkeys(name for arm in Arm for name in facts[arm])
    return tuple((name, *(facts[arm].get(name, "") for arm in Arm)) for name in names)


def _embedded(pictures: Sequence[Picture], *, room_bytes: int) -> tuple[Embedded, ...]:
    """Return the pictures as they stand in the page: inside it as long as there is room, else only linked."""
    found, room = [], room_bytes
    for picture in pictures:
        content = picture.path.read_bytes()
        fits = len(content) <= room
        room -= len(content) if fits else 0
        source = f"data:image/png;base64,{base64.b64encode(content).decode()}" if fits else ""
        found.append(Embedded(picture.path.name, picture.title, source))
    return tuple(found)
