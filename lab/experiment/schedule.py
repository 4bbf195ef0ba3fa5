"""Cells and a seed to the order in which they are run, drawn before the first boot.

A block holds every cell exactly once, so that drift of the host hits both arms of every point alike; the order within
a block is shuffled, so that no cell always follows the same one. Nothing that is measured changes the schedule.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence

from lab.record import Arm, Cell, Level, Point, ScheduledRun


def points_from_factors(factors: Mapping[str, Sequence[Level]]) -> tuple[Point, ...]:
    """Return every combination of levels; one empty point where nothing is varied."""
    names = sorted(factors)
    return tuple(
        Point.from_levels(dict(zip(names, levels, strict=True)))
        for levels in itertools.product(*(factors[name] for name in names))
    )


def cells_from_points(points: Sequence[Point]) -> tuple[Cell, ...]:
    """Return each point in both arms, arms next to each other."""
    return tuple(Cell(arm, point) for point in points for arm in Arm)


def draw_schedule(cells: Sequence[Cell], *, blocks: int, seed: int) -> tuple[ScheduledRun, ...]:
    """Draw the order of all runs.

    :param blocks: number of complete blocks.
    :param seed: the same seed gives the same schedule, on every Python (random.Random is stable across versions
        for ``shuffle`` and ``getrandbits``).
    :return: the runs in order; each carries a seed of its own for its workload.
    """
    source = random.Random(seed)  # noqa: S311 - reproducible on purpose
    runs: list[ScheduledRun] = []
    for block in range(1, blocks + 1):
        order = list(cells)
        source.shuffle(order)
        for position, cell in enumerate(order, start=1):
            runs.append(ScheduledRun(block, position, cell, source.getrandbits(31)))
    return tuple(runs)
