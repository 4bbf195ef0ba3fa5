"""Several results of one question, in the order of time, to a history of each point and where it changed for good.

The value of a result is by default the ratio of candidate to baseline: what the host did between two results is in both
arms. The history of an arm alone is that of the host, too, and says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.analysis.alike import host_differences, setting_differences
from lab.analysis.change_points import FEWEST_VALUES, Level, levels_of
from lab.analysis.compare import Comparison, compare_results
from lab.analysis.family import PointComparison
from lab.analysis.results import Results
from lab.errors import InputError, NotComparableError
from lab.record import Point
from lab.units import Metric


class Value(StrEnum):
    """What of a result makes up the history."""

    RATIO = "ratio"
    BASELINE = "baseline"
    CANDIDATE = "candidate"


@dataclass(frozen=True)
class Entry:
    """The value of one result at one point.

    :param started_at: of the first run, UTC, ISO 8601.
    :param low: end of the interval of a ratio; None for the median of an arm.
    :param high: likewise.
    """

    name: str
    started_at: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class History:
    """The history of one point and metric.

    :param levels: stretches without a change, in order; more than one means that it changed.
    """

    point: Point
    metric: Metric
    entries: tuple[Entry, ...]
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Trend:
    """Histories of all points, and what a reader must know."""

    value: Value
    histories: tuple[History, ...]
    warnings: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Tell whether any history changed."""
        return any(len(history.levels) > 1 for history in self.histories)


def trend_of(several: Sequence[Results], value: Value) -> Trend:
    """Return the histories of the metrics that decide.

    :raise InputError: there are fewer than two results, or one is named twice.
    :raise NotComparableError: host, kernel or settings differ between two of them; each difference is listed.
    """
    if len(several) < 2 or len({results.path.resolve() for results in several}) < len(several):
        raise InputError("a history needs two or more different results", remedy="name more results folders")
    ordered = sorted(several, key=_started_at)
    for one, other in itertools.pairwise(ordered):
        found = [*host_differences(one, other), *setting_differences(one, other)]
        if found:
            listed = "\n".join(f"- {text}" for text in found)
            raise NotComparableError(
                f"{one.path} and {other.path} are not of one history:\n{listed}",
                remedy="name results of one host, kernel and job only",
            )
    comparisons = [compare_results(results) for results in ordered]
    places: dict[tuple[Point, str], list[tuple[Comparison, PointComparison]]] = {}
    for comparison in comparisons:
        for point in comparison.judged:
            places.setdefault((point.point, point.metric.name), []).append((comparison, point))
    histories = []
    for measured in places.values():
        entries = tuple(entry for pair in measured if (entry := _entry(*pair, value)) is not None)
        if entries:
            point = measured[0][1]
            levels = levels_of([entry.value for entry in entries], histories=len(places))
            histories.append(History(point.point, point.metric, entries, levels))
    return Trend(value, tuple(histories), tuple(_warnings(ordered, value)))


def _started_at(results: Results) -> str:
    return min((record.started_at for record in results.records), default="")


def _entry(comparison: Comparison, point: PointComparison, value: Value) -> Entry | None:
    results = comparison.results
    name, started = results.path.name, _started_at(results)
    if value is Value.RATIO:
        numbers = point.numbers
        return None if numbers is None else Entry(name, started, numbers.ratio, numbers.low, numbers.high)
    median = point.baseline if value is Value.BASELINE else point.candidate
    return None if median is None or median <= 0 else Entry(name, started, median, None, None)


def _warnings(ordered: Sequence[Results], value: Value) -> list[str]:
    found = []
    if len(ordered) < FEWEST_VALUES:
        found.append(f"{len(ordered)} results; {FEWEST_VALUES} are the fewest in which a change can be told from noise")
    if value is not Value.RATIO:
        found.append("values of one arm: what the host did between two results is part of every change")
    if len({str(results.builds.get("baseline", {}).get("commit")) for results in ordered}) > 1 and value is Value.RATIO:
        found.append("the results have different base commits: a ratio changes when either side does")
    return found
