"""Several results of one question, in the order of time, to a history of each point and where it changed for good.

The value of a result is by default the ratio of candidate to baseline: what the host did between two results is in both
arms. The history of an arm alone is that of the host, too. Where results have the same baseline binary, what that did
from one level to the next is the host's doing: it stands beside each change, as a control.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.analysis.alike import host_differences, setting_differences
from lab.analysis.change_points import FEWEST_VALUES, Level, levels_of
from lab.analysis.compare import Comparison, compare_results
from lab.analysis.family import PointComparison
from lab.analysis.names import on_one_line
from lab.analysis.results import Results
from lab.analysis.samples import median_interval
from lab.analysis.verdict import Verdict
from lab.errors import InputError, NotComparableError
from lab.record import Arm, Point
from lab.units import Metric, text_from_quantity


class Value(StrEnum):
    """What of a result makes up the history."""

    RATIO = "ratio"
    BASELINE = "baseline"
    CANDIDATE = "candidate"


@dataclass(frozen=True)
class Entry:
    """The value of one result at one point.

    :param started_at: of the first run, UTC, ISO 8601.
    :param host: fingerprint.
    :param low: end of the interval of the value: of a ratio as in reports, of a median by order statistics.
    :param high: likewise.
    :param baseline: median of the baseline, whatever the value is; None where it has none.
    :param baseline_sha256: of the baseline's binary; None where nobody knows.
    """

    name: str
    started_at: str
    host: str
    value: float
    low: float
    high: float
    baseline: float | None
    baseline_sha256: str | None


@dataclass(frozen=True)
class Change:
    """A change for good.

    :param first: index of the first entry after it.
    :param change: relative change from the level before to the one after.
    :param control: what one and the same baseline binary did meanwhile, likewise; None where there is none.
    :param of_host: whether the host may be why: the control did at least half of an arm's change, or as much as a ratio
        did.
    """

    first: int
    change: float
    control: float | None
    of_host: bool


@dataclass(frozen=True)
class History:
    """The history of one point and metric.

    :param levels: stretches without a change, in order.
    :param changes: between each two of them.
    """

    point: Point
    metric: Metric
    entries: tuple[Entry, ...]
    levels: tuple[Level, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Trend:
    """Histories of all points, and what a reader must know."""

    value: Value
    histories: tuple[History, ...]
    warnings: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Tell whether any history changed by more than the host explains."""
        return any(not change.of_host for history in self.histories for change in history.changes)


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
            changes = tuple(_changes(entries, levels, value))
            histories.append(History(point.point, point.metric, entries, levels, changes))
    return Trend(value, tuple(histories), (*_warnings(comparisons, value), *_wandering(histories, ordered[0])))


def _started_at(results: Results) -> str:
    return on_one_line(min((record.started_at for record in results.records), default=""))


def _entry(comparison: Comparison, point: PointComparison, value: Value) -> Entry | None:
    results = comparison.results
    medians = {arm: _median(comparison, point, arm) for arm in Arm}
    if value is Value.RATIO:
        numbers = point.numbers
        found = None if numbers is None else (numbers.ratio, numbers.low, numbers.high)
    else:
        found = medians[Arm(value)]
    baseline, sha256 = medians[Arm.BASELINE], _of_baseline(results, "binary_sha256")
    return found and Entry(
        results.path.name,
        _started_at(results),
        str(results.host.get("fingerprint", "")),
        *found,
        baseline=baseline and baseline[0],
        baseline_sha256=sha256,
    )


def _of_baseline(results: Results, key: str) -> str | None:
    """Return what builds.json says of the baseline, None where it does not."""
    build = results.builds.get("baseline")
    said = build.get(key) if isinstance(build, dict) else None
    return said if isinstance(said, str) else None


def _median(comparison: Comparison, point: PointComparison, arm: Arm) -> tuple[float, float, float] | None:
    """Return the median of an arm with the ends of its interval; None without values, or where one has no logarithm."""
    frame = comparison.frame
    rows = (frame["metric"] == point.metric.name) & (frame["point"] == point.point.id) & (frame["arm"] == arm.value)
    values = frame.loc[rows, "value"].to_numpy(dtype=float)
    if not len(values) or values.min() <= 0:
        return None
    return median_interval(values, 1 - comparison.results.question.alpha)


def _changes(entries: Sequence[Entry], levels: Sequence[Level], value: Value) -> Iterator[Change]:
    for before, after in itertools.pairwise(levels):
        step = math.log(after.middle / before.middle)
        sides = [entries[level.first : level.last + 1] for level in (before, after)]
        control = _control(*sides)
        if control is None:
            of_host = False
        elif value is Value.RATIO:
            of_host = abs(control) >= abs(step)
        else:
            of_host = abs(step - control) < abs(step) / 2
        yield Change(after.first, math.expm1(step), None if control is None else math.expm1(control), of_host)


def _control(before: Sequence[Entry], after: Sequence[Entry]) -> float | None:
    """Return by how many logarithms the same baseline binary moved; None where results have other binaries or none."""
    if not _same_baseline((*before, *after)):
        return None
    means = [sum(math.log(entry.baseline) for entry in side if entry.baseline) / len(side) for side in (before, after)]
    return means[1] - means[0]


def _same_baseline(entries: Sequence[Entry]) -> bool:
    known = {entry.baseline_sha256 for entry in entries}
    return len(known) == 1 and None not in known and all(entry.baseline for entry in entries)


def _wandering(histories: Sequence[History], first: Results) -> Iterator[str]:
    """Yield how far the host wandered, by what one binary did, where that is more than what matters."""
    widest, said = 1.0, ""
    for history in histories:
        if not _same_baseline(history.entries):
            continue
        medians = [entry.baseline for entry in history.entries if entry.baseline]
        ratio = max(medians) / min(medians)
        if ratio > max(widest, 1 + first.question.effect_of(history.metric)):
            low, high = (text_from_quantity(end, history.metric.unit) for end in (min(medians), max(medians)))
            widest = ratio
            said = (
                f"the host wandered: {history.metric.title} of the same baseline binary lay between {low} and {high} "
                f"at {history.point.id}, {100 * (ratio - 1):.0f} % apart"
            )
    if said:
        yield said


def _warnings(comparisons: Sequence[Comparison], value: Value) -> list[str]:
    ordered = [comparison.results for comparison in comparisons]
    found = []
    for comparison in comparisons:
        name, undone = comparison.results.path.name, comparison.results.undone
        if undone:
            found.append(f"{name} is not finished: {undone} of its scheduled runs were not made")
        if comparison.verdict is Verdict.NOT_COMPARABLE:
            found.append(f"the arms of {name} cannot be compared ('lab compare' says why); its value is shown anyway")
    if len(ordered) < FEWEST_VALUES:
        found.append(f"{len(ordered)} results; {FEWEST_VALUES} are the fewest in which a change can be told from noise")
    if value is not Value.RATIO:
        found.append("values of one arm: what the host did between two results is part of every change")
    if len({_of_baseline(results, "commit") for results in ordered}) > 1 and value is Value.RATIO:
        found.append("the results have different base commits: a ratio changes when either side does")
    return found
