"""Results of malformed requests on two binaries to what the second one changes, in words."""

from __future__ import annotations

from collections.abc import Sequence

from lab.virtio.change import Change, gravest_first
from lab.virtio.malformed.attempt import MalformedResult
from lab.virtio.verdict import Verdict


def malformed_changes(baseline: Sequence[MalformedResult], candidate: Sequence[MalformedResult]) -> tuple[Change, ...]:
    """Return what the candidate changes, what it breaks first."""
    before = {(result.name, result.mapping): result for result in baseline}
    groups: dict[tuple[str, bool | None], list[MalformedResult]] = {}
    for after in candidate:
        change = _change(before[after.name, after.mapping], after)
        if change is not None:
            groups.setdefault(change, []).append(after)
    found = [_from_group(what, better, group) for (what, better), group in groups.items()]
    return gravest_first(found)


def _change(before: MalformedResult, after: MalformedResult) -> tuple[str, bool | None] | None:
    """Return what a request shows and whether that is better; None where nothing changed."""
    verdicts = {before.verdict, after.verdict}
    if Verdict.UNDECIDED in verdicts:
        return f"could not be compared for '{after.name}'", None
    if verdicts == {Verdict.PASSED, Verdict.FAILED}:
        if after.verdict is Verdict.FAILED:
            return f"breaks '{after.name}': {after.faults[0]}", False
        return f"mends '{after.name}': {before.faults[0]}", True
    old, new = _reaction(before), _reaction(after)
    return None if old == new else (f"{new} where the baseline {old}: '{after.name}'", None)


def _reaction(result: MalformedResult) -> str:
    return "does not get as far" if result.reaction is None else str(result.reaction.outcome)


def _from_group(what: str, better: bool | None, group: Sequence[MalformedResult]) -> Change:
    mappings = ", ".join(dict.fromkeys(result.mapping for result in group))
    return Change(f"{what} (mapping {mappings})", tuple(f"{one.mapping}/{one.name}" for one in group), better)
