"""A series and a judge to the patch that is to blame, or to the patches that are left. Pure.

The judge answers one question: does what lies between two positions of the series show what the whole series showed?
Position 0 is the base, position k the base and the first k patches. What the judge does for an answer (an experiment of
many boots, a matrix of task management functions) is its own business.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class Answer(StrEnum):
    """What a judge says."""

    SHOWN = "shown"
    ABSENT = "absent"
    UNDECIDED = "undecided"
    UNTESTABLE = "untestable"
    """It does not build, or fails in a way that hides what is looked for: another position is tried instead."""


class Kind(StrEnum):
    """What a step is for."""

    WHOLE = "whole"
    """The whole series against its base: is there anything to find?"""
    SEARCH = "search"
    """The base and the first patches against the base."""
    CONFIRM = "confirm"
    """What is left against what is before it, with runs of its own."""


@dataclass(frozen=True)
class Step:
    """One question and its answer.

    :param low: position of the baseline.
    :param high: position of the candidate.
    :param reason: one sentence.
    :param text: what the judge shows for it, a table say; may be empty.
    :param data: the same for scripts.
    :param folders: where its evidence is.
    """

    kind: Kind
    low: int
    high: int
    answer: Answer
    reason: str
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()


class Judge(Protocol):
    """Who says whether a part of a series shows what the whole of it showed."""

    def judge(self, kind: Kind, low: int, high: int) -> Step:
        """Return the answer for what lies between two positions.

        Asked for the whole first (``Kind.WHOLE``), which defines what is looked for. Asked again for the same
        positions, also by another process, it gives the same answer without measuring again.
        """
        ...


class Outcome(StrEnum):
    """How a bisection ended."""

    FOUND = "found"
    NOTHING = "nothing-to-find"
    """The whole series does not show it, and that is certain."""
    UNDECIDED = "undecided"
    """A step could not be decided: the culprit is among the patches that are left."""
    UNTESTABLE = "untestable"
    """Patches beside each other cannot be tested: it is one of those that are left."""
    NOT_CONFIRMED = "not-confirmed"
    """The search named a patch, and runs of its own did not show it: a step went wrong, or several patches add up."""


@dataclass(frozen=True)
class Bisection:
    """What a search came to.

    :param low: the last position that is known to be free of it.
    :param high: the first that is known to show it: the culprit is among the patches ``low + 1`` to ``high``.
    :param untestable: positions that could not be tested.
    """

    outcome: Outcome
    low: int
    high: int
    steps: tuple[Step, ...]
    untestable: tuple[int, ...] = ()


def bisect(judge: Judge, patches: int, *, before_step: Callable[[Kind, int, int], None] = lambda *_: None) -> Bisection:
    """Find the patch that brings what the whole series shows.

    Nothing is asked twice, and no answer is asked for again because it was unwelcome: that is what would turn noise
    into a culprit. The patch of a series that has only one is named by the whole.

    :param patches: how many there are, at least one.
    :param before_step: is told each step before it is made.
    """
    steps: list[Step] = []

    def ask(kind: Kind, low: int, high: int) -> Step:
        before_step(kind, low, high)
        steps.append(judge.judge(kind, low, high))
        return steps[-1]

    whole = ask(Kind.WHOLE, 0, patches)
    low, high, untestable = 0, patches, set[int]()

    def ended(outcome: Outcome) -> Bisection:
        return Bisection(outcome, low, high, tuple(steps), tuple(sorted(untestable)))

    if whole.answer is not Answer.SHOWN:
        return ended(Outcome.NOTHING if whole.answer is Answer.ABSENT else Outcome.UNDECIDED)
    while (middle := next_position(low, high, untestable)) is not None:
        answer = ask(Kind.SEARCH, 0, middle).answer
        if answer is Answer.UNDECIDED:
            return ended(Outcome.UNDECIDED)
        if answer is Answer.UNTESTABLE:
            untestable.add(middle)
        elif answer is Answer.SHOWN:
            high = middle
        else:
            low = middle
    if (low, high) != (0, patches) and ask(Kind.CONFIRM, low, high).answer is not Answer.SHOWN:
        return ended(Outcome.NOT_CONFIRMED)
    return ended(Outcome.FOUND if high - low == 1 else Outcome.UNTESTABLE)


def next_position(low: int, high: int, untestable: set[int]) -> int | None:
    """Return the position nearest to the middle that can be tested; None where there is none between the two."""
    middle = (low + high) / 2
    left = [position for position in range(low + 1, high) if position not in untestable]
    return min(left, key=lambda position: (abs(position - middle), position), default=None)


def most_steps(patches: int) -> int:
    """Return how many steps a series takes at most, where every patch can be tested: search, whole and confirmation."""
    return math.ceil(math.log2(patches)) + 2 if patches > 1 else 1
