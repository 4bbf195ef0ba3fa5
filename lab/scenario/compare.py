"""The results of two binaries to what the second one changes, in words. Pure.

Each binary was booted once per scenario, so a scenario that passes and one that fails are told apart, and durations are
not: they are shown beside each other and compared over blocks of boots by a job file (docs/scenarios.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.scenario.perform import ScenarioResult
from lab.virtio.change import Change, gravest_first
from lab.virtio.verdict import Verdict


def changes(baseline: Sequence[ScenarioResult], candidate: Sequence[ScenarioResult]) -> tuple[Change, ...]:
    """Return each scenario whose verdict differs as a change, what the candidate breaks first."""
    before = {result.name: result for result in baseline}
    return gravest_first(
        _change(before[result.name], result)
        for result in candidate
        if result.name in before and before[result.name].verdict is not result.verdict
    )


def _change(before: ScenarioResult, after: ScenarioResult) -> Change:
    if Verdict.UNDECIDED in (before.verdict, after.verdict):
        verdicts = f"the baseline's verdict is {before.verdict}, its own {after.verdict}"
        return Change(f"could not be compared for {after.name}: {verdicts}", (after.name,), None)
    if after.verdict is Verdict.FAILED:
        return Change(f"breaks {after.name}: {after.reason}", (after.name,), better=False)
    return Change(f"mends {after.name}: {before.reason}", (after.name,), better=True)
