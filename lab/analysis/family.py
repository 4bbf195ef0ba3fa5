"""A family of metrics and points to comparisons: the tests whose false alarms are controlled together. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.analysis.caveats import Caveat, CaveatKind
from lab.analysis.frame import Pairs, pairs_from_frame
from lab.analysis.question import Question
from lab.analysis.sample_caveats import drift_caveats, sample_caveats
from lab.analysis.samples import medians
from lab.analysis.signflip import Intervals, blocks_for_level, blocks_to_decide, intervals, p_values
from lab.analysis.verdict import ANYTHING, Interval, Numbers, Verdict, judge, own_interval
from lab.record import Point
from lab.units import Metric, text_from_signed

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PointComparison:
    """Candidate against baseline at one point, for one metric.

    :param judged: whether this metric decides the verdict of the experiment.
    :param n: pairs, one per block.
    :param baseline: median over the paired runs, in the unit of the metric; None without a pair.
    :param candidate: likewise.
    :param numbers: ratio (geometric mean over the pairs) with its interval; None with fewer than two pairs.
    :param p: two-sided, of this point alone; None with fewer than two pairs.
    :param smallest_effect: the relative change that matters.
    :param runs_needed: runs of each arm (that is blocks) that would probably decide it; None where it is decided, or
        where there are too few pairs to know the spread, or where the host is in the way.
    :param moved: the interval of the ratio by which the host moved between the sessions of the arms, from a control;
        None for arms of one session.
    """

    point: Point
    metric: Metric
    judged: bool
    n: int
    baseline: float | None
    candidate: float | None
    numbers: Numbers | None
    p: float | None
    smallest_effect: float
    verdict: Verdict
    runs_needed: int | None
    caveats: tuple[Caveat, ...]
    moved: Interval | None = None

    @property
    def ruled_out(self) -> float | None:
        """Return the relative change beyond which the interval rules out any, at its coverage; None for a finding."""
        if self.numbers is None or self.verdict not in (Verdict.NO_CHANGE_DETECTED, Verdict.INCONCLUSIVE):
            return None
        if self.moved == ANYTHING:
            return None
        low, high = own_interval(self.numbers, self.moved)
        return max(abs(low - 1), abs(high - 1))


@dataclass(frozen=True)
class Setting:
    """What all families of an experiment have in common.

    :param blocks: numbers of the blocks that were planned or measured, ascending.
    :param unlike: why nothing may be compared, or nothing.
    :param undone: scheduled runs that were never made. While there are any, no verdict is given: a look on the way that
        may end the experiment would make the chance of a false alarm larger than ``alpha``.
    :param unsteady: by id of the point, caveats on runs that were not in steady state.
    :param unasked: (block, id of the point) of runs of the candidate that nobody planned though the baseline's were: a
        stored baseline may have more blocks.
    :param controls: as in :class:`~lab.analysis.results.Results`.
    """

    question: Question
    points: tuple[Point, ...]
    blocks: tuple[int, ...]
    unlike: tuple[str, ...]
    undone: int
    unsteady: Mapping[str, Sequence[Caveat]]
    unasked: frozenset[tuple[int, str]] = frozenset()
    controls: Mapping[tuple[str, str], Interval] | None = None


def compare_family(
    metrics: Sequence[Metric], frame: pd.DataFrame, setting: Setting, *, judged: bool
) -> list[PointComparison]:
    """Compare the arms for some metrics at all points, false alarms controlled over all of them together.

    :param judged: whether these metrics decide the verdict of the experiment.
    """
    pairs = [pairs_from_frame(frame, metric.name, setting.points, setting.blocks) for metric in metrics]
    ratios = np.concatenate([one.log_ratios() for one in pairs], axis=1)
    own, adjusted = p_values(ratios)
    bounds = intervals(ratios, setting.question.alpha)
    tests = max(1, int((np.isfinite(ratios).sum(axis=0) >= 2).sum()))
    compared = []
    for index, (metric, lined_up) in enumerate(zip(metrics, pairs, strict=True)):
        effect = setting.question.effect_of(metric)
        first = index * len(setting.points)
        here = slice(first, first + len(setting.points))
        summary = _Summary.of(lined_up, ratios[:, here], setting.unasked)
        drifting = tuple(drift_caveats(lined_up, metric, effect))
        for column, odd in enumerate(sample_caveats(lined_up, effect)):
            numbers = summary.numbers(column, bounds, first + column, float(adjusted[first + column]))
            one = _One(metric, column, summary, numbers, float(own[first + column]), tests)
            compared.append(_compare_point(one, setting, odd, drifting, judged=judged))
    return compared


@dataclass(frozen=True)
class _Summary:
    """What the pairs of a metric come to, one entry per point.

    :param unlike: blocks in which both runs exist but were made under unlike conditions.
    :param lost: blocks in which the candidate owes a value that the baseline has, or a value is zero.
    """

    n: Array
    mean: Array
    spread: Array
    baseline: Array
    candidate: Array
    unlike: Array
    lost: Array

    @classmethod
    def of(cls, pairs: Pairs, ratios: Array, unasked: frozenset[tuple[int, str]]) -> _Summary:
        paired = np.isfinite(ratios)
        n = paired.sum(axis=0)
        filled = np.where(paired, ratios, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = filled.sum(axis=0) / n
            squares = np.where(paired, (filled - mean) ** 2, 0.0).sum(axis=0)
            spread = np.sqrt(squares / (n - 1))
        both = np.isfinite(pairs.baseline) & np.isfinite(pairs.candidate)
        lost = np.isfinite(pairs.baseline) & ~(both & (pairs.baseline > 0) & (pairs.candidate > 0))
        for row, column in np.argwhere(lost & ~both) if unasked else ():
            lost[row, column] = (pairs.blocks[row], pairs.points[column].id) not in unasked
        return cls(
            n=n,
            mean=mean,
            spread=spread,
            baseline=medians(np.where(paired, pairs.baseline, np.nan).T),
            candidate=medians(np.where(paired, pairs.candidate, np.nan).T),
            unlike=(both & ~pairs.alike).sum(axis=0),
            lost=lost.sum(axis=0),
        )

    def numbers(self, column: int, bounds: Intervals, place: int, p_adjusted: float) -> Numbers | None:
        if self.n[column] < 2:
            return None
        return Numbers(
            ratio=math.exp(self.mean[column]),
            low=math.exp(bounds.low[place]),
            high=math.exp(bounds.high[place]),
            coverage=float(bounds.coverage[place]),
            p_adjusted=p_adjusted,
        )


@dataclass(frozen=True)
class _One:
    """What is known of one point before it is judged."""

    metric: Metric
    column: int
    summary: _Summary
    numbers: Numbers | None
    p: float
    tests: int

    @property
    def n(self) -> int:
        return int(self.summary.n[self.column])

    def runs_needed(self, effect: float, alpha: float) -> int | None:
        if self.n < 2:
            return None
        spread = float(self.summary.spread[self.column])
        return max(self.n + 1, blocks_to_decide(spread, math.log1p(effect), alpha, points=self.tests))


def _compare_point(
    one: _One, setting: Setting, odd: list[Caveat], drifting: tuple[Caveat, ...], *, judged: bool
) -> PointComparison:
    question, point = setting.question, setting.points[one.column]
    effect = question.effect_of(one.metric)
    moved = None if setting.controls is None else setting.controls.get((one.metric.name, point.id), ANYTHING)
    verdict = judge(one.numbers, one.metric.better, smallest_effect=effect, alpha=question.alpha, moved=moved)
    caveats = [*odd, *_verdict_caveats(one, verdict, question.alpha)]
    if moved is not None:
        caveats.append(_control_caveat(one, verdict, moved, question.alpha))
    unlike = int(one.summary.unlike[one.column])
    if unlike:
        text = f"in {unlike} blocks the two runs were made on different hosts or accelerators"
        caveats.append(Caveat(CaveatKind.UNLIKE, text))
    needed = one.runs_needed(effect, question.alpha) if verdict is Verdict.INCONCLUSIVE and moved is None else None
    lost = int(one.summary.lost[one.column])
    if lost and not setting.undone and verdict in (Verdict.NO_CHANGE_DETECTED, Verdict.IMPROVED):
        # The candidate may fail just where it is slow. Without those runs the others are no pass.
        verdict = Verdict.INCONCLUSIVE
        text = f"no pass: {lost} of {len(setting.blocks)} blocks lack a usable value that the candidate owes"
        caveats.append(Caveat(CaveatKind.MISSING, text))
    if setting.undone and verdict is not Verdict.INCONCLUSIVE:
        verdict, needed = Verdict.INCONCLUSIVE, len(setting.blocks)
    if setting.unlike or unlike:
        verdict, needed = Verdict.NOT_COMPARABLE, None
    return PointComparison(
        point=point,
        metric=one.metric,
        judged=judged,
        n=one.n,
        baseline=float(one.summary.baseline[one.column]) if one.n else None,
        candidate=float(one.summary.candidate[one.column]) if one.n else None,
        numbers=one.numbers,
        p=None if one.numbers is None else one.p,
        smallest_effect=effect,
        verdict=verdict,
        runs_needed=needed,
        caveats=(*caveats, *setting.unsteady.get(point.id, ()), *drifting),
        moved=moved,
    )


def _verdict_caveats(one: _One, verdict: Verdict, alpha: float) -> list[Caveat]:
    """Return what keeps the numbers and the verdict from seeming to contradict each other."""
    fewest = blocks_for_level(alpha)
    if one.n < fewest:
        text = f"{one.n} {'pair' if one.n == 1 else 'pairs'}; a verdict at alpha {alpha:g} needs at least {fewest}"
        return [Caveat(CaveatKind.BLOCKS, text)]
    assert one.numbers is not None
    excluded = one.numbers.low > 1 or one.numbers.high < 1
    if verdict is Verdict.NO_CHANGE_DETECTED and excluded:
        text = "a difference is there, but it is surely smaller than the smallest effect that matters"
        return [Caveat(CaveatKind.TINY, text)]
    if verdict is Verdict.INCONCLUSIVE and excluded and one.numbers.p_adjusted > alpha:
        text = f"significant alone (p {one.p:.3g}) but not among {one.tests} tests (p {one.numbers.p_adjusted:.3g})"
        return [Caveat(CaveatKind.FAMILY, text)]
    return []


def _control_caveat(one: _One, verdict: Verdict, moved: Interval, alpha: float) -> Caveat:
    """Return what one binary did between the two sessions, and whether that is why there is no verdict."""
    ends = ", ".join(text_from_signed(100 * (end - 1)) for end in moved)
    text = f"control: the same baseline binary moved by [{ends}] % between the two sessions"
    if moved == ANYTHING:
        text = "no control: no binary has pairs of runs in both sessions, so the host may have made any change"
    elif verdict is Verdict.INCONCLUSIVE and one.numbers is not None and one.numbers.p_adjusted <= alpha:
        text += ", so the host may have made all of this change"
    return Caveat(CaveatKind.SESSIONS, text)
