"""The results of two binaries to what the second one changes, in words. Pure.

Each binary was booted once per scenario, so a scenario that passes and one that fails are told apart, and durations are
not: they are shown beside each other and compared over blocks of boots by a job file (docs/scenarios.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.scenario.perform import ScenarioResult
from lab.scenario.verdict import Verdict


def changes(baseline: Sequence[ScenarioResult], candidate: Sequence[ScenarioResult]) -> tuple[str, ...]:
    """Return a sentence for each scenario whose verdict differs."""
    before = {result.name: result for result in baseline}
    return tuple(
        _sentence(before[result.name], result)
        for result in candidate
        if result.name in before and before[result.name].verdict is not result.verdict
    )


def verdict_of(results: Sequence[ScenarioResult]) -> Verdict:
    """Return the verdict over all scenarios: failed where one failed, else undecided where one is."""
    verdicts = {result.verdict for result in results}
    for verdict in (Verdict.FAILED, Verdict.UNDECIDED):
        if verdict in verdicts:
            return verdict
    return Verdict.PASSED if verdicts else Verdict.UNDECIDED


def _sentence(before: ScenarioResult, after: ScenarioResult) -> str:
    if Verdict.UNDECIDED in (before.verdict, after.verdict):
        return f"{after.name}: {before.verdict.value} before, {after.verdict.value} now: nothing can be said"
    verb = "breaks" if after.verdict is Verdict.FAILED else "mends"
    reason = after.reason if after.verdict is Verdict.FAILED else before.reason
    return f"the series {verb} {after.name}: {reason}"
