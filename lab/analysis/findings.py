"""Records to what the candidate breaks: failures that the baseline does not have. No statistics of speed is needed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from lab.record import Arm, Outcome, Point, RunRecord

_FEWEST = 2
_ONCE_IS_ENOUGH = {Outcome.QEMU_CRASHED: "crashed", Outcome.SCENARIO_FAILED: "did not take the scenario"}
_FEWEST_ORDERS = 20
"""In how many ways so many failures can lie among both arms' runs: all in one arm is one of them, 5 % of 20."""
_HOST_S_OWN = frozenset({Outcome.OK, Outcome.INFRASTRUCTURE})


def findings(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return a sentence for each failure that speaks against the candidate.

    Missing data is never a regression, but two things are findings on their own: a crash of the candidate's QEMU, or a
    scenario that it did not take, when the baseline has none, since nobody expects a single one; and a point at which
    the candidate fails every time, twice or more, and the baseline never.
    """
    once = (found for outcome, verb in _ONCE_IS_ENOUGH.items() for found in _unexpected(records, outcome, verb))
    return (*once, *_always_failing(records))


def _unexpected(records: Sequence[RunRecord], outcome: Outcome, verb: str) -> Iterator[str]:
    tried = Counter(record.scheduled.cell.arm for record in records)
    crashed = [record for record in records if record.outcome is outcome]
    by_arm = Counter(record.scheduled.cell.arm for record in crashed)
    if by_arm[Arm.CANDIDATE] and not by_arm[Arm.BASELINE]:
        first = next(record for record in crashed if record.scheduled.cell.arm is Arm.CANDIDATE)
        reason = first.reason.splitlines()[0] if first.reason else "no reason is on record"
        yield (
            f"the candidate's QEMU {verb} in {by_arm[Arm.CANDIDATE]} of {tried[Arm.CANDIDATE]} runs, "
            f"the baseline's in none of {tried[Arm.BASELINE]}; first in {first.id}: {reason}"
        )


def _always_failing(records: Sequence[RunRecord]) -> Iterator[str]:
    outcomes: dict[Point, dict[Arm, list[Outcome]]] = {}
    for record in records:
        cell = record.scheduled.cell
        outcomes.setdefault(cell.point, {arm: [] for arm in Arm})[cell.arm].append(record.outcome)
    for point, of_arm in outcomes.items():
        candidate, baseline = of_arm[Arm.CANDIDATE], of_arm[Arm.BASELINE]
        failed = [outcome for outcome in candidate if outcome not in _HOST_S_OWN]
        if len(failed) < _FEWEST or len(failed) < len(candidate) or not _ONCE_IS_ENOUGH.keys().isdisjoint(failed):
            continue  # told above
        if Outcome.VOID in failed and math.comb(len(failed) + len(baseline), len(failed)) < _FEWEST_ORDERS:
            continue  # a run may be void for what the host did, too
        if baseline and set(baseline) == {Outcome.OK}:
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(map(str, failed)).items()))
            yield f"at {point.id} the candidate failed in all {len(failed)} attempts ({kinds}), the baseline in none"
