"""Two lists of costs to what a series changes: case by case, and in which functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.virtio.cost.measure import CaseCost

SMALLEST_EFFECT = 0.01
"""Growth below this fraction is no finding. Two counts of one binary differ by a fifth of it, even on a busy host."""
_WORTH_NAMING = 0.001
"""A function is named where its change is at least this fraction of the baseline's cost."""


class Change(StrEnum):
    """What the candidate does to the cost of a case."""

    DEARER = "dearer"
    CHEAPER = "cheaper"
    ALIKE = "alike"
    """The difference is no larger than the smallest effect."""
    UNDECIDED = "undecided"
    """It is larger, but the counts themselves spread as far; or one of them is missing."""
    UNSTEADY = "not judged"
    """Counts of one and the same binary differ that much: threads have to meet."""


@dataclass(frozen=True)
class FunctionChange:
    """What one operation spends in a function itself, instructions per operation."""

    name: str
    baseline: float
    candidate: float

    @property
    def difference(self) -> float:
        """What the candidate spends more."""
        return self.candidate - self.baseline


@dataclass(frozen=True)
class CaseChange:
    """One case in both arms.

    :param functions: whose cost changed, the largest change first.
    """

    baseline: CaseCost
    candidate: CaseCost
    change: Change
    functions: tuple[FunctionChange, ...]

    @property
    def difference(self) -> float:
        """Instructions per operation that the candidate spends more."""
        return self.candidate.instructions - self.baseline.instructions

    @property
    def fraction(self) -> float:
        """The difference as a fraction of the baseline's cost."""
        return self.difference / self.baseline.instructions if self.baseline.instructions else 0.0


@dataclass(frozen=True)
class RankedFunction:
    """A function over all cases.

    :param largest: its change in the case where that is largest.
    :param where: that case: operation and mapping.
    :param cases: in how many it changed.
    """

    largest: FunctionChange
    where: tuple[str, str]
    cases: int


def compare(
    baseline: Iterable[CaseCost], candidate: Iterable[CaseCost], *, smallest_effect: float = SMALLEST_EFFECT
) -> tuple[CaseChange, ...]:
    """Return what the candidate changes, for the cases that both have.

    :param smallest_effect: a fraction of the baseline's cost.
    """
    after = {(case.operation, case.mapping): case for case in candidate}
    pairs = ((case, after.get((case.operation, case.mapping))) for case in baseline)
    return tuple(_changed(before, found, smallest_effect) for before, found in pairs if found is not None)


def rank_functions(changes: Sequence[CaseChange]) -> tuple[RankedFunction, ...]:
    """Return the functions that changed in any case, the largest change first."""
    found: dict[str, RankedFunction] = {}
    for change in changes:
        for function in change.functions:
            known = found.get(function.name)
            cases = known.cases + 1 if known else 1
            if known and abs(known.largest.difference) >= abs(function.difference):
                found[function.name] = RankedFunction(known.largest, known.where, cases)
            else:
                where = (change.baseline.operation, change.baseline.mapping)
                found[function.name] = RankedFunction(function, where, cases)
    return tuple(sorted(found.values(), key=lambda one: (-abs(one.largest.difference), one.largest.name)))


def gravest(changes: Iterable[CaseChange]) -> Change:
    """Return the worst of what was found: dearer, else undecided, else cheaper, else alike.

    Cases that are not judged decide nothing: undecided, where there are no others.
    """
    seen = {change.change for change in changes}
    order = (Change.DEARER, Change.UNDECIDED, Change.CHEAPER, Change.ALIKE)
    return next((change for change in order if change in seen), Change.UNDECIDED)


def _changed(before: CaseCost, after: CaseCost, smallest_effect: float) -> CaseChange:
    if before.trouble or after.trouble:
        return CaseChange(before, after, Change.UNDECIDED, ())
    difference = after.instructions - before.instructions
    noise = before.spread * before.instructions + after.spread * after.instructions
    functions = tuple(_changed_functions(before, after))
    if not (before.is_steady and after.is_steady):
        change = Change.UNSTEADY
    elif abs(difference) <= smallest_effect * before.instructions:
        change = Change.ALIKE
    elif abs(difference) <= smallest_effect * before.instructions + noise:
        change = Change.UNDECIDED
    else:
        change = Change.DEARER if difference > 0 else Change.CHEAPER
    return CaseChange(before, after, change, functions)


def _changed_functions(before: CaseCost, after: CaseCost) -> Iterator[FunctionChange]:
    one = {function.name: function.instructions for function in before.functions}
    other = {function.name: function.instructions for function in after.functions}
    least = _WORTH_NAMING * before.instructions
    changes = (FunctionChange(name, one.get(name, 0.0), other.get(name, 0.0)) for name in {*one, *other})
    named = (change for change in changes if abs(change.difference) >= least)
    yield from sorted(named, key=lambda change: (-abs(change.difference), change.name))
