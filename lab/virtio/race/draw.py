"""A seed to a schedule: a pure function, so that a seed is enough to do the same again with the same lab.

A schedule is a plot and noise. The plot is a short sequence that can only go wrong in its order (take an IOThread away,
make one of the same name, unplug its user); independent random steps would hardly ever hit it. The noise is commands
and functions of any kind, shuffled between the steps of the plot.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from enum import StrEnum

from lab.virtio.backing import Backing
from lab.virtio.race.schedule import Action, Schedule, Step
from lab.virtio.tmf.case import NUM_QUEUES, UNKNOWN_SUBTYPES
from lab.virtio.tmf.controller import controller_mapping
from lab.virtio.tmf.plan import UNITS
from lab.virtio.virtio_scsi import Tmf

_PAUSES_US = (0, 0, 0, 50, 200, 1000, 5000)
_FEW = 3
_MANY = 40

_ABORTS = (Tmf.ABORT_TASK, Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET)
_RESETS = (Tmf.LOGICAL_UNIT_RESET, Tmf.LOGICAL_UNIT_RESET, Tmf.I_T_NEXUS_RESET)


class Theme(StrEnum):
    """Plots."""

    ABORTS = "aborts"
    RESETS = "resets"
    UNPLUG = "unplug"
    PAUSE = "pause"
    SYSTEM_RESET = "system-reset"
    DEVICE_RESET = "device-reset"
    MIRROR = "mirror"
    SNAPSHOT = "snapshot"
    REOPEN = "reopen"
    THROTTLE = "throttle"
    IOTHREADS = "iothreads"
    EARLY_KICK = "early-kick"


def draw(seed: int, mappings: Sequence[str], themes: Sequence[Theme] = tuple(Theme)) -> Schedule:
    """Return the schedule of a seed.

    :param mappings: names of the mappings to choose from.
    :param themes: plots to choose from.
    """
    rng = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    mapping = controller_mapping(rng.choice(list(mappings)), NUM_QUEUES)
    theme = rng.choice(list(themes))
    backing = rng.choice(list(Backing))
    plot = _PLOTS[theme](rng, len(mapping.iothreads))
    noise = _noise(rng, backing)
    return Schedule(
        seed=seed,
        mapping=mapping.name,
        iothreads=mapping.iothreads,
        controller=mapping.properties,
        num_queues=NUM_QUEUES,
        backing=backing,
        steps=tuple(_merged(rng, plot, noise)),
    )


def _merged(rng: random.Random, plot: list[Step], noise: list[Step]) -> list[Step]:
    """Shuffle two sequences into one; each keeps its order."""
    steps: list[Step] = []
    left, right = list(plot), list(noise)
    while left or right:
        source = left if rng.random() * (len(left) + len(right)) < len(left) else right
        steps.append(source.pop(0))
    return steps


def _noise(rng: random.Random, backing: Backing) -> list[Step]:
    steps = []
    if backing is Backing.HELD:
        steps.append(Step(Action.HOLD))
    elif rng.random() < 0.8:
        queues = rng.sample(range(NUM_QUEUES), rng.randint(1, NUM_QUEUES))
        steps += [Step(Action.LOAD, rng.randrange(len(UNITS)), queue, rng.choice((1, 4, 12))) for queue in queues]
    return steps + [_any_step(rng, backing) for _ in range(rng.randint(2, 16))]


def _any_step(rng: random.Random, backing: Backing) -> Step:
    roll = rng.random()
    if roll < 0.35:
        return _on_a_disk(rng, Action.READ, rng.randint(1, 4))
    if roll < 0.5:
        return _on_a_disk(rng, Action.WRITE, rng.randint(1, 2))
    if roll < 0.85 or backing is not Backing.HELD:
        return _function(rng, (*Tmf, *UNKNOWN_SUBTYPES))
    action = rng.choice((Action.RELEASE, Action.RELEASE, Action.FAIL, Action.HOLD, Action.KICK))
    return Step(action, count=rng.randint(0, 3), pause_us=_pause(rng))


def _on_a_disk(rng: random.Random, action: Action, count: int = 1) -> Step:
    return Step(action, rng.randrange(len(UNITS)), rng.randrange(NUM_QUEUES), count, pause_us=_pause(rng))


def _function(rng: random.Random, subtypes: Sequence[int]) -> Step:
    unit, subtype = rng.randrange(len(UNITS)), int(rng.choice(subtypes))
    return Step(Action.FUNCTION, unit, count=rng.randint(1, 4), function=subtype, pause_us=_pause(rng))


def _pause(rng: random.Random) -> int:
    return rng.choice(_PAUSES_US)


def _functions(subtypes: Sequence[int], most: int) -> Callable[[random.Random, int], list[Step]]:
    def plot(rng: random.Random, _: int) -> list[Step]:
        return [_function(rng, subtypes) for _ in range(rng.randint(_FEW, most))]

    return plot


def _in_turn(*actions: Action, count: int = 1) -> Callable[[random.Random, int], list[Step]]:
    """A plot of these steps in this order on one disk, up to three times."""

    def plot(rng: random.Random, _: int) -> list[Step]:
        unit = rng.randrange(len(UNITS))
        times = rng.randint(1, _FEW)
        return [Step(action, unit, count=count, pause_us=_pause(rng)) for _ in range(times) for action in actions]

    return plot


def _mirror(rng: random.Random, _: int) -> list[Step]:
    unit = rng.randrange(len(UNITS))
    end = rng.choice((Action.MIRROR_END, Action.MIRROR_END, Action.MIRROR_CANCEL))
    return [Step(Action.MIRROR, unit, pause_us=_pause(rng)), Step(end, unit, pause_us=rng.choice((0, 5000, 50000)))]


def _throttle(rng: random.Random, _: int) -> list[Step]:
    limits = [rng.choice((0, 10, 1000)) for _ in range(rng.randint(1, 4))]
    return [Step(Action.THROTTLE, count=limit, pause_us=_pause(rng)) for limit in limits]


def _iothreads(rng: random.Random, iothreads: int) -> list[Step]:
    number = rng.randrange(max(1, iothreads))
    order = [Action.IOTHREAD_DEL, Action.IOTHREAD_ADD, Action.CONTROLLER_DEL]
    return [Step(action, queue=number, pause_us=_pause(rng)) for action in order[: rng.randint(1, len(order))]]


_PLOTS: dict[Theme, Callable[[random.Random, int], list[Step]]] = {
    Theme.ABORTS: _functions(_ABORTS, _MANY),
    Theme.RESETS: _functions(_RESETS, _MANY),
    Theme.UNPLUG: _in_turn(Action.UNPLUG_DISK, Action.PLUG_DISK),
    Theme.PAUSE: _in_turn(Action.STOP, Action.CONT),
    Theme.SYSTEM_RESET: _in_turn(Action.SYSTEM_RESET, Action.RESTART_DRIVER),
    Theme.DEVICE_RESET: _in_turn(Action.DEVICE_RESET),
    Theme.MIRROR: _mirror,
    Theme.SNAPSHOT: _in_turn(Action.SNAPSHOT),
    Theme.REOPEN: _in_turn(Action.REOPEN),
    Theme.THROTTLE: _throttle,
    Theme.IOTHREADS: _iothreads,
    Theme.EARLY_KICK: _in_turn(Action.EARLY_KICK, count=2),
}
