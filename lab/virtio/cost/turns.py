"""Bursts during which the main loop turned more or less often by chance, to what they cost at the same number of turns.

How often QEMU's main loop turns during a burst depends on when it is woken up: what came while it was busy is served in
the same turn, what came after it fell asleep takes another one. A turn costs the same each time (5402 instructions in
QEMU 10.0.13), so its cost in each function shows in bursts of one size that differ in their turns, and can be taken out
of all of them. Turns that grow with the number of operations are no chance, and stay in.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence

Functions = Mapping[str, float]
"""Instructions by function."""

_TURN = "main_loop_wait"
"""Called once for each turn, and of the same length each time (util/main-loop.c)."""
_MOST_BY_CHANCE = 0.01
"""Of the cost of an operation: turns that cost more are the operation's doing. What is judged begins there, too."""


def at_equal_turns(
    small: Sequence[Functions], large: Sequence[Functions]
) -> tuple[tuple[Functions, ...], tuple[Functions, ...]]:
    """Return bursts of two sizes, turns that came by chance taken out of them.

    Where the main loop always turned equally often, or has no symbol, they are as they were.
    """
    costs = _cost_by_turn(small, large)
    fewest = [min(burst.get(_TURN, 0) for burst in bursts) for bursts in (small, large)]
    grown = (fewest[1] - fewest[0]) * sum(costs.values())
    whole = min(sum(burst.values()) for burst in large) - min(sum(burst.values()) for burst in small)
    chance = grown <= _MOST_BY_CHANCE * whole
    base = [min(fewest)] * 2 if chance else fewest
    adjusted = [
        tuple(
            {name: cost - costs.get(name, 0.0) * (burst.get(_TURN, 0) - turns) for name, cost in burst.items()}
            for burst in bursts
        )
        for bursts, turns in zip((small, large), base, strict=True)
    ]
    return adjusted[0], adjusted[1]


def _cost_by_turn(*sizes: Sequence[Functions]) -> dict[str, float]:
    """Return what each function costs for each instruction of the turn itself: the median over pairs of bursts."""
    pairs = [
        (one, other)
        for bursts in sizes
        for one, other in itertools.combinations(bursts, 2)
        if one.get(_TURN, 0) != other.get(_TURN, 0)
    ]
    if not pairs:
        return {}
    names = {name for bursts in sizes for burst in bursts for name in burst}
    found = {
        name: statistics.median(
            (one.get(name, 0) - other.get(name, 0)) / (one[_TURN] - other[_TURN]) for one, other in pairs
        )
        for name in names
    }
    return {name: cost for name, cost in found.items() if cost}
