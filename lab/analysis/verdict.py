"""Numbers of one point to a verdict, and the verdicts of all points to the one of the experiment. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lab.errors import ExitCode
from lab.units import Better

Interval = tuple[float, float]

ANYTHING: Interval = (0.0, math.inf)
"""What a host may have done between two sessions where no binary was measured in both."""


class Verdict(StrEnum):
    """What a comparison says."""

    REGRESSED = "REGRESSED"
    IMPROVED = "IMPROVED"
    NO_CHANGE_DETECTED = "NO_CHANGE_DETECTED"
    """The interval lies inside plus or minus the smallest effect: a larger change is ruled out."""
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_COMPARABLE = "NOT_COMPARABLE"

    @property
    def exit_code(self) -> ExitCode:
        """Return what ``lab`` tells the shell. Only a decision is ever 0 or 1."""
        if self is Verdict.REGRESSED:
            return ExitCode.FINDING
        if self in (Verdict.INCONCLUSIVE, Verdict.NOT_COMPARABLE):
            return ExitCode.UNDECIDED
        return ExitCode.DONE


@dataclass(frozen=True)
class Numbers:
    """What the verdict of a point depends on.

    :param ratio: candidate over baseline.
    :param low: lower end of the interval of the ratio.
    :param high: upper end, likewise.
    :param coverage: what the interval really covers.
    :param p_adjusted: adjusted over the family of points.
    """

    ratio: float
    low: float
    high: float
    coverage: float
    p_adjusted: float


def own_interval(numbers: Numbers, moved: Interval | None) -> Interval:
    """Return the interval of what the candidate changed by itself, where the host may have moved between the arms.

    The ends are divided crosswise. For normal noise that is never too narrow, whatever runs the two intervals share:
    the deviation of a difference is at most the sum of the two.

    :param moved: the interval of the host's own ratio between the two sessions; None for arms of one session.
    """
    if moved is None:
        return numbers.low, numbers.high
    low, high = moved
    return numbers.low / high, numbers.high / low if low > 0 else math.inf


def judge(
    numbers: Numbers | None, better: Better, *, smallest_effect: float, alpha: float, moved: Interval | None = None
) -> Verdict:
    """Return the verdict of a point.

    Equivalence comes first: a difference that is surely too small to matter is not a finding, however surely it exists.

    :param numbers: None where there are fewer than two pairs.
    :param smallest_effect: relative change that matters; 0.02 is 2 %.
    :param alpha: accepted chance of a false alarm at any point of the family.
    :param moved: as in :func:`own_interval`. A change that the host may have made is none of the candidate's. Nor is
        one whose interval has no change in it: beyond 14 blocks p and interval are drawn apart, and both must agree.
    """
    if numbers is None:
        return Verdict.INCONCLUSIVE
    low, high = own_interval(numbers, moved)
    reliable = numbers.coverage >= 1 - alpha
    if reliable and low >= 1 - smallest_effect and high <= 1 + smallest_effect:
        return Verdict.NO_CHANGE_DETECTED
    if numbers.p_adjusted > alpha or low <= 1 <= high:
        return Verdict.INCONCLUSIVE
    raised = low > 1
    return Verdict.IMPROVED if raised == (better is Better.HIGHER) else Verdict.REGRESSED


_ORDER = (
    Verdict.REGRESSED,
    Verdict.NOT_COMPARABLE,
    Verdict.INCONCLUSIVE,
    Verdict.IMPROVED,
    Verdict.NO_CHANGE_DETECTED,
)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of an experiment: the gravest of its points. Without any point nothing was decided."""
    found = set(verdicts)
    return next((verdict for verdict in _ORDER if verdict in found), Verdict.INCONCLUSIVE)
