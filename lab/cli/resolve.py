"""``lab plan --resolve``: how many blocks and minutes a job needs on this host for a wanted resolution."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from lab.analysis.calibration import Calibration, Target, calibration_for, changed_since
from lab.analysis.question import question_from_toml
from lab.analysis.sample_size import SampleSize, sample_size
from lab.cli.compare import effect_from_text
from lab.experiment.job import LoadedJob
from lab.experiment.without_guest import QTEST
from lab.host.facts import fingerprint, host_facts
from lab.record import Cell
from lab.report.tables import text_table
from lab.units import text_from_seconds

_HEADER = ("point", "metric", "noise of a pair", "blocks")


def resolution(
    loaded: LoadedJob, profile: str, cells: Sequence[Cell], wanted: str, *, run_s: float
) -> tuple[dict[str, Any], str]:
    """Return what a job needs to resolve a change on this host, as JSON and as text.

    :param wanted: as typed: ``2%``.
    :param run_s: how long a run takes.
    :raise InputError: it is no effect, or the stored calibration is damaged or of another job.
    """
    effect = effect_from_text(wanted)
    calibration = _calibration(loaded, profile)
    if calibration is None:
        text = (
            f"resolve {100 * effect:g} %: this host is not calibrated for {loaded.name}, profile {profile}, so nobody "
            "knows its noise.\n'lab calibrate' measures it; docs/method.md has a table by noise."
        )
        return {"effect": effect, "calibrated": False, "blocks": None, "expected_seconds": None, "points": []}, text
    points = list(dict.fromkeys(cell.point.id for cell in cells))
    judge = loaded.job.judge
    size = sample_size(calibration, points, judge.metrics, effect=effect, alpha=judge.alpha)
    seconds = size.blocks * len(cells) * run_s
    tree = {**tomllib.loads(loaded.text), "experiment": {"profile": profile}}
    changed = changed_since(calibration, question_from_toml(tree, str(loaded.path)))
    data = {
        "effect": effect,
        "calibrated": True,
        "accelerator": calibration.target.accelerator,
        "blocks": size.blocks,
        "expected_seconds": round(seconds),
        "points": [vars(one) for one in size.needed],
        "missing": list(size.missing),
        "changed": list(changed),
    }
    return data, _text(size, calibration, seconds, changed)


def _calibration(loaded: LoadedJob, profile: str) -> Calibration | None:
    """Return what is known of this host with the best accelerator that was calibrated."""
    host = fingerprint(host_facts())
    found = (calibration_for(Target(host, name, loaded.name, profile)) for name in _accelerators(loaded))
    return next((calibration for calibration in found if calibration is not None), None)


def _accelerators(loaded: LoadedJob) -> tuple[str, ...]:
    return (QTEST,) if loaded.job.tier == QTEST else ("kvm", "tcg")


def _text(size: SampleSize, calibration: Calibration, seconds: float, changed: Sequence[str]) -> str:
    rows = [(one.point, one.metric, f"{100 * one.spread:.1f} %", str(one.blocks)) for one in size.needed]
    head = f"resolve {100 * size.effect:g} % with {calibration.target.accelerator}: {size.blocks} blocks"
    lines = [
        f"{head}, {text_from_seconds(seconds)} after the builds",
        "(found if it is there, shown to be absent if not, each in 80 % of cases)",
        f"noise measured {calibration.measured_at[:10]}:",
        "",
        text_table(_HEADER, rows),
    ]
    lines += [f"warning: the calibration knows nothing of {name}" for name in size.missing]
    if changed:
        lines.append(f"warning: the job was changed since: {', '.join(changed)}; 'lab calibrate' measures again")
    return "\n".join(lines)
