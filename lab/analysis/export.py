"""A comparison to JSON for scripts. The keys are a contract: add freely, never rename or drop."""

from __future__ import annotations

from typing import Any

from lab.analysis.calibration import Calibration
from lab.analysis.compare import Comparison
from lab.analysis.family import PointComparison
from lab.analysis.verdict import ANYTHING, Interval


def json_from_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return the JSON object of a comparison. Ratios are candidate over baseline; what is not known is null."""
    question = comparison.results.question
    return {
        "format": 1,
        "title": question.title,
        "verdict": comparison.verdict.value,
        "exit_code": int(comparison.exit_code),
        "tier": comparison.results.tier,
        "calibrated": comparison.calibrated,
        "calibration": _json_from_calibration(comparison.calibration),
        "alpha": question.alpha,
        "family": {"points": len({point.point for point in comparison.judged}), "metrics": len(question.metrics)},
        "runs": {
            "scheduled": len(comparison.results.schedule),
            "attempts": len(comparison.results.records),
            "ok": len(comparison.results.ok),
        },
        "findings": list(comparison.findings),
        "doubts": list(comparison.doubts),
        "mends": list(comparison.mends),
        "warnings": [caveat.text for caveat in comparison.caveats],
        "points": [_json_from_point(point, question.alpha) for point in comparison.points],
    }


def _json_from_calibration(calibration: Calibration | None) -> dict[str, Any] | None:
    if calibration is None:
        return None
    return {
        "measured_at": calibration.measured_at,
        "blocks": calibration.blocks,
        "false_alarm_rate": calibration.false_alarm_rate,
        "false_alarm_low": calibration.false_alarm_low,
        "false_alarm_high": calibration.false_alarm_high,
        "campaigns": calibration.campaigns,
        "alarms": calibration.alarms,
        "smallest_change": calibration.smallest_change,
        "layout_noise": calibration.layout_noise,
    }


def _json_from_point(point: PointComparison, alpha: float) -> dict[str, Any]:
    numbers = point.numbers
    reliable = numbers is not None and numbers.coverage >= 1 - alpha
    return {
        "point": point.point.id,
        "levels": dict(point.point.levels),
        "metric": point.metric.name,
        "unit": point.metric.unit,
        "better": point.metric.better.value,
        "judged": point.judged,
        "n": point.n,
        "baseline": point.baseline,
        "candidate": point.candidate,
        "ratio": numbers.ratio if numbers else None,
        "ratio_low": numbers.low if numbers else None,
        "ratio_high": numbers.high if numbers else None,
        "coverage": numbers.coverage if numbers else None,
        **_json_from_difference(point),
        "p": point.p,
        "p_adjusted": numbers.p_adjusted if numbers else None,
        "smallest_effect": point.smallest_effect,
        "verdict": point.verdict.value,
        "ruled_out": point.ruled_out if reliable else None,
        "host_moved": _json_from_interval(point.moved),
        "runs_needed": point.runs_needed,
        "warnings": [caveat.text for caveat in point.caveats],
    }


def _json_from_difference(point: PointComparison) -> dict[str, float | None]:
    """Return what the ratio and its interval are in the unit of the metric, at the median of the baseline."""
    numbers, baseline = point.numbers, point.baseline
    ratios = (None, None, None) if numbers is None else (numbers.ratio, numbers.low, numbers.high)
    return {
        name: None if ratio is None or baseline is None else baseline * (ratio - 1)
        for name, ratio in zip(("difference", "difference_low", "difference_high"), ratios, strict=True)
    }


def _json_from_interval(moved: Interval | None) -> list[float] | None:
    """Return the ends; null for arms of one session, and where a host may have done anything."""
    return None if moved in (None, ANYTHING) else list(moved)
