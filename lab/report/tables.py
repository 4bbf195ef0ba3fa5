"""Comparisons to plain text tables: for a terminal, for report.md, for a mail of 72 columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lab.analysis.caveats import CaveatKind
from lab.analysis.family import PointComparison
from lab.progress import columns_of
from lab.units import text_from_percent, text_from_quantity, text_from_signed

Row = tuple[str, ...]
FULL_HEADER: Row = ("point", "metric", "n", "baseline", "candidate", "change", "interval", "p adj.", "verdict")
SHORT_HEADER: Row = ("point", "n", "base", "cand.", "change", "interval", "verdict")
_NOTHING = "-"
_ROUNDING = 1e-9
"""Less than this is an error of floating point."""
_SHORT_VERDICTS = {"NO_CHANGE_DETECTED": "no change", "NOT_COMPARABLE": "not comparable"}


def full_row(point: PointComparison) -> Row:
    """Return a row under :data:`FULL_HEADER`."""
    numbers = point.numbers
    return (
        point.point.id,
        point.metric.title,
        str(point.n),
        value_text(point, point.baseline),
        value_text(point, point.candidate),
        change_text(point),
        interval_text(point),
        f"{numbers.p_adjusted:.3f}" if numbers else _NOTHING,
        point.verdict.value,
    )


def short_row(point: PointComparison) -> Row:
    """Return a row under :data:`SHORT_HEADER`, for narrow pages and one metric at a time."""
    row = full_row(point)
    verdict = _SHORT_VERDICTS.get(point.verdict.value, point.verdict.value.lower())
    return (row[0], *row[2:7], verdict)


def value_text(point: PointComparison, value: float | None) -> str:
    """Return a median with its unit, or a dash."""
    return _NOTHING if value is None else text_from_quantity(value, point.metric.unit)


def change_text(point: PointComparison) -> str:
    """Return the change of the candidate, or a dash."""
    return _NOTHING if point.numbers is None else text_from_percent(point.numbers.ratio - 1, decimals_of(point))


def interval_text(point: PointComparison) -> str:
    """Return the interval of the change; where it covers less than it should, with what it covers."""
    numbers = point.numbers
    if numbers is None:
        return _NOTHING
    low, high = (text_from_signed(100 * (end - 1), decimals_of(point)) for end in (numbers.low, numbers.high))
    text = f"[{low}, {high}] %"
    # The caveat says that there are too few pairs; with enough of them the coverage is at least what the legend says.
    few = any(caveat.kind is CaveatKind.BLOCKS for caveat in point.caveats)
    return f"{text} ({100 * numbers.coverage:.0f} %)" if few else text


def ruled_out_text(point: PointComparison) -> str:
    """Return the change beyond which any is ruled out, rounded up: what is said to be ruled out surely is."""
    assert point.ruled_out is not None
    decimals = decimals_of(point)
    unit = 10**decimals
    return f"{math.ceil(100 * point.ruled_out * unit - _ROUNDING) / unit:.{decimals}f} %"


def decimals_of(point: PointComparison) -> int:
    """Return how many decimals a percentage of a point needs: one, more where less than 1 % matters."""
    return max(1, 1 - math.floor(math.log10(100 * point.smallest_effect) + _ROUNDING))


def text_table(header: Row, rows: Sequence[Row]) -> str:
    """Return lines with aligned columns: numbers to the right, words to the left."""
    widths = [max(columns_of(row[column]) for row in (header, *rows)) for column in range(len(header))]
    right = [all(_is_number(row[column]) for row in rows) for column in range(len(header))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(_line(row, widths, right) for row in (header, rule, *rows))


def markdown_table(header: Row, rows: Sequence[Row]) -> str:
    """Return the same table as Markdown has it; bars in foreign text cannot make columns."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _line(row: Row, widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = []
    for cell, width, to_right in zip(row, widths, right, strict=True):
        room = " " * (width - columns_of(cell))
        cells.append(room + cell if to_right else cell + room)
    return "  ".join(cells).rstrip()


def _is_number(text: str) -> bool:
    return text[:1] in "+-[0123456789"
