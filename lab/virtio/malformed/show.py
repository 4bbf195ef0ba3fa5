"""Results of malformed requests to a table and JSON. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.command import text_from_argv
from lab.virtio.malformed.attempt import MalformedResult
from lab.virtio.malformed.case import malformed_cases
from lab.virtio.malformed.fuzz import Fuzzed
from lab.virtio.verdict import Verdict

_NAME_WIDTH = 48


def malformed_text(binary: Path, results: Sequence[MalformedResult]) -> str:
    """Return the outcome for people: a line for each case, its mappings together where they agree."""
    lines = [f"Malformed requests to {binary}", ""]
    groups: dict[tuple[str, str], list[str]] = {}
    for result in results:
        groups.setdefault((result.name, _said(result)), []).append(result.mapping)
    several = len({result.mapping for result in results}) > 1
    for (name, said), mappings in groups.items():
        whole = len([key for key in groups if key[0] == name]) == 1
        where = "" if whole or not several else f" (mapping {', '.join(mappings)})"
        lines.append(f"{name:<{_NAME_WIDTH}} {said}{where}")
    named = {case.name for case in malformed_cases()}
    failed = [result for result in results if result.verdict is not Verdict.PASSED]
    for result in failed:
        lines += ["", f"{result.verdict}: {result.name}, mapping {result.mapping}"]
        lines += [f"    {text}" for text in (*result.faults, result.trouble) if text]
        lines.append(f"    evidence: {result.evidence}")
        if result.name in named:
            words = ("lab", "malformed", "--qemu", str(binary), "--mapping", result.mapping, "--only", result.name)
            lines.append(f"    run it again: {text_from_argv(words)}")
    counts = [sum(result.verdict is verdict for result in results) for verdict in Verdict]
    summary = ", ".join(f"{count} {verdict}" for verdict, count in zip(Verdict, counts, strict=True))
    return "\n".join([*lines, "", f"{len(results)} cases: {summary}"])


def malformed_document(binary: Path, results: Sequence[MalformedResult]) -> dict[str, Any]:
    """Return the outcome for scripts."""
    return {
        "binary": str(binary),
        "cases": [_case_json(result) for result in results],
        "summary": {str(verdict): sum(result.verdict is verdict for result in results) for verdict in Verdict},
    }


def fuzzed_text(binary: Path, seed: int, mapping: str, drawn: Fuzzed) -> str:
    """Return what came of drawing requests, for people."""
    head = f"{drawn.tried} requests drawn from seed {seed} for {binary}, mapping {mapping}"
    if drawn.finding is None:
        return f"{head}: nothing wrong"
    words = ("lab", "malformed", "--qemu", str(binary), "--mapping", mapping, "--replay", str(drawn.file))
    return "\n".join((f"failed: {head}", *drawn.faults, f"run it again: {text_from_argv(words)}"))


def fuzzed_document(binary: Path, seed: int, drawn: Fuzzed) -> dict[str, Any]:
    """Return what came of drawing requests, for scripts."""
    request = drawn.finding
    finding = None if request is None else {"faults": list(drawn.faults), "request": request.to_json()}
    return {"binary": str(binary), "seed": seed, "requests": drawn.tried, "finding": finding}


def _said(result: MalformedResult) -> str:
    if result.reaction is None:
        return str(result.verdict)
    end = f": {result.reaction.response}" if result.reaction.returned and result.reaction.response else ""
    mark = "" if result.verdict is Verdict.PASSED else "FAIL "
    return f"{mark}{result.reaction.outcome}{end}"


def _case_json(result: MalformedResult) -> dict[str, Any]:
    reaction = result.reaction
    return {
        "name": result.name,
        "mapping": result.mapping,
        "outcome": None if reaction is None else str(reaction.outcome),
        "response": None if reaction is None or reaction.response is None else str(reaction.response),
        "verdict": str(result.verdict),
        "faults": list(result.faults),
        "trouble": result.trouble,
        "request": result.request.to_json(),
        "evidence": None if result.evidence is None else str(result.evidence),
        "seconds": round(result.seconds, 3),
    }
