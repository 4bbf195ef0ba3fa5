"""A list of steps that fails to a short one that still does: delta debugging.

Facts: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE Transactions on Software
Engineering 28 (2002). A race fails now and then only, so whoever asks decides how many performances an answer takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lab.virtio.race.schedule import Action, Step

Steps = tuple[Step, ...]


def reduced(steps: Steps, fails: Callable[[Steps], bool]) -> Steps:
    """Return a part of the steps that still fails, and of which no single step can be left out.

    Then counts and pauses are made as small as they can be. What holds for ``fails`` holds as far as its answers do.

    :param fails: tells whether these steps fail; the whole is taken to.
    """
    return _simplified(_shortest(steps, fails), fails)


def _shortest(steps: Steps, fails: Callable[[Steps], bool]) -> Steps:
    pieces = 2
    while len(steps) > 1:
        size = max(1, len(steps) // pieces)
        without = [steps[:start] + steps[start + size :] for start in range(0, len(steps), size)]
        found = next((rest for rest in without if rest and fails(rest)), None)
        if found is not None:
            steps, pieces = found, max(2, pieces - 1)
        elif size == 1:
            break
        else:
            pieces = min(len(steps), 2 * pieces)
    return steps


def _simplified(steps: Steps, fails: Callable[[Steps], bool]) -> Steps:
    for position in range(len(steps)):
        for simpler in _simpler(steps[position]):
            candidate = (*steps[:position], simpler, *steps[position + 1 :])
            if fails(candidate):
                steps = candidate
                break
    return steps


def _simpler(step: Step) -> Sequence[Step]:
    """Return simpler forms of a step, the simplest first; those that are the step itself are left out."""
    least = 0 if step.action in (Action.RELEASE, Action.THROTTLE) else 1
    count = min(step.count, least)
    forms = (replace(step, count=count, pause_us=0), replace(step, pause_us=0), replace(step, count=count))
    return [form for form in dict.fromkeys(forms) if form != step]
