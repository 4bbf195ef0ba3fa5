"""The rule as a whole under simulated campaigns with a fixed seed: false alarms, power, coverage."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats

from lab.analysis.campaigns import called
from lab.analysis.findings import failures_of
from lab.analysis.signflip import Array, intervals, p_values
from lab.analysis.verdict import Interval, Numbers, Verdict, judge
from lab.record import Arm, Cell, Outcome, Point, RunRecord, ScheduledRun
from lab.units import Better

ALPHA, SMALLEST = 0.05, 0.02
ALARMS = {Verdict.REGRESSED, Verdict.IMPROVED}
Noise = Callable[[np.random.Generator, int, int], Array]


def normal(rng: np.random.Generator, campaigns: int, runs: int) -> Array:
    """Return 3 % noise."""
    return rng.normal(0, 0.03, (campaigns, runs))


def heavy_tailed(rng: np.random.Generator, campaigns: int, runs: int) -> Array:
    """Return noise of infinite variance: now and then a run is far off."""
    return 0.03 * rng.standard_t(2, (campaigns, runs))


def drifting(rng: np.random.Generator, campaigns: int, runs: int) -> Array:
    """Return a host that gets 30 % faster from the first run to the last."""
    return rng.normal(0, 0.01, (campaigns, runs)) + np.linspace(0, 0.3, runs)


def bimodal(rng: np.random.Generator, campaigns: int, runs: int) -> Array:
    """Return runs at one of two speeds 10 % apart."""
    return rng.normal(0, 0.01, (campaigns, runs)) + 0.1 * rng.integers(0, 2, (campaigns, runs))


def autocorrelated(rng: np.random.Generator, campaigns: int, runs: int) -> Array:
    """Return runs that resemble the one before (0.9)."""
    values = rng.normal(0, 0.03, (campaigns, runs))
    for run in range(1, runs):
        values[:, run] = 0.9 * values[:, run - 1] + math.sqrt(1 - 0.9**2) * values[:, run]
    return values


NOISES = [normal, heavy_tailed, drifting, bimodal, autocorrelated]


def simulated(seed: int, noise: Noise, campaigns: int, *, points: int, blocks: int, effect: float = 0.0) -> Array:
    """Return log ratios, campaigns x blocks x points: noise along the schedule, cells in random order in each block."""
    rng = np.random.default_rng(seed)
    cells = 2 * points
    along = noise(rng, campaigns, blocks * cells).reshape(campaigns, blocks, cells)
    order = rng.permuted(np.broadcast_to(np.arange(cells), along.shape), axis=2)
    placed = np.take_along_axis(along, order, axis=2)
    return np.asarray(placed[:, :, points:] - placed[:, :, :points] + math.log1p(effect))


def judged(ratios: Array, p: Array, moved: Sequence[Interval | None] = ()) -> list[Verdict]:
    """Judge points as lab/analysis/family.py does.

    :param ratios: blocks x points.
    :param moved: what the host may have done at each point between two sessions; nothing for arms of one.
    """
    bounds = intervals(ratios, ALPHA)
    hosts = moved or [None] * ratios.shape[1]
    rows = zip(ratios.mean(axis=0), bounds.low, bounds.high, bounds.coverage, p, hosts, strict=True)
    return [
        judge(
            Numbers(math.exp(mean), math.exp(low), math.exp(high), coverage, p_adjusted),
            Better.HIGHER,
            smallest_effect=SMALLEST,
            alpha=ALPHA,
            moved=host,
        )
        for mean, low, high, coverage, p_adjusted, host in rows
    ]


def judged_alone(ratios: Array) -> list[Verdict]:
    """Judge campaigns of a single point each, all of them at once."""
    columns = ratios[:, :, 0].T
    return judged(columns, p_values(columns)[0])


def share(verdicts: list[Verdict], wanted: set[Verdict]) -> float:
    """Return the share of verdicts that are among the wanted ones."""
    return sum(verdict in wanted for verdict in verdicts) / len(verdicts)


@pytest.mark.parametrize("noise", NOISES)
def test_false_alarms_of_a_single_point(noise: Noise) -> None:
    """Without an effect at most 5 % of 20 000 campaigns raise an alarm; 12 of 256 sign patterns are 4.7 %."""
    ratios = simulated(20250213, noise, 20_000, points=1, blocks=8)
    assert share(judged_alone(ratios), ALARMS) <= ALPHA


@pytest.mark.parametrize("noise", NOISES)
def test_false_alarms_at_any_of_three_points(noise: Noise) -> None:
    """Without an effect at most 5 % of 4000 campaigns raise an alarm at any of their points."""
    ratios = simulated(20250307, noise, 4000, points=3, blocks=6)
    assert called(ratios, alpha=ALPHA, smallest_effect=SMALLEST).alarms.mean() <= ALPHA


def test_false_alarms_beside_a_real_change() -> None:
    """A real change at one point does not make alarms at the others likelier (strong control)."""
    ratios = simulated(20250311, normal, 4000, points=3, blocks=8)
    ratios[:, :, 0] += 0.5
    said = called(ratios, alpha=ALPHA, smallest_effect=SMALLEST)
    assert said.higher[:, 0].all()
    assert (said.lower | said.higher)[:, 1:].any(axis=1).mean() <= ALPHA


def test_false_alarms_with_missing_pairs() -> None:
    """Pairs that are missing at random at some points do not raise the rate of false alarms."""
    ratios = simulated(20250312, heavy_tailed, 2000, points=3, blocks=8)
    gaps = np.random.default_rng(1).random(ratios.shape) < 0.15
    adjusted = [p_values(one)[1] for one in np.where(gaps, np.nan, ratios)]
    assert np.mean([p.min() <= ALPHA for p in adjusted]) <= ALPHA


def test_power_at_a_loss_of_five_percent() -> None:
    """With 3 % noise of a run and 8 blocks, a loss of 5 % is called a regression in at least 80 % of campaigns."""
    verdicts = judged_alone(simulated(20250307, normal, 20_000, points=1, blocks=8, effect=-0.05))
    assert share(verdicts, {Verdict.REGRESSED}) >= 0.8
    assert share(verdicts, {Verdict.IMPROVED}) == 0


def test_power_at_the_gain_that_makes_good_a_loss_of_five_percent() -> None:
    """The gain of the same size, from 0.95 to 1, is found as often as the loss: the rule prefers no direction."""
    verdicts = judged_alone(simulated(20250307, normal, 20_000, points=1, blocks=8, effect=1 / 0.95 - 1))
    assert share(verdicts, {Verdict.IMPROVED}) >= 0.8
    assert share(verdicts, {Verdict.REGRESSED}) == 0


def test_power_at_a_gain_of_exactly_five_percent() -> None:
    """A gain to 1.05 is a smaller step of logs than a loss to 0.95: 9 blocks are needed, 8 give what the t test gives.

    The paired t test at the whole of 5 % would find it in 79.6 % of campaigns with 8 blocks (noncentral t, 7 degrees of
    freedom), so no paired rule that keeps its level can reach 80 %; ours is within 4 points of it.
    """
    best = t_power(math.log(1.05) / (0.03 * math.sqrt(2)), 8)
    assert best == pytest.approx(0.796, abs=0.001)
    eight, nine = (
        share(
            judged_alone(simulated(20250307, normal, 20_000, points=1, blocks=blocks, effect=0.05)), {Verdict.IMPROVED}
        )
        for blocks in (8, 9)
    )
    assert best - 0.04 <= eight <= best
    assert nine >= 0.8


def t_power(effect: float, blocks: int) -> float:
    """Return the power of the two-sided paired t test, for an effect in standard deviations of a difference."""
    return float(stats.nct.sf(stats.t.ppf(1 - ALPHA / 2, blocks - 1), blocks - 1, effect * math.sqrt(blocks)))


def test_six_blocks_decide_three_points_that_change_together() -> None:
    """The quick profile (3 points, 6 blocks) finds a change of 20 % at every point under 5 % noise of a run."""
    ratios = simulated(3, lambda rng, c, r: rng.normal(0, 0.05, (c, r)), 500, points=3, blocks=6, effect=-0.2)
    everywhere = sum(set(judged(one, p_values(one)[1])) == {Verdict.REGRESSED} for one in ratios)
    assert everywhere / len(ratios) >= 0.9


def test_no_change_is_hardly_ever_said_of_a_change_that_matters() -> None:
    """A true change of just the smallest effect is called no change in at most alpha / 2 of campaigns."""
    quiet = simulated(5, lambda rng, c, r: rng.normal(0, 0.008, (c, r)), 20_000, points=1, blocks=8, effect=SMALLEST)
    two_standard_errors = 2 * math.sqrt(0.025 * 0.975 / 20_000)
    assert share(judged_alone(quiet), {Verdict.NO_CHANGE_DETECTED}) <= ALPHA / 2 + two_standard_errors


@pytest.mark.parametrize("noise", [normal, heavy_tailed, bimodal])
def test_intervals_cover_what_they_say(noise: Noise) -> None:
    """The interval of eight pairs holds the true difference in 95.3 % of campaigns, within the error of simulation."""
    ratios = simulated(11, noise, 20_000, points=1, blocks=8, effect=0.1)[:, :, 0].T
    bounds = intervals(ratios, ALPHA)
    inside = (bounds.low <= math.log(1.1)) & (math.log(1.1) <= bounds.high)
    assert inside.mean() == pytest.approx(float(bounds.coverage[0]), abs=0.005)


@pytest.mark.parametrize("noise", NOISES)
def test_false_alarms_against_another_session(noise: Noise) -> None:
    """The host moved by 10 %, give or take, between two sessions: 2000 campaigns without an effect, 5 % alarms at most.

    Judged without the control, most of them would be alarms.
    """
    verdicts, careless = two_sessions(noise, effect=0.0)
    assert share(verdicts, ALARMS) <= ALPHA
    assert share(careless, ALARMS) > (0.2 if noise in (heavy_tailed, bimodal) else 0.5)


def test_power_against_another_session() -> None:
    """A loss of 15 % under 3 % noise is found beside such a host, and never called a gain."""
    verdicts, _ = two_sessions(normal, effect=-0.15)
    assert share(verdicts, {Verdict.REGRESSED}) >= 0.8
    assert share(verdicts, {Verdict.IMPROVED}) == 0


def two_sessions(noise: Noise, *, effect: float) -> tuple[list[Verdict], list[Verdict]]:
    """Return the verdicts on 2000 candidates against a stored baseline of 8 blocks, with the control and without."""
    rng, campaigns, blocks = np.random.default_rng(20250401), 2000, 8
    before = noise(rng, campaigns, blocks)
    after = noise(rng, campaigns, 2 * blocks).reshape(campaigns, blocks, 2) + rng.normal(0, 0.1, (campaigns, 1, 1))
    after = rng.permuted(after, axis=2)
    measured = (after[:, :, 1] + math.log1p(effect) - before).T
    control = intervals((after[:, :, 0] - before).T, ALPHA)
    moved = list(zip(np.exp(control.low), np.exp(control.high), strict=True))
    p = p_values(measured)[0]
    return judged(measured, p, moved), judged(measured, p)


def failing_alike(rng: np.random.Generator, share: float) -> list[RunRecord]:
    """Return the records of 3 points and 6 blocks, in which a share of attempts hang; they are tried twice."""
    records = []
    for arm in Arm:
        for place in range(18):
            run = ScheduledRun(1 + place // 3, 1 + place % 3, Cell(arm, Point.from_levels({"t": place % 3})), 1)
            for attempt in (1, 2):
                outcome = Outcome.GUEST_HUNG if rng.random() < share else Outcome.OK
                records.append(RunRecord(run, attempt, outcome, "2025-02-13T18:00:43Z", 1.0, "f00d", "tcg", {}))
                if outcome is Outcome.OK:
                    break
    return records


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_guests_that_hang_alike_are_seldom_a_finding(share: float) -> None:
    """Of 200 experiments whose arms hang as often, at most 2.5 % are findings; many are doubts, and so no pass."""
    rng = np.random.default_rng(20250213)
    said = [failures_of(failing_alike(rng, share), ALPHA) for _ in range(200)]
    assert sum(bool(one.findings) for one in said) <= 5
    assert sum(bool(one.doubts) for one in said) >= 60
