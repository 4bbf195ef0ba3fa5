"""The rule as a whole under simulated campaigns with a fixed seed: false alarms, power, coverage."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from lab.analysis.signflip import Array, intervals, p_values
from lab.analysis.verdict import Numbers, Verdict, judge
from lab.units import Better

ALPHA, SMALLEST = 0.05, 0.02
CAMPAIGNS = 2000
POINTS, BLOCKS = 3, 6
Noise = Callable[[np.random.Generator, int], Array]


def normal(rng: np.random.Generator, runs: int) -> Array:
    return rng.normal(0, 0.03, runs)


def heavy_tailed(rng: np.random.Generator, runs: int) -> Array:
    return 0.03 * rng.standard_t(2, runs)


def drifting(rng: np.random.Generator, runs: int) -> Array:
    return rng.normal(0, 0.01, runs) + np.linspace(0, 0.3, runs)


def bimodal(rng: np.random.Generator, runs: int) -> Array:
    return rng.normal(0, 0.01, runs) + 0.1 * rng.integers(0, 2, runs)


def autocorrelated(rng: np.random.Generator, runs: int) -> Array:
    steps = rng.normal(0, 0.03, runs)
    values = np.empty(runs)
    values[0] = steps[0]
    for index in range(1, runs):
        values[index] = 0.9 * values[index - 1] + math.sqrt(1 - 0.9**2) * steps[index]
    return values


def campaign(rng: np.random.Generator, noise: Noise, *, points: int, blocks: int, effect: float) -> Array:
    """Return log ratios, blocks x points: noise along the schedule, the cells of each block in random order."""
    cells = 2 * points
    along = noise(rng, blocks * cells).reshape(blocks, cells)
    placed = np.take_along_axis(along, rng.permuted(np.tile(np.arange(cells), (blocks, 1)), axis=1), axis=1)
    return placed[:, points:] - placed[:, :points] + math.log1p(effect)


def verdicts(ratios: Array) -> list[Verdict]:
    """Judge one campaign as lab/analysis/family.py does."""
    _, adjusted = p_values(ratios)
    bounds = intervals(ratios, ALPHA)
    means = ratios.mean(axis=0)
    return [
        judge(
            Numbers(math.exp(mean), math.exp(low), math.exp(high), coverage, p),
            Better.HIGHER,
            smallest_effect=SMALLEST,
            alpha=ALPHA,
        )
        for mean, low, high, coverage, p in zip(means, bounds.low, bounds.high, bounds.coverage, adjusted, strict=True)
    ]


@pytest.mark.parametrize("noise", [normal, heavy_tailed, drifting, bimodal, autocorrelated])
@pytest.mark.parametrize(("points", "blocks"), [(3, 6), (1, 8)])
def test_false_alarms_at_any_point_stay_below_alpha(noise: Noise, points: int, blocks: int) -> None:
    """Without an effect at most 5 % of 2000 campaigns raise an alarm at any point, whatever the noise looks like."""
    rng = np.random.default_rng(20250213)
    alarms = sum(
        bool(
            {Verdict.REGRESSED, Verdict.IMPROVED}
            & set(verdicts(campaign(rng, noise, points=points, blocks=blocks, effect=0)))
        )
        for _ in range(CAMPAIGNS)
    )
    assert alarms / CAMPAIGNS <= ALPHA


def test_false_alarms_beside_a_real_change() -> None:
    """A real change at one point does not make alarms at the others likelier (strong control)."""
    rng = np.random.default_rng(20250311)
    alarms = 0
    for _ in range(CAMPAIGNS):
        ratios = campaign(rng, normal, points=3, blocks=8, effect=0)
        ratios[:, 0] += 0.5
        alarms += any(verdict in (Verdict.REGRESSED, Verdict.IMPROVED) for verdict in verdicts(ratios)[1:])
    assert alarms / CAMPAIGNS <= ALPHA


def test_power_at_five_percent() -> None:
    """With 3 % noise of a run and 8 blocks, a loss of 5 % is called a regression in at least 80 % of campaigns."""
    rng = np.random.default_rng(20250307)
    found = [verdicts(campaign(rng, normal, points=1, blocks=8, effect=-0.05))[0] for _ in range(CAMPAIGNS)]
    assert found.count(Verdict.REGRESSED) / CAMPAIGNS >= 0.8
    assert found.count(Verdict.IMPROVED) == 0


def test_no_change_is_hardly_ever_said_of_a_change_that_matters() -> None:
    """A true change of just the smallest effect is called no change in at most alpha / 2 of campaigns."""
    rng = np.random.default_rng(5)
    quiet: Noise = lambda rng, runs: rng.normal(0, 0.008, runs)  # noqa: E731 - one expression, used once
    found = [verdicts(campaign(rng, quiet, points=1, blocks=8, effect=SMALLEST))[0] for _ in range(CAMPAIGNS)]
    assert found.count(Verdict.NO_CHANGE_DETECTED) / CAMPAIGNS <= ALPHA / 2 + 0.007  # two standard errors


@pytest.mark.parametrize("noise", [normal, heavy_tailed, bimodal])
def test_intervals_cover_what_they_say(noise: Noise) -> None:
    """The interval of eight pairs holds the true difference in 95.3 % of campaigns, within the error of simulation."""
    rng = np.random.default_rng(11)
    ratios = np.stack([campaign(rng, noise, points=1, blocks=8, effect=0.1)[:, 0] for _ in range(4000)], axis=1)
    bounds = intervals(ratios, ALPHA)
    inside = (bounds.low <= math.log(1.1)) & (math.log(1.1) <= bounds.high)
    assert inside.mean() == pytest.approx(float(bounds.coverage[0]), abs=0.012)
