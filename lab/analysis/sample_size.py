"""A host's noise and a wanted resolution to the number of blocks that would settle every point. Pure.

The size of an experiment is fixed before its first boot (docs/decisions/0015-sample-size-and-calibration.md); this is
where the number comes from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.analysis.calibration import Calibration
from lab.analysis.signflip import blocks_to_decide
from lab.errors import InputError


@dataclass(frozen=True)
class Needed:
    """What one point needs.

    :param spread: standard deviation of a pair's log ratio, from A/A runs.
    :param blocks: with them a change of the wanted size is found, and the absence of any is shown, in 80 % of cases.
    """

    point: str
    metric: str
    spread: float
    blocks: int


@dataclass(frozen=True)
class SampleSize:
    """What an experiment needs.

    :param effect: relative change that shall be resolved.
    :param missing: points that the calibration knows nothing of.
    """

    effect: float
    needed: tuple[Needed, ...]
    missing: tuple[str, ...]

    @property
    def blocks(self) -> int:
        """Return the blocks that settle every point that is known."""
        return max(one.blocks for one in self.needed)


def sample_size(
    calibration: Calibration, points: Sequence[str], metrics: Sequence[str], *, effect: float, alpha: float
) -> SampleSize:
    """Return how many blocks resolve an effect.

    :param points: ids of the points of the job.
    :param metrics: names of those that decide; they and the points make up the family.
    :param effect: relative change.
    :raise InputError: the calibration knows none of the points.
    """
    needed, missing = [], []
    for metric in metrics:
        for point in points:
            spread = calibration.spread_of(point, metric)
            if spread is None:
                missing.append(f"{point}, {metric}")
                continue
            blocks = blocks_to_decide(spread, math.log1p(effect), alpha, points=len(points) * len(metrics))
            needed.append(Needed(point, metric, spread, blocks))
    if not needed:
        raise InputError(
            "the calibration of this host has none of the job's points: the job was changed since",
            remedy="run 'lab calibrate' again, with --results for a new folder",
        )
    return SampleSize(effect, tuple(needed), tuple(missing))
