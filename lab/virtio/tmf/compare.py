"""Results of two binaries to what the second one changes, in words."""

from __future__ import annotations

from collections.abc import Sequence

from lab.virtio.change import Change, gravest_first
from lab.virtio.tmf.case import situation
from lab.virtio.tmf.judge import answer_of, function_text
from lab.virtio.tmf.matrix import TmfResult
from lab.virtio.verdict import Verdict
from lab.virtio.virtio_scsi import tmf_text


def changes(baseline: Sequence[TmfResult], candidate: Sequence[TmfResult]) -> tuple[Change, ...]:
    """Return what the candidate changes, what it breaks first."""
    before = {result.case: result for result in baseline}
    groups: dict[tuple[str, bool | None], list[TmfResult]] = {}
    for after in candidate:
        if after.case in before:
            change = _change(before[after.case], after)
            if change is not None:
                groups.setdefault(change, []).append(after)
    found = [_from_group(what, better, group) for (what, better), group in groups.items()]
    found += _mapping_changes(baseline, candidate)
    return gravest_first(found)


def _change(before: TmfResult, after: TmfResult) -> tuple[str, bool | None] | None:
    """Return what a case shows and whether that is better; None where nothing changed."""
    name = tmf_text(after.case.subtype)
    old, new = before.judgement, after.judgement
    if Verdict.UNDECIDED in (old.verdict, new.verdict):
        return f"could not be compared for {name}", None
    answers = answer_of(before.seen.function), answer_of(after.seen.function)
    passes = new.verdict is Verdict.PASSED
    if answers[0] is None and answers[1] is not None:
        better = True if passes else None
        return f"makes {name} answer" + ("" if passes else f", though not as it should: {new.reasons[0]}"), better
    if answers[0] is not None and answers[1] is None and not after.seen.broken:
        return f"keeps {name} from answering", False
    if old.verdict is not new.verdict:
        reason = (old.reasons or new.reasons)[0]
        return (f"repairs {name}: {reason}", True) if passes else (f"breaks {name}: {reason}", False)
    if answers[0] != answers[1]:
        right = ", both of which are right, so that it may be chance" if passes else ""
        return f"answers {name} {function_text(answers[1])} instead of {function_text(answers[0])}{right}", None
    noted = [note for note in new.notes if note not in old.notes]
    return (f"has {name} noted: {noted[0]}", None) if noted else None


def _from_group(what: str, better: bool | None, group: Sequence[TmfResult]) -> Change:
    situations = ", ".join(dict.fromkeys(situation(result.case) for result in group))
    mappings = ", ".join(dict.fromkeys(result.case.mapping for result in group))
    noun = "case" if len(group) == 1 else "cases"
    sentence = f"{what} ({len(group)} {noun}: {situations}; mappings {mappings})"
    return Change(sentence, tuple(result.case.id for result in group), better)


def _mapping_changes(baseline: Sequence[TmfResult], candidate: Sequence[TmfResult]) -> list[Change]:
    old, new = ({result.case.mapping for result in results} for results in (baseline, candidate))
    found = [Change(f"takes the mapping '{name}', which the baseline does not", (), None) for name in sorted(new - old)]
    gone = (f"does not take the mapping '{name}', which the baseline does" for name in sorted(old - new))
    return found + [Change(sentence, (), None) for sentence in gone]
