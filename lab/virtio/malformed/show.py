"""Results of malformed requests to a table and JSON. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.virtio.malformed.attempt import MalformedResult
from lab.virtio.tmf.judge import Verdict

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
    failed = [result for result in results if result.verdict is not Verdict.PASSED]
    for result in failed:
        lines += ["", f"{result.verdict}: {result.name}, mapping {result.mapping}"]
        lines += [f"    {text}" for text in (*result.faults, result.trouble) if text]
        lines.append(f"    evidence: {result.evidence}")
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
