import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.analysis.compare import compare_results
from lab.analysis.export import json_from_comparison
from lab.analysis.question import Question
from lab.analysis.results import Results
from lab.record import Outcome, ScheduledRun
from lab.units import METRICS
from tests.unit.analysis.campaign import Campaign

POINT_KEYS = [
    "point",
    "metric",
    "unit",
    "better",
    "n",
    "baseline",
    "candidate",
    "ratio",
    "ratio_low",
    "ratio_high",
    "difference",
    "difference_low",
    "difference_high",
    "host_moved",
    "p",
    "p_adjusted",
    "verdict",
    "ruled_out",
    "runs_needed",
    "warnings",
]


def exported(campaign: Campaign) -> dict[str, object]:
    """Return the JSON object of a campaign, through text."""
    question = Question("t", metrics=(METRICS["iops"],))
    results = Results(Path("x"), question, campaign.schedule(), campaign.records())
    value = json.loads(json.dumps(json_from_comparison(compare_results(results)), allow_nan=False))
    assert isinstance(value, dict)
    return value


def test_the_contract_of_the_keys() -> None:
    """Scripts rely on these keys."""
    value = exported(Campaign(effect=lambda point: 0.5))
    assert {"points", "verdict", "tier", "calibrated", "findings", "mends", "doubts"} <= set(value)
    points = value["points"]
    assert isinstance(points, list) and all(set(POINT_KEYS) <= set(point) for point in points)
    first = points[0]
    assert (first["point"], first["metric"], first["unit"], first["better"]) == ("iothreads=1", "iops", "1/s", "higher")
    assert (
        first["verdict"] == value["verdict"] == "REGRESSED" and value["tier"] == "tcg" and value["calibrated"] is False
    )
    assert first["ratio_low"] < first["ratio"] < first["ratio_high"] < 1
    for end in ("", "_low", "_high"):
        assert first[f"difference{end}"] == pytest.approx(first["baseline"] * (first[f"ratio{end}"] - 1))


def test_what_is_not_known_is_null() -> None:
    """Without any pair there are no numbers, and no NaN either."""
    points = exported(Campaign(fails=lambda run: Outcome.VOID))["points"]
    assert isinstance(points, list)
    for key in (
        "baseline",
        "candidate",
        "ratio",
        "ratio_low",
        "ratio_high",
        "p",
        "p_adjusted",
        "ruled_out",
        "runs_needed",
    ):
        assert points[0][key] is None
    assert points[0]["n"] == 0 and points[0]["verdict"] == "INCONCLUSIVE"


def test_nothing_is_ruled_out_by_too_few_pairs() -> None:
    """Two pairs cover half: what lies outside is not ruled out at the level that was asked for."""
    few, enough = (exported(Campaign(blocks=blocks, noise=0.001))["points"] for blocks in (2, 6))
    assert isinstance(few, list) and few[0]["ratio_low"] is not None and few[0]["ruled_out"] is None
    assert isinstance(enough, list) and 0 < enough[0]["ruled_out"] < 0.02


def test_the_exit_code_stands_beside_the_verdict() -> None:
    """A crash of the candidate decides it, whatever the verdict on its speed is."""

    def crash(run: ScheduledRun) -> Outcome | None:
        return Outcome.QEMU_CRASHED if (run.block, run.cell.id) == (1, "candidate.iothreads=1") else None

    assert exported(Campaign(noise=0.001))["exit_code"] == 0
    assert exported(Campaign(noise=0.001, fails=crash))["exit_code"] == 1


def test_what_a_control_says_is_an_interval_or_nothing() -> None:
    """Two sessions: the ends by which the host moved; null where no control is, and in one session."""
    campaign = Campaign(noise=0.001)
    made = Results(Path("x"), Question("t", metrics=(METRICS["iops"],)), campaign.schedule(), campaign.records())
    controls = {("iops", "iothreads=1"): (0.99, 1.01)}
    points = json_from_comparison(compare_results(replace(made, controls=controls)))["points"]
    assert [point["host_moved"] for point in points[:3]] == [[0.99, 1.01], None, None]
    assert [point["ruled_out"] is None for point in points[:3]] == [False, True, True]
    assert json_from_comparison(compare_results(made))["points"][0]["host_moved"] is None
