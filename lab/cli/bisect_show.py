"""A bisection as text for people and as JSON for machines."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from lab.build.patches import PatchBuilds
from lab.errors import ExitCode
from lab.experiment.bisect import Answer, Bisection, Kind, Outcome, Step
from lab.series.series import Patch

_INDENT = "    "
_ANSWERS = {
    Answer.SHOWN: "it is there",
    Answer.ABSENT: "it is not there",
    Answer.UNDECIDED: "could not be decided",
    Answer.UNTESTABLE: "cannot be tested",
}


def exit_code_of(outcome: Outcome) -> ExitCode:
    """Return what ``lab`` tells the shell: only a patch that was found is a finding."""
    codes = {Outcome.FOUND: ExitCode.FINDING, Outcome.NOTHING: ExitCode.DONE}
    return codes.get(outcome, ExitCode.UNDECIDED)


def text_from_bisection(found: Bisection, builds: PatchBuilds, folder: Path, command: str) -> str:
    """Return every step with its numbers, and what came of them."""
    lines = [f"{builds.series.title}, {len(builds)} patches on {builds.source.origin}", ""]
    for number, step in enumerate(found.steps, start=1):
        lines += [f"step {number}, {step_title(step, builds)}: {_ANSWERS[step.answer]}"]
        lines += [textwrap.indent(text, _INDENT) for text in (step.text, step.reason) if text]
        lines += [f"{_INDENT}{path}" for path in step.folders] + [""]
    lines += _conclusion(found, builds)
    lines += ["", f"steps: {folder}", f"again (finished steps are kept): {command}"]
    return "\n".join(lines)


def json_from_bisection(found: Bisection, builds: PatchBuilds, folder: Path) -> dict[str, Any]:
    """Return the JSON object of ``lab bisect``."""
    left = _left(found, builds) if found.outcome is not Outcome.NOTHING else ()
    return {
        "outcome": found.outcome.value,
        "culprit": _json_from_patch(left[0]) if found.outcome is Outcome.FOUND else None,
        "left": [_json_from_patch(patch) for patch in left],
        "untestable": [_json_from_patch(builds.series.patches[place - 1]) for place in found.untestable],
        "base_commit": builds.source.commit,
        "folder": str(folder),
        "steps": [
            {
                "kind": step.kind.value,
                "low": step.low,
                "high": step.high,
                "answer": step.answer.value,
                "reason": step.reason,
                "folders": [str(path) for path in step.folders],
                "comparison": step.data or None,
            }
            for step in found.steps
        ],
    }


def step_title(step: Step, builds: PatchBuilds) -> str:
    """Return what a step compared, with the numbers that the patches have in the series."""
    number = [0, *(patch.index for patch in builds.series.patches)]
    low, high = number[step.low], number[step.high]
    if step.kind is Kind.WHOLE:
        return "the whole series against its base"
    if step.kind is Kind.SEARCH:
        return f"patches up to {high} against the base"
    what = f"patch {high}" if step.high - step.low == 1 else f"patches after {low} up to {high}"
    return f"{what} against {f'patch {low}' if low else 'the base'}, for confirmation"


def _conclusion(found: Bisection, builds: PatchBuilds) -> list[str]:
    left = _left(found, builds)
    named = [f"{_INDENT}{patch.index}  {patch.subject}" for patch in left]
    # Patches that cannot be tested are named wherever they are: the author wants to know them in any case.
    broken = [builds.series.patches[position - 1] for position in found.untestable]
    notes = [f"patch {patch.index} could not be tested: {patch.subject}" for patch in broken]
    if found.outcome is Outcome.FOUND:
        return [*_culprit(left[0], builds, found), *notes]
    if found.outcome is Outcome.NOTHING:
        return ["there is nothing to find: the whole series does not regress this job", *notes]
    if found.outcome is Outcome.NOT_CONFIRMED:
        said = "the search ended at these patches, but measured on their own they do not show it:"
        return [said, *named, "several patches may add up to it, or a step went wrong; take a longer profile", *notes]
    if found.outcome is Outcome.UNTESTABLE:
        return ["it is one of these patches; those between cannot be tested:", *named, *notes]
    if found.steps[-1].kind is Kind.WHOLE:
        return ["could not decide whether the whole series shows anything; take a longer profile", *notes]
    return ["could not decide; it is one of these patches, take a longer profile:", *named, *notes]


def _culprit(patch: Patch, builds: PatchBuilds, found: Bisection) -> list[str]:
    return [
        f"patch {patch.index} of {builds.series.expected} causes it: {patch.subject}",
        f"{_INDENT}author      {patch.author}",
        f"{_INDENT}message-id  {patch.message_id or '-'}",
        f"{_INDENT}commit      {builds.at(found.high).commit} (in the lab's repository)",
        *(f"{_INDENT}touches     {path}" for path in patch.files),
    ]


def _left(found: Bisection, builds: PatchBuilds) -> tuple[Patch, ...]:
    return builds.series.patches[found.low : found.high]


def _json_from_patch(patch: Patch) -> dict[str, Any]:
    return {
        "index": patch.index,
        "subject": patch.subject,
        "author": patch.author,
        "message_id": patch.message_id or None,
    }
