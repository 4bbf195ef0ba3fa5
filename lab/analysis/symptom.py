"""What a whole series does to a job, and whether a part of the series does it too. Pure.

A bisection asks one question many times: is *at least half* of what the whole series costs there already? Half, because
then one patch that costs most of it is found even where others cost a little, and because "the same as the whole"
could never be ruled out (docs/decisions/0014-bisect.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lab.analysis.compare import Comparison
from lab.analysis.findings import count_failures, p_of_failures
from lab.analysis.verdict import Numbers, Verdict
from lab.errors import ExitCode
from lab.record import Arm, Point
from lab.units import Better

Key = tuple[str, Point]
_UNCHANGED = (Verdict.NO_CHANGE_DETECTED, Verdict.IMPROVED)


class Presence(StrEnum):
    """Whether a comparison shows what the whole series showed."""

    SHOWN = "shown"
    ABSENT = "absent"
    UNDECIDED = "undecided"
    UNMEASURABLE = "unmeasurable"
    """The candidate of this part fails in another way, so that nothing can be said about what is looked for."""


@dataclass(frozen=True)
class Symptom:
    """What the whole series does.

    :param effects: log ratio (candidate over baseline) of each metric and point that regressed.
    :param failing: share of the candidate's attempts that failed, where it breaks something the baseline does not; then
        that is followed, and the speed is not. 0 where nothing breaks.
    """

    effects: Mapping[Key, float] = field(default_factory=dict)
    failing: float = 0.0

    @property
    def points(self) -> tuple[Point, ...]:
        """Return the points to follow; none where all of the job has to be."""
        return () if self.failing else tuple(dict.fromkeys(point for _, point in self.effects))


def symptom_of(whole: Comparison) -> Symptom | None:
    """Return what the whole series does; None where nothing regressed and nothing breaks."""
    if whole.findings:
        failed, tried = count_failures(whole.results.records, Arm.CANDIDATE)
        return Symptom(failing=failed / tried)
    effects = {
        (point.metric.name, point.point): math.log(point.numbers.ratio)
        for point in whole.judged
        if point.verdict is Verdict.REGRESSED and point.numbers is not None
    }
    return Symptom(effects) if effects else None


def presence_in_whole(whole: Comparison) -> Presence:
    """Return whether there is anything to find."""
    if symptom_of(whole) is not None:
        return Presence.SHOWN
    return Presence.ABSENT if whole.exit_code is ExitCode.DONE else Presence.UNDECIDED


def presence_in_part(part: Comparison, symptom: Symptom) -> Presence:
    """Return whether the base and the first patches show at least half of what the whole series shows."""
    return _presence(part, symptom, alone=False)


def presence_in_patch(patch: Comparison, symptom: Symptom) -> Presence:
    """Return whether one patch, against the one before it, regresses anything that the whole series did.

    Any regression counts here, also a smaller one than half: the question is whether *this* patch costs something.
    Failures have to be more than the other arm's, by the same ``alpha`` / 2 as a regression.
    """
    return _presence(patch, symptom, alone=True)


def _presence(comparison: Comparison, symptom: Symptom, *, alone: bool) -> Presence:
    if symptom.failing:
        return _failing(comparison, symptom, alone=alone)
    if comparison.results.undone or any(point.verdict is Verdict.NOT_COMPARABLE for point in comparison.judged):
        return Presence.UNDECIDED
    if comparison.findings:
        return Presence.UNMEASURABLE
    alpha = comparison.results.question.alpha
    return together(
        presence_at_point(point.numbers, point.verdict, point.metric.better, full=full, alpha=alpha, alone=alone)
        for point in comparison.judged
        if (full := symptom.effects.get((point.metric.name, point.point))) is not None
    )


def presence_at_point(
    numbers: Numbers | None, verdict: Verdict, better: Better, *, full: float, alpha: float, alone: bool
) -> Presence:
    """Return what one point says.

    :param full: log ratio that the whole series had here.
    :param alpha: of the question; an interval that covers less than 1 - alpha rules nothing out.
    :param alone: one patch against the one before it; else the base with the first patches.
    """
    if verdict in _UNCHANGED:
        return Presence.ABSENT
    if numbers is None:
        return Presence.UNDECIDED
    worst = -math.log(numbers.low) if better is Better.HIGHER else math.log(numbers.high)
    less_than_half = numbers.coverage >= 1 - alpha and worst < abs(full) / 2
    if verdict is Verdict.REGRESSED and (alone or not less_than_half):
        return Presence.SHOWN
    return Presence.ABSENT if less_than_half and not alone else Presence.UNDECIDED


def together(presences: Iterable[Presence]) -> Presence:
    """Return what several points say: one that shows it is enough, and all must be free of it."""
    found = set(presences)
    if Presence.SHOWN in found:
        return Presence.SHOWN
    return Presence.ABSENT if found == {Presence.ABSENT} else Presence.UNDECIDED


def _failing(comparison: Comparison, symptom: Symptom, *, alone: bool) -> Presence:
    """Judge by failures: that none was seen says something only where some would have been, had they been there.

    One crash is enough to go on searching. To name a patch it is not: a crash that the base has as well, now and then,
    comes to one arm and not to the other by luck.
    """
    alpha = comparison.results.question.alpha
    failed, tried = count_failures(comparison.results.records, Arm.CANDIDATE)
    if alone:
        others = count_failures(comparison.results.records, Arm.BASELINE)
        shown = failed > 0 and p_of_failures((failed, tried), others) <= alpha / 2
    else:
        shown = bool(comparison.findings)
    if shown:
        return Presence.SHOWN
    if failed or not tried:
        return Presence.UNDECIDED
    by_luck = (1 - symptom.failing) ** tried
    return Presence.ABSENT if by_luck <= alpha else Presence.UNDECIDED
