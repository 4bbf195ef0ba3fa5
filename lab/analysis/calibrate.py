"""Campaigns without a difference, and with a known one, to a calibration. Pure but for its fixed random seed.

The numbers of an A/A campaign are pairs of runs of one and the same binary. From them come

- the spread of each point, as it is;
- the false alarm rate: experiments of the asked size are put together from blocks drawn with replacement, each point's
  mean taken out first (nothing differs, so a mean is chance), and judged by the rule of reports. Every pair of a block
  is drawn together, so what points share stays shared. The interval is the one of that rate over resampled sets of
  blocks: with few blocks it is wide, and says so;
- the smallest change caught: the same experiments with a loss put in, made larger until 80 % are called regressed.

Real experiments are counted beside it: the campaign is cut into disjoint runs of blocks, each judged by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.analysis.calibration import Calibration, PointNoise, Shift, Target, conditions_of
from lab.analysis.campaigns import Called, called
from lab.analysis.compare import Comparison, points_in_order
from lab.analysis.frame import pairs_from_frame
from lab.analysis.signflip import blocks_for_level
from lab.errors import InputError
from lab.units import Better

Array = NDArray[np.float64]

_SEED = 20250213
_EXPERIMENTS = 1000
_OUTER, _INNER = 40, 250
_POWER = 0.8
_STEPS = 14
_MOST_SPREADS = 3.0


@dataclass(frozen=True)
class Campaign:
    """A judged campaign of a known kind.

    :param kind: as in :class:`Shift`.
    """

    kind: str
    latency_ns: int
    comparison: Comparison


def calibration_from_campaigns(
    target: Target, alike: Comparison, others: Sequence[Campaign], *, blocks: int, measured_at: str
) -> Calibration:
    """Return what the campaigns say of the host.

    :param alike: the A/A campaign: both arms are one binary.
    :param others: rebuilds and injected slowdowns.
    :param blocks: size of the experiments that the rates shall hold for.
    :raise InputError: the A/A campaign has too few complete blocks.
    """
    question = alike.results.question
    points = points_in_order(alike.results)
    numbers = sorted({run.block for run in alike.results.schedule})
    ratios = np.concatenate(
        [
            pairs_from_frame(alike.frame, metric.name, points, tuple(numbers)).log_ratios()
            for metric in question.metrics
        ],
        axis=1,
    )
    ratios = ratios[np.isfinite(ratios).all(axis=1)]
    fewest = blocks_for_level(question.alpha)
    if len(ratios) < fewest:
        raise InputError(
            f"the A/A campaign has {len(ratios)} complete blocks; {fewest} are the fewest that say anything",
            remedy="look into its failed runs, then run 'lab calibrate' again",
        )
    columns = [(metric, point) for metric in question.metrics for point in points]
    effects = np.array([question.effect_of(metric) for metric, _ in columns])
    rule = _Rule(question.alpha, effects, blocks)
    worse = np.array([-1.0 if metric.better is Better.HIGHER else 1.0 for metric, _ in columns])
    rate, low, high = rule.false_alarms(ratios)
    caught = rule.smallest_changes(ratios, worse)
    real = rule.real_alarms(ratios)
    return Calibration(
        target=target,
        measured_at=measured_at,
        alpha=question.alpha,
        blocks=blocks,
        campaigns=len(real),
        alarms=int(sum(real)),
        false_alarm_rate=rate,
        false_alarm_low=low,
        false_alarm_high=high,
        noise=tuple(
            PointNoise(point.id, metric.name, len(ratios), float(np.std(ratios[:, column], ddof=1)), caught[column])
            for column, (metric, point) in enumerate(columns)
        ),
        shifts=tuple(shift for campaign in others for shift in _shifts(campaign)),
        folders=tuple(c.results.path.name for c in (alike, *(campaign.comparison for campaign in others))),
        conditions=conditions_of(alike.results),
    )


@dataclass(frozen=True)
class _Rule:
    """The rule of reports, applied to experiments put together from measured blocks."""

    alpha: float
    effects: Array
    blocks: int

    def false_alarms(self, ratios: Array) -> tuple[float, float, float]:
        """Return the rate of alarms without a difference, and a 95 % interval of it."""
        rng = np.random.default_rng(_SEED)
        rate = self._alarms(ratios, _EXPERIMENTS, rng)
        again = [self._alarms(ratios[rng.integers(0, len(ratios), len(ratios))], _INNER, rng) for _ in range(_OUTER)]
        low, high = np.quantile([*again, rate], (0.025, 0.975))
        return rate, float(low), float(high)

    def smallest_changes(self, ratios: Array, worse: Array) -> list[float | None]:
        """Return, per column, the smallest relative change to the worse that is caught often enough."""
        rng = np.random.default_rng(_SEED)
        drawn = self._drawn(ratios - ratios.mean(axis=0), _EXPERIMENTS, rng)
        found: list[float | None] = []
        for column, sign in enumerate(worse):
            # Twice the smallest effect: exactly that much is "no change", and counts have no spread to add.
            largest = _MOST_SPREADS * float(np.std(ratios[:, column], ddof=1)) + 2 * math.log1p(self.effects[column])
            low, high = 0.0, largest
            if self._caught(drawn, column, sign * high) < _POWER:
                found.append(None)
                continue
            for _ in range(_STEPS):
                middle = (low + high) / 2
                low, high = (low, middle) if self._caught(drawn, column, sign * middle) >= _POWER else (middle, high)
            found.append(abs(math.expm1(sign * high)))
        return found

    def real_alarms(self, ratios: Array) -> list[bool]:
        """Return whether each disjoint run of blocks, as they were measured, raises an alarm."""
        whole = len(ratios) // self.blocks
        if not whole:
            return []
        cut = ratios[: whole * self.blocks].reshape(whole, self.blocks, ratios.shape[1])
        return [bool(alarm) for alarm in self._called(cut).alarms]

    def _alarms(self, ratios: Array, experiments: int, rng: np.random.Generator) -> float:
        return float(self._called(self._drawn(ratios - ratios.mean(axis=0), experiments, rng)).alarms.mean())

    def _drawn(self, ratios: Array, experiments: int, rng: np.random.Generator) -> Array:
        return np.asarray(ratios[rng.integers(0, len(ratios), (experiments, self.blocks))])

    def _caught(self, drawn: Array, column: int, effect: float) -> float:
        changed = drawn.copy()
        changed[:, :, column] += effect
        said = self._called(changed)
        return float((said.lower if effect < 0 else said.higher)[:, column].mean())

    def _called(self, ratios: Array) -> Called:
        return called(ratios, alpha=self.alpha, smallest_effect=self.effects)


def _shifts(campaign: Campaign) -> list[Shift]:
    return [
        Shift(
            kind=campaign.kind,
            latency_ns=campaign.latency_ns,
            point=point.point.id,
            metric=point.metric.name,
            change=point.numbers.ratio - 1,
            low=point.numbers.low - 1,
            high=point.numbers.high - 1,
            verdict=point.verdict.value,
            folder=campaign.comparison.results.path.name,
        )
        for point in campaign.comparison.judged
        if point.numbers is not None
    ]
