"""Comparisons to the rows of the table in report.html: words for people, numbers to sort by, and a drawing. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.analysis.compare import Comparison
from lab.analysis.family import PointComparison
from lab.report.tables import change_text, interval_text, value_text

LARGEST_TABLE = 600
"""Rows in the page; all of them are in report.md."""

_WIDTH, _HEIGHT, _MARGIN = 180.0, 24.0, 5.0
_SMALLEST_SPAN = math.log(1.02)
_LARGEST_SPAN = math.log(20.0)


@dataclass(frozen=True)
class Drawing:
    """Where the marks of a row stand, in pixels from the left of a strip; all rows of a kind have one scale.

    :param band: of the smallest effect that matters, (left, width).
    :param bar: the interval, (left, right).
    """

    width: float
    height: float
    zero: float
    band: tuple[float, float]
    bar: tuple[float, float]
    centre: float


@dataclass(frozen=True)
class Row:
    """One line of the table.

    :param sort: numbers to sort by, in the order of the columns that have one; None sorts last.
    """

    point: str
    metric: str
    better: str
    n: int
    baseline: str
    candidate: str
    change: str
    interval: str
    p: str
    verdict: str
    judged: bool
    sort: dict[str, float | None]
    drawing: Drawing | None
    warnings: tuple[str, ...]


def rows_of_page(comparison: Comparison) -> tuple[Row, ...]:
    """Return a row per point and metric, those that decide first."""
    spans = {judged: _span([p for p in comparison.points if p.judged is judged]) for judged in (True, False)}
    return tuple(_row(point, spans[point.judged]) for point in comparison.points)


def _row(point: PointComparison, span: float) -> Row:
    numbers = point.numbers
    return Row(
        point=point.point.id,
        metric=point.metric.title,
        better=point.metric.better.value,
        n=point.n,
        baseline=value_text(point, point.baseline),
        candidate=value_text(point, point.candidate),
        change=change_text(point),
        interval=interval_text(point),
        p=f"{numbers.p_adjusted:.3f}" if numbers else "-",
        verdict=point.verdict.value,
        judged=point.judged,
        sort={
            "n": point.n,
            "baseline": point.baseline,
            "candidate": point.candidate,
            "change": numbers.ratio if numbers else None,
            "p": numbers.p_adjusted if numbers else None,
        },
        drawing=_drawing(point, span),
        warnings=tuple(caveat.text for caveat in point.caveats),
    )


def _span(points: list[PointComparison]) -> float:
    """Return the logarithm of the largest ratio, up or down, that the drawings have room for."""
    known = [p.numbers for p in points if p.numbers is not None]
    ends = [abs(math.log(x)) for numbers in known for x in (numbers.low, numbers.high) if 0 < x < math.inf]
    return min(_LARGEST_SPAN, max(_SMALLEST_SPAN, 1.08 * max(ends, default=0.0)))


def _drawing(point: PointComparison, span: float) -> Drawing | None:
    if point.numbers is None:
        return None
    middle = _WIDTH / 2

    def place(ratio: float) -> float:
        log = math.log(ratio) if 0 < ratio < math.inf else (-span if ratio <= 0 else span)
        return round(middle + max(-1.0, min(1.0, log / span)) * (middle - _MARGIN), 1)

    left, right = place(1 - point.smallest_effect), place(1 + point.smallest_effect)
    return Drawing(
        width=_WIDTH,
        height=_HEIGHT,
        zero=middle,
        band=(left, round(right - left, 1)),
        bar=(place(point.numbers.low), place(point.numbers.high)),
        centre=place(point.numbers.ratio),
    )
