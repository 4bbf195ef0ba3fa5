"""Builds, patches and cache entries as text for people and as JSON for machines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from lab.build.arms import Arms
from lab.build.build import Build
from lab.build.entry import EntryInfo
from lab.build.patches import PatchBuild
from lab.build.prune import AreaInfo
from lab.experiment.smoke import SmokeResult
from lab.record import Outcome
from lab.units import text_from_seconds

_MIB = 1 << 20


def text_from_arms(arms: Arms) -> str:
    """Return what was built, for people."""
    lines = [f"base       {arms.source.origin} (QEMU {arms.source.version})", _line("baseline", arms.baseline)]
    if arms.candidate is not arms.baseline:
        lines.append(_line("candidate" if arms.series else "control", arms.candidate))
    return "\n".join([*lines, *(f"warning: {warning}" for warning in arms.warnings)])


def text_from_patches(patches: Sequence[PatchBuild], smoke: Sequence[SmokeResult]) -> str:
    """Return what became of each patch, and at the end those that failed by name.

    :param smoke: one for each patch, or none where nothing was booted.
    """
    lines: list[str] = []
    tried = dict(zip((patch.index for patch in patches), smoke, strict=False))
    for patch in patches:
        lines.append(_line(f"{patch.index:>3}", patch.build) if patch.build else f"{patch.index:>3} DOES NOT BUILD")
        lines.append(f"     {patch.subject}")
        result = tried.get(patch.index)
        if patch.error:
            lines.append(patch.error)
        elif result is not None:
            lines.append(f"     {_smoke_text(result)}")
    failed = [*_failures(patches, smoke)]
    if failed:
        lines += ["", f"{len(failed)} of {len(patches) - 1} patches failed:", *failed]
    elif len(patches) > 1:
        done = "builds, boots and verifies" if smoke else "builds"
        lines += ["", f"every one of {len(patches) - 1} patches {done}"]
    return "\n".join(lines)


def json_from_patches(patches: Sequence[PatchBuild], smoke: Sequence[SmokeResult]) -> dict[str, Any]:
    """Return the JSON object of ``lab build --each-patch``."""
    tried = {result.index: result.to_json() for result in smoke}
    rows = [
        {
            "index": patch.index,
            "subject": patch.subject,
            "commit": patch.commit,
            "error": patch.error or None,
            "log": patch.evidence or None,
            "build": patch.build.to_json() if patch.build else None,
            **({"smoke": tried.get(patch.index)} if smoke else {}),
        }
        for patch in patches
    ]
    return {"patches": rows}


def any_failed(patches: Sequence[PatchBuild], smoke: Sequence[SmokeResult]) -> bool:
    """Tell whether a patch does not build or does not work."""
    return any(patch.build is None for patch in patches) or any(_is_failure(result) for result in smoke)


def text_from_entries(entries: Sequence[EntryInfo], areas: Sequence[AreaInfo], *, removed: bool, now_s: float) -> str:
    """Return cache entries and work areas, a line or more each, and their total."""
    lines = []
    for entry in entries:
        what = f"QEMU {entry.build.version}  {entry.build.origin}" if entry.build else "damaged"
        lines.append(f"{_head(entry, now_s)}  {what}")
        lines += [f"{'':>37}{purpose.text}" for purpose in entry.purposes]
    lines += [f"{_head(area, now_s)}  work area" for area in areas]
    total = (sum(entry.size_bytes for entry in entries) + sum(area.size_bytes for area in areas)) / _MIB
    summary = f"{len(entries)} builds, {len(areas)} work areas, {total:.0f} MiB"
    return "\n".join([*lines, f"{summary}{' removed' if removed else ''}"])


def json_from_entries(entries: Sequence[EntryInfo], areas: Sequence[AreaInfo], *, key: str) -> dict[str, Any]:
    """Return the JSON object of ``lab build --list`` and ``--prune``.

    :param key: what the entries are called: ``entries`` or ``removed``.
    """
    rows = [
        {
            "folder": str(entry.folder),
            "size_bytes": entry.size_bytes,
            "used_at": entry.used_at,
            "purposes": [
                {"role": one.role.value, "series": one.series or None, "patch": one.patch or None}
                for one in entry.purposes
            ],
            "build": entry.build.to_json() if entry.build else None,
        }
        for entry in entries
    ]
    shown = [{"folder": str(area.folder), "size_bytes": area.size_bytes, "used_at": area.used_at} for area in areas]
    return {key: rows, "areas": shown}


def _head(one: EntryInfo | AreaInfo, now_s: float) -> str:
    ago = text_from_seconds(max(0.0, now_s - one.used_at))
    if now_s - one.used_at > 48 * 3600:
        ago = time.strftime("%Y-%m-%d", time.localtime(one.used_at))
    else:
        ago += " ago"
    return f"{one.folder.name[:12]}  {one.size_bytes / _MIB:>6.0f} MiB  {ago:>14}"


def _line(name: str, build: Build) -> str:
    how = "from the cache" if build.cached else f"built in {text_from_seconds(build.seconds)}, {build.steps} steps"
    return f"{name:<10} {build.qemu} ({how})"


def _is_failure(result: SmokeResult) -> bool:
    return result.outcome not in (None, Outcome.OK)


def _smoke_text(result: SmokeResult) -> str:
    if result.outcome is None:
        return "not booted: it does not build"
    if result.outcome is Outcome.OK:
        return f"boots, and fio verifies ({text_from_seconds(result.seconds)})"
    return f"FAILED: {result.outcome}: {result.reason}\n     evidence: {result.evidence}"


def _failures(patches: Sequence[PatchBuild], smoke: Sequence[SmokeResult]) -> list[str]:
    tried = {result.index: result for result in smoke}
    lines = []
    for patch in patches:
        result = tried.get(patch.index)
        if patch.build is None:
            lines.append(f"  {patch.index}: {patch.subject}: does not build, {patch.evidence}")
        elif result is not None and _is_failure(result):
            lines.append(f"  {patch.index}: {patch.subject}: {result.outcome}, {result.evidence}")
    return lines
