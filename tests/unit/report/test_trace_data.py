import math
from dataclasses import replace

import pytest

from lab.record import Arm, Point
from lab.report.trace_data import DISTURBED, Event, TracedRun, traces_by_point
from tests.unit.analysis.campaign import Campaign

POINT = Point.from_levels({"iothreads": 1})


def test_runs_with_a_trace_are_found_by_point() -> None:
    """Every run with readings counts; points that nobody asked for do not."""
    records = Campaign(blocks=2).records()
    found = traces_by_point(records, [POINT], "iops")
    assert list(found) == [POINT.id] and len(found[POINT.id]) == 4
    assert {run.arm for run in found[POINT.id]} == set(Arm)
    assert found[POINT.id][0].seconds == tuple(map(float, range(1, 11)))


def test_points_without_a_trace_are_left_out() -> None:
    """A trace of one reading is none."""
    records = [replace(record, traces={"iops": (1.0,)}) for record in Campaign(blocks=1).records()]
    assert traces_by_point(records, [POINT], "iops") == {}


@pytest.mark.parametrize(
    "facts",
    [
        {"events": [{"at_s": 2, "name": "unplug"}]},
        {
            "events": [
                {"at_s": 2.0, "name": "unplug", "more": 1},
                {"at_s": math.nan, "name": "x"},
                {"at_s": -1, "name": ""},
            ]
        },
        {
            "events": [
                "x",
                None,
                {"at_s": "2", "name": "x"},
                {"at_s": 2, "name": "unplug"},
                {"name": "x"},
                {"at_s": 1e9},
            ]
        },
    ],
)
def test_events_of_a_record_are_read(facts: dict[str, object]) -> None:
    """What is no event is not drawn, and stops nothing."""
    record = next(r for r in Campaign(blocks=1).records() if r.scheduled.cell.point == POINT)
    run = traces_by_point([replace(record, facts=facts)], [POINT], "iops")[POINT.id][0]
    assert run == TracedRun(record.scheduled.cell.arm, record.traces["iops"], run.seconds, (Event(2.0, "unplug"),))


@pytest.mark.parametrize("value", [None, 7, "events", {}])
def test_a_record_without_events_has_none(value: object) -> None:
    """Facts are anything; only a list holds events."""
    record = replace(Campaign(blocks=1).records()[0], facts={"events": value})
    (runs,) = traces_by_point([record], [record.scheduled.cell.point], "iops").values()
    assert runs[0].events == ()


def test_the_trace_of_a_disturbed_run_is_closer() -> None:
    """A reading every 100 ms, so that a gap of half a second is seen."""
    record = replace(Campaign(blocks=1).records()[0], traces={DISTURBED: (1.0, 0.0, 1.0)})
    (runs,) = traces_by_point([record], [record.scheduled.cell.point], DISTURBED).values()
    assert runs[0].seconds == pytest.approx((0.1, 0.2, 0.3))
