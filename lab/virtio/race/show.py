"""Races to text, JSON and files for whoever wants to see them again. Nothing is decided here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.command import text_from_argv
from lab.virtio.race.attempt import RaceResult
from lab.virtio.race.campaign import Finding
from lab.virtio.race.script import script_from_schedule
from lab.virtio.verdict import Verdict

_TEXT_LINES = 4


@dataclass(frozen=True)
class Written:
    """The files of a finding: the stored schedule, the script that needs no lab, and QEMU's command line."""

    schedule: Path
    script: Path
    command_line: Path


@dataclass(frozen=True)
class Asked:
    """What was asked for, as far as a seed needs it to give the same schedule again.

    :param mappings: those that were chosen from, in their order; empty where a stored schedule was performed.
    :param themes: likewise.
    """

    qemu: Path
    mappings: tuple[str, ...] = ()
    themes: tuple[str, ...] = ()

    def drawn(self, seed: int) -> str:
        """Return the call that draws the schedule of a seed again, whole, and performs it once."""
        choices = [("--theme", name) for name in self.themes] + [("--mapping", name) for name in self.mappings]
        words = ("lab", "race", "--qemu", str(self.qemu), "--seed", str(seed), "--count", "1")
        return text_from_argv((*words, *(word for choice in choices for word in choice)))

    def replayed(self, file: Path) -> str:
        """Return the call that performs a stored schedule."""
        return text_from_argv(("lab", "race", "--qemu", str(self.qemu), "--replay", str(file)))


def verdict_of_races(results: Sequence[RaceResult]) -> Verdict:
    """Return failed where anything went wrong, undecided where nothing did and not every race says something."""
    return Verdict.of_all(
        Verdict.FAILED if judged.faults else Verdict.UNDECIDED if judged.undecided else Verdict.PASSED
        for judged in (result.judgement for result in results)
    )


def write_finding(finding: Finding, folder: Path) -> Written:
    """Write what is needed to see a finding again, and return where."""
    name = f"seed-{finding.shortest.seed}-{finding.fault.kind.name.lower().replace('_', '-')}"
    target = folder / "findings"
    target.mkdir(parents=True, exist_ok=True)
    files = Written(target / f"{name}.json", target / f"{name}.py", target / f"{name}.txt")
    files.schedule.write_text(json.dumps(finding.shortest.to_json(), indent=2) + "\n", encoding="utf-8")
    title = f"{finding.fault.kind}: {finding.fault.gist or finding.fault.text}"
    script = script_from_schedule(finding.shortest, title=title, name=files.script.name)
    files.script.write_text(script, encoding="utf-8")
    files.script.chmod(0o755)
    files.command_line.write_text(finding.result.command_line + "\n", encoding="utf-8")
    return files


def races_text(asked: Asked, results: Sequence[RaceResult], findings: Sequence[tuple[Finding, Written]]) -> str:
    """Return the outcome for people."""
    commands, functions = sum(result.commands for result in results), sum(result.functions for result in results)
    wrong = sum(bool(result.judgement.faults) for result in results)
    undecided = sum(bool(result.judgement.undecided) for result in results)
    lines = [f"Races on {asked.qemu}", ""]
    for finding, files in findings:
        lines += [*_finding_lines(asked, finding, files), ""]
    lines += [f"{text}: {count} times undecided" for text, count in _undecided(results).items()]
    lines.append(f"{len(results)} races with {commands} commands and {functions} functions: {wrong} went wrong, ")
    lines[-1] += f"{undecided} undecided"
    return "\n".join(lines)


def races_document(
    asked: Asked, results: Sequence[RaceResult], findings: Sequence[tuple[Finding, Written]]
) -> dict[str, Any]:
    """Return the outcome for scripts."""
    return {
        "binary": str(asked.qemu),
        "races": [_race_json(result) for result in results],
        "findings": [_finding_json(asked, finding, files) for finding, files in findings],
        "summary": {
            "races": len(results),
            "failed": sum(bool(result.judgement.faults) for result in results),
            "undecided": sum(bool(result.judgement.undecided) for result in results),
        },
    }


def _undecided(results: Sequence[RaceResult]) -> Counter[str]:
    return Counter(result.judgement.undecided for result in results if result.judgement.undecided)


def _finding_lines(asked: Asked, finding: Finding, files: Written) -> list[str]:
    steps = finding.shortest.steps
    seeds = ", ".join(str(seed) for seed in sorted(set(finding.seeds))[:8])
    more = ", ..." if len(set(finding.seeds)) > 8 else ""
    text = finding.fault.text.splitlines()
    return [
        f"failed: {finding.fault.kind}" + (f": {finding.fault.gist}" if finding.fault.gist else ""),
        *(f"    {line}" for line in text[:_TEXT_LINES]),
        f"    seeds {seeds}{more}; {finding.failed} of {finding.performed} performances of these {len(steps)} steps",
        f"    (mapping {finding.shortest.mapping}, {finding.shortest.backing} disks):",
        *(f"        {json.dumps(step.to_json())}" for step in steps),
        f"    run it again:  {asked.replayed(files.schedule)}",
        *([f"    as it was drawn: {asked.drawn(finding.result.schedule.seed)}"] if asked.mappings else []),
        f"    without a lab: {text_from_argv(('python3', str(files.script), str(asked.qemu)))}",
        f"    evidence: {finding.result.evidence}",
    ]


def _race_json(result: RaceResult) -> dict[str, Any]:
    return {
        "seed": result.schedule.seed,
        "mapping": result.schedule.mapping,
        "backing": str(result.schedule.backing),
        "steps": len(result.schedule.steps),
        "commands": result.commands,
        "functions": result.functions,
        "refused": list(result.refused),
        "faults": [{"kind": str(fault.kind), "text": fault.text} for fault in result.judgement.faults],
        "undecided": result.judgement.undecided,
        "evidence": None if result.evidence is None else str(result.evidence),
        "seconds": round(result.seconds, 3),
    }


def _finding_json(asked: Asked, finding: Finding, files: Written) -> dict[str, Any]:
    return {
        "kind": str(finding.fault.kind),
        "gist": finding.fault.gist,
        "text": finding.fault.text,
        "seeds": list(finding.seeds),
        "failed": finding.failed,
        "performed": finding.performed,
        "schedule": finding.shortest.to_json(),
        "again": asked.replayed(files.schedule),
        "drawn": asked.drawn(finding.result.schedule.seed) if asked.mappings else None,
        "files": {name: str(path) for name, path in vars(files).items()},
    }
