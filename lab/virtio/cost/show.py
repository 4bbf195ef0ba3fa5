"""Costs to JSON for scripts and to tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.units import text_from_percent
from lab.virtio.cost.compare import CaseChange, Change, FunctionChange, rank_functions
from lab.virtio.cost.measure import CaseCost

COUNTER = "callgrind"
MOST_FUNCTIONS = 15
"""Functions that are listed; the JSON document has all of them."""


def document(qemu: Path, cases: Sequence[CaseCost]) -> dict[str, Any]:
    """Return the costs of a binary with the keys that scripts rely on; numbers are null where there are none."""
    return {"binary": str(qemu), "counter": COUNTER, "cases": [_case_to_json(case) for case in cases]}


def change_to_json(change: CaseChange) -> dict[str, Any]:
    """Return what changed in a case."""
    measured = not (change.baseline.trouble or change.candidate.trouble)
    return {
        "command": change.baseline.operation,
        "mapping": change.baseline.mapping,
        "change": change.change.value,
        "difference": round(change.difference, 2) if measured else None,
        "fraction": round(change.fraction, 6) if measured else None,
        "functions": [
            {"name": one.name, "baseline": round(one.baseline, 2), "candidate": round(one.candidate, 2)}
            for one in change.functions
        ],
    }


def cost_table(qemu: Path, cases: Sequence[CaseCost]) -> str:
    """Return a row for each operation and a column for each mapping, and where the instructions go."""
    mappings = tuple(dict.fromkeys(case.mapping for case in cases))
    found = {(case.operation, case.mapping): case for case in cases}
    lines = [
        f"Instructions per command in QEMU, all threads together ({qemu})",
        "",
        f"{'':20}" + "".join(f"{_heading(mapping):>17}" for mapping in mappings),
    ]
    lines += [
        f"{operation:20}" + "".join(_cell(found.get((operation, mapping))) for mapping in mappings)
        for operation in dict.fromkeys(case.operation for case in cases)
    ]
    return "\n".join([*lines, *_notes(cases), "", *_costliest(cases)])


def difference_table(changes: Sequence[CaseChange], *, smallest_effect: float) -> str:
    """Return a row for each case, then the functions that changed most."""
    lines = [
        "Instructions per command in QEMU, all threads together",
        "",
        f"{'command':20} {'mapping':9} {'baseline':>10} {'candidate':>10} {'difference':>11} {'':>8}",
    ]
    lines += [_row(change) for change in changes]
    lines += _notes([case for change in changes for case in (change.baseline, change.candidate)])
    counts = {kind: sum(change.change is kind for change in changes) for kind in Change}
    said = ", ".join(f"{count} {kind.value}" for kind, count in counts.items() if count)
    effect = f"{100 * smallest_effect:g} %"
    return "\n".join([*lines, "", f"{len(changes)} cases: {said} (alike is within {effect})", "", *_ranked(changes)])


def costliest_functions(cases: Sequence[CaseCost]) -> Mapping[str, float]:
    """Return instructions per operation in each function, the mean over the cases, costliest first."""
    counted = [case for case in cases if not case.trouble]
    totals: dict[str, float] = {}
    for case in counted:
        for function in case.functions:
            totals[function.name] = totals.get(function.name, 0.0) + function.instructions / len(counted)
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def _case_to_json(case: CaseCost) -> dict[str, Any]:
    return {
        "command": case.operation,
        "mapping": case.mapping,
        "instructions": None if case.trouble else round(case.instructions, 2),
        "n": case.n,
        "spread": None if case.trouble else round(case.spread, 6),
        "heap": round(case.heap, 2),
        "steady": case.is_steady,
        "answer": case.answer,
        "trouble": case.trouble,
        "functions": [
            {"name": function.name, "instructions": round(function.instructions, 3)} for function in case.functions
        ],
    }


def _heading(mapping: str) -> str:
    return {"none": "no IOThread", "iothread": "iothread=", "1": "1 IOThread"}.get(mapping, f"{mapping} IOThreads")


def _cell(case: CaseCost | None) -> str:
    if case is None or case.trouble:
        return f"{'-':>17}"
    return f"{'' if case.is_steady else '~'}{case.instructions:,.0f}".rjust(17)


def _notes(cases: Sequence[CaseCost]) -> list[str]:
    """Return a line about how sure the numbers are, and one for each case that could not be counted."""
    steady = [case.spread for case in cases if case.is_steady and not case.trouble]
    lines = ["", f"Two halves of the bursts agree within {100 * max(steady):.3f} %."] if steady else [""]
    if not all(case.is_steady for case in cases):
        lines.append("~: threads have to meet, and their cost varies by a quarter from count to count.")
    return lines + [f"{case.operation}, mapping {case.mapping}: {case.trouble}" for case in cases if case.trouble]


def _costliest(cases: Sequence[CaseCost]) -> list[str]:
    functions = costliest_functions(cases)
    total = sum(functions.values())
    if not total:
        return []
    lines = ["Where they go, mean of all cases, each function without those it calls:"]
    for name, instructions in list(functions.items())[:MOST_FUNCTIONS]:
        lines.append(f"{instructions:>10,.0f} {100 * instructions / total:>6.1f} %  {name}")
    return lines


def _row(change: CaseChange) -> str:
    name = f"{change.baseline.operation:20} {change.baseline.mapping:9}"
    if change.baseline.trouble or change.candidate.trouble:
        return f"{name} {'-':>10} {'-':>10} {'-':>11} {'-':>8}  undecided"
    numbers = f"{change.baseline.instructions:>10,.0f} {change.candidate.instructions:>10,.0f}"
    mark = "" if change.change is Change.ALIKE else f"  {change.change.value}"
    return f"{name} {numbers} {change.difference:>+11,.0f} {text_from_percent(change.fraction):>8}{mark}"


def _ranked(changes: Sequence[CaseChange]) -> list[str]:
    """Return the functions that changed most in the cases that changed; those of noise are not worth a name."""
    ranked = rank_functions([change for change in changes if change.change in (Change.DEARER, Change.CHEAPER)])
    if not ranked:
        return ["No function's cost changed by enough to name it."]
    lines = ["Functions whose own cost changed most, without those they call, in the case where most:"]
    for one in ranked[:MOST_FUNCTIONS]:
        where = f"{one.where[0]}, mapping {one.where[1]}" + (f"; {one.cases} cases" if one.cases > 1 else "")
        lines.append(f"{one.largest.difference:>+10,.0f}  {_from_to(one.largest)}  {one.largest.name}  ({where})")
    return lines


def _from_to(change: FunctionChange) -> str:
    return f"{change.baseline:>8,.0f} -> {change.candidate:<8,.0f}"
