"""What ``lab scenario --json`` prints to traces that can be drawn: completed requests and disturbances over time."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from lab.analysis.document import validated
from lab.errors import InputError
from lab.record import Arm
from lab.report.trace_data import Event, TracedRun

_MOST_SCENARIOS = 1000
_Finite = Annotated[float, Field(ge=-1e12, le=1e12)]


class _Mark(BaseModel):
    event: str
    at_s: _Finite


class _Scenario(BaseModel):
    scenario: str
    verdict: str
    marks: tuple[_Mark, ...] = ()
    trace: tuple[tuple[_Finite, _Finite], ...] = ()


class _Document(BaseModel):
    baseline: tuple[_Scenario, ...] = Field(default=(), max_length=_MOST_SCENARIOS)
    candidate: tuple[_Scenario, ...] = Field(default=(), max_length=_MOST_SCENARIOS)


def scenarios_from_json(document: Any, where: str) -> dict[str, list[TracedRun]]:
    """Return the traces of each scenario, both arms beside each other, on clocks that begin with their first reading.

    :param where: names the document in messages.
    :raise InputError: it is something else, or has no trace.
    """
    raw = validated(_Document, document, where, remedy="give what 'lab scenario --json' prints")
    found: dict[str, list[TracedRun]] = {}
    for arm, scenarios in ((Arm.BASELINE, raw.baseline), (Arm.CANDIDATE, raw.candidate)):
        for scenario in scenarios:
            if len(scenario.trace) > 1:
                found.setdefault(scenario.scenario, []).append(_run(arm, scenario))
    if not found:
        raise InputError(f"{where} has no trace to draw", remedy="give what 'lab scenario --json' prints")
    return found


def _run(arm: Arm, scenario: _Scenario) -> TracedRun:
    begin_s = scenario.trace[0][0]
    return TracedRun(
        arm,
        tuple(reading for _, reading in scenario.trace),
        tuple(at_s - begin_s for at_s, _ in scenario.trace),
        tuple(Event(mark.at_s - begin_s, mark.event) for mark in scenario.marks),
    )
