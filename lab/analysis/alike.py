"""Whether the two arms may be compared at all: what was not asked about must be equal."""

from __future__ import annotations

from collections.abc import Mapping

from lab.analysis.results import Results
from lab.record import Arm

_MUST_BE_ALIKE = ("configure_options", "compiler", "linker", "libraries", "c_flags", "firmware_sha256")


def unlike_reasons(results: Results) -> tuple[str, ...]:
    """Return why no verdict can be given at all: the arms differ in something that was not asked about."""
    reasons: list[str] = []
    baseline, candidate = results.builds.get("baseline"), results.builds.get("candidate")
    if isinstance(baseline, Mapping) and isinstance(candidate, Mapping):
        reasons += [
            f"the builds differ in {key}: {_short(baseline.get(key))} and {_short(candidate.get(key))}"
            for key in _MUST_BE_ALIKE
            if baseline.get(key) != candidate.get(key)
        ]
    used = {arm: {run.accelerator for run in results.ok if run.scheduled.cell.arm is arm} for arm in Arm}
    if all(used.values()) and used[Arm.BASELINE] != used[Arm.CANDIDATE]:
        names = " and ".join("/".join(sorted(used[arm])) for arm in Arm)
        reasons.append(f"the arms ran with different accelerators: {names}")
    return tuple(reasons)


def _short(value: object) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
