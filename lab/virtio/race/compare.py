"""Findings of two binaries to what the second one changes: each schedule that only one of them failed is given to both.

A race fails now and then, so that one binary failed it and the other did not says nothing by itself. The other one
performs the shortest schedule, too, and the chance that all failures were on one side (Fisher's exact test) decides.
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


def chance_of_one_side(failed: int, performed: int, others: int) -> float:
    """Return how likely all failures are on one side by luck alone.

    :param failed: times that one side failed, in ``performed`` performances; the other never did in ``others``.
    """
    return math.comb(performed, failed) / math.comb(performed + others, failed)


def _key(finding: Finding) -> tuple[str, str]:
    return finding.fault.kind, finding.fault.gist


def _change(finding: Finding, count: Count, *, better: bool) -> Change:
    failed, performed = count(finding.shortest, finding.fault)
    mine, theirs = f"{finding.failed} of {finding.performed}", f"{failed} of {performed}"
    counts = f"baseline {mine}, candidate {theirs}" if better else f"baseline {theirs}, candidate {mine}"
    fault = f"{finding.fault.kind}" + (f": {finding.fault.gist}" if finding.fault.gist else "")
    what = f"{fault} ({counts} performances of seed {finding.shortest.seed}, {len(finding.shortest.steps)} steps)"
    cases = (f"seed-{finding.shortest.seed}",)
    if failed:
        return Change(f"shows what the baseline shows, too: {what}", cases, None)
    if chance_of_one_side(finding.failed, finding.performed, performed) > _ALPHA:
        return Change(f"may {'mend' if better else 'break'} this, or it was luck: {what}", cases, None)
    return Change(f"{'mends' if better else 'breaks'} this: {what}", cases, better)
