"""Results to a table for people and a document for scripts. Nothing is decided here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lab.command import text_from_argv
from lab.units import text_from_seconds
from lab.virtio.tmf.case import LunState, TagState, TmfCase, situation
from lab.virtio.tmf.judge import answer_of, function_text
from lab.virtio.tmf.matrix import TmfResult
from lab.virtio.tmf.observation import Ending
from lab.virtio.tmf.oracle import CommandExpectation
from lab.virtio.tmf.plan import PlannedCommand
from lab.virtio.verdict import Verdict
from lab.virtio.virtio_scsi import tmf_text

_HEADS = {
    TagState.IN_FLIGHT: ("in", "flight"),
    TagState.FINISHED: ("", "finished"),
    TagState.NEVER_SEEN: ("never", "seen"),
    TagState.OTHER_LUN: ("other", "LUN"),
    TagState.BEING_ABORTED: ("being", "aborted"),
    LunState.ABSENT_LUN: ("absent", "LUN"),
    LunState.ABSENT_TARGET: ("absent", "target"),
    LunState.BEING_UNPLUGGED: ("being", "unplugged"),
    LunState.UNPLUGGED_MEANWHILE: ("unplugged", "meanwhile"),
}
_SHORT = {
    "FUNCTION_COMPLETE": "complete",
    "FUNCTION_SUCCEEDED": "succeeded",
    "FUNCTION_REJECTED": "rejected",
    "BAD_TARGET": "no target",
    "INCORRECT_LUN": "no LUN",
}
_NUMBERS = re.compile(r"\d+")
_TEXTS = 3
_FIRST_WIDTH = 20
_WIDTH = 11


def document(binary: Path, results: Sequence[TmfResult]) -> dict[str, Any]:
    """Return what ``lab tmf --json`` prints for one binary."""
    counts = dict.fromkeys(Verdict, 0)
    for result in results:
        counts[result.judgement.verdict] += 1
    return {
        "binary": str(binary),
        "cases": [_case_json(binary, result) for result in results],
        "summary": {str(verdict): count for verdict, count in counts.items()},
    }


def table(binary: Path, results: Sequence[TmfResult], seconds: float) -> str:
    """Return the matrix as text: a row for each function, a column for each situation, all mappings in a cell."""
    columns = [column for column in _HEADS if any(_column(result.case) == column for result in results)]
    rows = list(dict.fromkeys(result.case.subtype for result in results))
    lines = [f"Task management functions of {binary}", ""]
    lines += [_line("", (_HEADS[column][part] for column in columns)) for part in (0, 1)]
    for subtype in rows:
        cells = (
            _cell([r for r in results if (r.case.subtype, _column(r.case)) == (subtype, column)]) for column in columns
        )
        lines.append(_line(tmf_text(subtype), cells))
    lines += ["", *_explanations(binary, results), _summary(results, seconds)]
    return "\n".join(lines)


def again(binary: Path, case: TmfCase) -> str:
    """Return the call that performs just this case."""
    return text_from_argv(("lab", "tmf", "--qemu", str(binary), "--only", case.id))


def _column(case: TmfCase) -> TagState | LunState:
    return case.tag_state if case.lun_state is LunState.PRESENT else case.lun_state


def _line(first: str, cells: Iterable[str]) -> str:
    return (first.ljust(_FIRST_WIDTH) + "".join(cell.ljust(_WIDTH) for cell in cells)).rstrip()


def _cell(results: Sequence[TmfResult]) -> str:
    if not results:
        return "-"
    for verdict, mark in ((Verdict.FAILED, "FAIL"), (Verdict.UNDECIDED, "?")):
        count = sum(result.judgement.verdict is verdict for result in results)
        if count:
            return f"{mark} {count}/{len(results)}"
    answers = {function_text(answer_of(result.seen.function)) for result in results}
    noted = "*" if any(result.judgement.notes for result in results) else ""
    return ("mixed" if len(answers) > 1 else _SHORT.get(*answers, *answers)) + noted


def _explanations(binary: Path, results: Sequence[TmfResult]) -> list[str]:
    """One entry for each function and kind of fault: the first case of it stands for the others."""
    groups: dict[tuple[Any, ...], list[TmfResult]] = {}
    for result in results:
        judgement = result.judgement
        texts = judgement.reasons or judgement.notes
        if texts:
            kind = _NUMBERS.sub("", texts[0])
            groups.setdefault((judgement.verdict, result.case.subtype, kind), []).append(result)
    return [line for group in groups.values() for line in (*_explanation(binary, group), "")]


def _explanation(binary: Path, group: Sequence[TmfResult]) -> list[str]:
    first = group[0]
    judgement = first.judgement
    head = "noted" if judgement.verdict is Verdict.PASSED else str(judgement.verdict)
    situations = ", ".join(dict.fromkeys(situation(result.case) for result in group))
    mappings = ", ".join(dict.fromkeys(result.case.mapping for result in group))
    texts = judgement.reasons or judgement.notes
    lines = [
        f"{head}: {tmf_text(first.case.subtype)} in {_count(group)}: {situations}; mappings {mappings}",
        f"    first: {first.case.id}",
        *(f"    {text}" for text in texts[:_TEXTS]),
    ]
    if len(texts) > _TEXTS:
        lines.append(f"    and {len(texts) - _TEXTS} more of the kind")
    if judgement.verdict is Verdict.FAILED:
        lines.append(f"    rule: {first.expected.rule}")
    if first.evidence is not None:
        lines += [f"    evidence: {first.evidence}", f"    run it again: {again(binary, first.case)}"]
    return lines


def _count(group: Sequence[TmfResult]) -> str:
    return "1 case" if len(group) == 1 else f"{len(group)} cases"


def _summary(results: Sequence[TmfResult], seconds: float) -> str:
    counts = [sum(result.judgement.verdict is verdict for result in results) for verdict in Verdict]
    text = ", ".join(f"{count} {verdict}" for verdict, count in zip(Verdict, counts, strict=True))
    return f"{len(results)} cases: {text}; {text_from_seconds(seconds)}"


def _case_json(binary: Path, result: TmfResult) -> dict[str, Any]:
    case, expected, seen = result.case, result.expected, result.seen
    answer = answer_of(seen.function)
    commands = zip(result.plan.held, expected.commands, seen.commands, strict=False)  # none seen where it broke off
    return {
        "id": case.id,
        "subtype": tmf_text(case.subtype),
        "mapping": case.mapping,
        "tag_state": str(case.tag_state),
        "lun_state": str(case.lun_state),
        "queue": case.queue,
        "lun": str(result.plan.lun),
        "answer": None if answer is None else function_text(answer),
        "expected": [function_text(value) for value in sorted(expected.answers)],
        "rule": expected.rule,
        "served_by": list(seen.function.served_by) if seen.function else [],
        "commands": [_command_json(*command) for command in commands],
        "after": {str(lun): said for lun, said in seen.after.items()},
        "verdict": str(result.judgement.verdict),
        "reasons": list(result.judgement.reasons),
        "notes": list(result.judgement.notes),
        "evidence": None if result.evidence is None else str(result.evidence),
        "seconds": round(result.seconds, 3),
        "attempts": result.attempts,
        "again": again(binary, case),
    }


def _command_json(command: PlannedCommand, allowed: CommandExpectation, ending: Ending) -> dict[str, Any]:
    return {
        "lun": str(command.unit.lun),
        "queue": command.queue,
        "tag": f"{command.tag:#x}",
        "end": str(ending.response) if ending.ended else None,
        "expected": sorted(allowed.ends),
        "before_answer": allowed.before_answer,
        "served_by": list(ending.served_by),
    }
