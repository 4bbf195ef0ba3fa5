"""Findings of two binaries to what the second one changes: each schedule that only one of them failed is given to both.

A race fails now and then, so that one binary failed it and the other did not says nothing by itself. The other one
performs the shortest schedule, too, and the chance of so many failures on one side (Fisher's exact test) decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lab.virtio.change import Change, gravest_first
from lab.virtio.race.campaign import Finding
from lab.virtio.race.judge import Fault
from lab.virtio.race.schedule import Schedule

_ALPHA = 0.05

Count = Callable[[Schedule, Fault], tuple[int, int]]
"""Performs a schedule, and returns how often it showed a fault, and of how many."""


def race_changes(
    baseline: Sequence[Finding], candidate: Sequence[Finding], *, on_baseline: Count, on_candidate: Count
) -> tuple[Change, ...]:
    """Return what the candidate changes, what it breaks first.

    :param on_baseline: asks the baseline about what the candidate failed.
    :param on_candidate: the other way round.
    """
    old, new = ({_key(finding): finding for finding in found} for found in (baseline, candidate))
    broken = [_change(new[key], on_baseline, better=False) for key in new if key not in old]
    mended = [_change(old[key], on_candidate, better=True) for key in old if key not in new]
    return gravest_first(broken + mended)


def chance_of_so_many(failed: int, performed: int, elsewhere: int, others: int) -> float:
    """Return how likely one side has so many of the failures, or more, by luck alone.

    :param failed: times that it failed, in ``performed`` performances; the other failed ``elsewhere`` of ``others``.
    """
    failures = failed + elsewhere
    dealt = range(failed, min(performed, failures) + 1)
    ways = sum(math.comb(performed, mine) * math.comb(others, failures - mine) for mine in dealt)
    return ways / math.comb(performed + others, failures)


def _key(finding: Finding) -> tuple[str, str]:
    return finding.fault.kind, finding.fault.gist


def _change(finding: Finding, count: Count, *, better: bool) -> Change:
    failed, performed = count(finding.shortest, finding.fault)
    mine, theirs = f"{finding.failed} of {finding.performed}", f"{failed} of {performed}"
    counts = f"baseline {mine}, candidate {theirs}" if better else f"baseline {theirs}, candidate {mine}"
    fault = f"{finding.fault.kind}" + (f": {finding.fault.gist}" if finding.fault.gist else "")
    what = f"{fault} ({counts} performances of seed {finding.shortest.seed}, {len(finding.shortest.steps)} steps)"
    cases = (f"seed-{finding.shortest.seed}",)
    if chance_of_so_many(finding.failed, finding.performed, failed, performed) > _ALPHA:
        luck = f"may {'mend' if better else 'break'} this, or it was luck"
        return Change(f"{'shows what the baseline shows, too' if failed else luck}: {what}", cases, None)
    if failed:
        return Change(f"shows this {'less' if better else 'more'} often than the baseline: {what}", cases, better)
    return Change(f"{'mends' if better else 'breaks'} this: {what}", cases, better)
