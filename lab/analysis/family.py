"""A family of metrics and points to comparisons: the tests whose false alarms are controlled together. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.analysis.caveats import Caveat, CaveatKind, drift_caveats, sample_caveats
from lab.analysis.frame import Pairs, pairs_from_frame
from lab.analysis.question import Question
from lab.analysis.signflip import Intervals, blocks_for_level, blocks_to_decide, intervals, p_values
from lab.analysis.verdict import Numbers, Verdict, judge
from lab.record import Point
from lab.units import Metric

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
        where there are too few pairs to know the spread.
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

    @property
    def ruled_out(self) -> float | None:
        """Return the relative change beyond which the interval rules out any, at its coverage; None for a finding."""
        if self.numbers is None or self.verdict not in (Verdict.NO_CHANGE_DETECTED, Verdict.INCONCLUSIVE):
            return None
        return max(abs(self.numbers.low - 1), abs(self.numbers.high - 1))


@dataclass(frozen=True)
class Setting:
    """What all families of an experiment have in common.

    :param blocks: numbers of the blocks that were planned or measured, ascending.
    :param unlike: why nothing may be compared, or nothing.
    :param undone: scheduled runs that were never made. While there are any, no verdict is given: a look on the way that
        may end the experiment would make the chance of a false alarm larger than ``alpha``.
    :param unsteady: by id of the point, caveats on runs that were not in steady state.
    """

    question: Question
    points: tuple[Point, ...]
    blocks: tuple[int, ...]
    unlike: tuple[str, ...]
    undone: int
    unsteady: Mapping[str, Sequence[Caveat]]


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
    for index, metric in enumerate(metrics):
        drifting = tuple(drift_caveats(pairs[index], metric, setting.question.effect_of(metric)))
        for column in range(len(setting.points)):
            place = index * len(setting.points) + column
            numbers = _numbers(ratios[:, place], bounds, place, adjusted[place])
            one = _One(metric, pairs[index], column, ratios[:, place], numbers, float(own[place]), tests)
            compared.append(_compare_point(one, setting, drifting, judged=judged))
    return compared


def _compare_point(one: _One, setting: Setting, drifting: tuple[Caveat, ...], *, judged: bool) -> PointComparison:
    question, point = setting.question, setting.points[one.column]
    effect = question.effect_of(one.metric)
    verdict = judge(one.numbers, one.metric.better, smallest_effect=effect, alpha=question.alpha)
    caveats = [*sample_caveats(one.pairs, one.column, effect), *_verdict_caveats(one, verdict, question.alpha)]
    if one.unlike:
        text = f"in {one.unlike} blocks the two runs were made on different hosts or accelerators"
        caveats.append(Caveat(CaveatKind.UNLIKE, text))
    needed = one.runs_needed(effect, question.alpha) if verdict is Verdict.INCONCLUSIVE else None
    if setting.undone and verdict is not Verdict.INCONCLUSIVE:
        verdict, needed = Verdict.INCONCLUSIVE, len(setting.blocks)
    if setting.unlike or one.unlike:
        verdict, needed = Verdict.NOT_COMPARABLE, None
    paired = np.isfinite(one.ratios)
    return PointComparison(
        point=point,
        metric=one.metric,
        judged=judged,
        n=int(paired.sum()),
        baseline=_median(one.pairs.baseline[paired, one.column]),
        candidate=_median(one.pairs.candidate[paired, one.column]),
        numbers=one.numbers,
        p=None if one.numbers is None else one.p,
        smallest_effect=effect,
        verdict=verdict,
        runs_needed=needed,
        caveats=(*caveats, *setting.unsteady.get(point.id, ()), *drifting),
    )


@dataclass(frozen=True)
class _One:
    """What is known of one point before it is judged."""

    metric: Metric
    pairs: Pairs
    column: int
    ratios: Array
    numbers: Numbers | None
    p: float
    tests: int

    @property
    def unlike(self) -> int:
        """Return in how many blocks both runs exist but were made under unlike conditions."""
        both = np.isfinite(self.pairs.baseline[:, self.column]) & np.isfinite(self.pairs.candidate[:, self.column])
        return int((both & ~self.pairs.alike[:, self.column]).sum())

    def runs_needed(self, effect: float, alpha: float) -> int | None:
        present = self.ratios[np.isfinite(self.ratios)]
        if len(present) < 2:
            return None
        spread = float(np.std(present, ddof=1))
        return max(len(present) + 1, blocks_to_decide(spread, math.log1p(effect), alpha, points=self.tests))


def _numbers(ratios: Array, bounds: Intervals, place: int, p_adjusted: float) -> Numbers | None:
    present = ratios[np.isfinite(ratios)]
    if len(present) < 2:
        return None
    return Numbers(
        ratio=math.exp(present.mean()),
        low=math.exp(bounds.low[place]),
        high=math.exp(bounds.high[place]),
        coverage=float(bounds.coverage[place]),
        p_adjusted=float(p_adjusted),
    )


def _verdict_caveats(one: _One, verdict: Verdict, alpha: float) -> list[Caveat]:
    """Return what keeps the numbers and the verdict from seeming to contradict each other."""
    pairs, fewest = int(np.isfinite(one.ratios).sum()), blocks_for_level(alpha)
    if pairs < fewest:
        text = f"{pairs} pairs; a verdict at alpha {alpha:g} needs at least {fewest}"
        return [Caveat(CaveatKind.BLOCKS, text)]
    assert one.numbers is not None
    excluded = one.numbers.low > 1 or one.numbers.high < 1
    if verdict is Verdict.NO_CHANGE_DETECTED and excluded:
        text = "a difference is there, but it is surely smaller than the smallest effect that matters"
        return [Caveat(CaveatKind.TINY, text)]
    if verdict is Verdict.INCONCLUSIVE and excluded:
        text = f"significant alone (p {one.p:.3g}) but not among {one.tests} tests (p {one.numbers.p_adjusted:.3g})"
        return [Caveat(CaveatKind.FAMILY, text)]
    return []


def _median(values: Array) -> float | None:
    return float(np.median(values)) if len(values) else None
