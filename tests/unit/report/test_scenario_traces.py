from typing import Any

import pytest

from lab.errors import InputError
from lab.record import Arm
from lab.report.scenario_traces import scenarios_from_json
from lab.report.trace_data import Event, TracedRun

SCENARIO = {
    "scenario": "hotplug",
    "verdict": "passed",
    "marks": [{"event": "device_add", "at_s": 1000.25}],
    "trace": [[1000.0, 5.0], [1000.1, 6.0], [1000.5, 0.0]],
}


def test_both_arms_stand_beside_each_other() -> None:
    """Clocks begin with the first reading of each; a scenario without a trace is left out."""
    empty = {"scenario": "reset", "verdict": "undecided"}
    found = scenarios_from_json({"baseline": [SCENARIO, empty], "candidate": [SCENARIO], "device": "x"}, "x.json")
    assert list(found) == ["hotplug"] and [run.arm for run in found["hotplug"]] == list(Arm)
    run = found["hotplug"][0]
    assert run == TracedRun(Arm.BASELINE, (5.0, 6.0, 0.0), run.seconds, (Event(0.25, "device_add"),))
    assert run.seconds == pytest.approx((0.0, 0.1, 0.5))


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "the document"),
        ({"baseline": [{"scenario": 1}]}, r"baseline\.0"),
        ({"baseline": [{**SCENARIO, "trace": [[float("nan"), 1.0]]}]}, r"baseline\.0\.trace"),
        ({"scenarios": []}, "has no trace"),
    ],
)
def test_another_document_is_refused(document: Any, why: str) -> None:
    """The message names the key, and the remedy the verb that prints what is wanted."""
    with pytest.raises(InputError, match=rf"x\.json.*{why}") as caught:
        scenarios_from_json(document, "x.json")
    assert "lab scenario" in caught.value.remedy
