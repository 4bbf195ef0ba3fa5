"""Whole bisections of simulated series with a fixed seed: how often a patch is named, and how often a wrong one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from lab.analysis.signflip import Array, intervals, p_values
from lab.analysis.symptom import Presence, presence_at_point
from lab.analysis.verdict import Numbers, Verdict, judge
from lab.experiment.bisect import Answer, Bisection, Kind, Outcome, Step, bisect
from lab.experiment.bisect_job import MORE
from lab.units import Better

ALPHA, SMALLEST = 0.05, 0.02
ANSWERS = {
    Presence.SHOWN: Answer.SHOWN,
    Presence.ABSENT: Answer.ABSENT,
    Presence.UNDECIDED: Answer.UNDECIDED,
}


class SimulatedJudge:
    """Measures a series whose patches do what the test says; the rule is the lab's own.

    :param effects: of each patch, as fraction: -0.05 is a loss of 5 %.
    :param noise: standard deviation of a run's logarithm.
    """

    def __init__(self, rng: np.random.Generator, effects: Sequence[float], *, noise: float, blocks: int) -> None:
        self.rng, self.noise, self.blocks = rng, noise, blocks
        self.logs = [math.log1p(effect) for effect in effects]
        self.full = 0.0

    def judge(self, kind: Kind, low: int, high: int) -> Step:
        """Draw the runs of one stage, and of a second one where the first does not decide."""
        ratios = np.empty(0)
        for blocks in (self.blocks, MORE * self.blocks):
            truth = sum(self.logs[low:high])
            ratios = np.concatenate([ratios, self.rng.normal(truth, self.noise * math.sqrt(2), blocks)])
            presence = self.presence(kind, ratios[:, None])
            if presence is not Presence.UNDECIDED:
                break
        return Step(kind, low, high, ANSWERS[presence], "")

    def presence(self, kind: Kind, ratios: Array) -> Presence:
        """Judge pairs as lab.analysis does."""
        adjusted, bounds = p_values(ratios)[1], intervals(ratios, ALPHA)
        mean = float(ratios.mean())
        numbers = Numbers(
            math.exp(mean),
            math.exp(float(bounds.low[0])),
            math.exp(float(bounds.high[0])),
            float(bounds.coverage[0]),
            float(adjusted[0]),
        )
        verdict = judge(numbers, Better.HIGHER, smallest_effect=SMALLEST, alpha=ALPHA)
        if kind is not Kind.WHOLE:
            return presence_at_point(
                numbers, verdict, Better.HIGHER, full=self.full, alpha=ALPHA, alone=kind is Kind.CONFIRM
            )
        self.full = mean
        if verdict is Verdict.REGRESSED:
            return Presence.SHOWN
        return Presence.UNDECIDED if verdict is Verdict.INCONCLUSIVE else Presence.ABSENT


def bisections(
    effects: Sequence[float], *, count: int, noise: float = 0.03, blocks: int = 8, seed: int = 3
) -> list[Bisection]:
    """Return the outcome of many bisections of one series."""
    rng = np.random.default_rng(seed)
    return [bisect(SimulatedJudge(rng, effects, noise=noise, blocks=blocks), len(effects)) for _ in range(count)]


def shares(found: Sequence[Bisection], culprit: int) -> dict[str, float]:
    """Return how often each thing came out; ``right`` and ``wrong`` are patches that were named."""
    kinds = Counter(
        ("right" if one.high == culprit else "wrong") if one.outcome is Outcome.FOUND else one.outcome.value
        for one in found
    )
    return {kind: count / len(found) for kind, count in kinds.items()}


@pytest.mark.parametrize("culprit", [1, 8])
def test_a_wrong_patch_is_hardly_ever_named(culprit: int) -> None:
    """Eight patches, one costs 5 %, 3 % noise, 8 blocks: 0.1 % in the long run, the right one in 70 % or more.

    The first patch is the easiest, every step shows it; for the last one three steps have to rule it out.
    """
    effects = [-0.05 if patch == culprit else 0.0 for patch in range(1, 9)]
    said = shares(bisections(effects, count=60), culprit)
    assert said.get("wrong", 0) <= 0.02
    assert said["right"] >= (0.95 if culprit == 1 else 0.55)


def test_a_series_that_changes_nothing_has_no_culprit() -> None:
    """Two mistakes in a row are needed: the whole series, and then a patch measured on its own."""
    found = bisections([0.0] * 8, count=80)
    assert not [one for one in found if one.outcome is Outcome.FOUND]
    assert sum(one.outcome is Outcome.NOTHING for one in found) >= 0.3 * len(found)


def test_a_regression_that_is_the_sum_of_many_is_mostly_pinned_on_none() -> None:
    """Eight patches of 1.25 % each: what is named costs something, but most of the time no single one can be seen."""
    said = shares(bisections([-0.0125] * 8, count=40), culprit=0)
    assert said["not-confirmed"] > said.get("wrong", 0)


def test_the_large_one_is_found_beside_small_ones() -> None:
    """The search asks for half of the whole: a patch of -2 % before it does not stand in for one of -20 %."""
    effects = [-0.02, 0, 0, 0, -0.2, 0, -0.02, 0]
    assert shares(bisections(effects, count=40), culprit=5)["right"] >= 0.95


def test_a_loss_that_a_later_patch_takes_back_is_hardly_ever_followed() -> None:
    """The whole series does not show it; where it seems to by chance, the first patch is named, which does cost 5 %."""
    said = shares(bisections([-0.05, 0.0526], count=40), culprit=1)
    assert said.get("right", 0) <= 0.1 and "wrong" not in said
