"""What was seen of a scenario to metrics, a trace and events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.scenario.catalogue import SCENARIOS
from lab.scenario.metrics import (
    SCENARIO_METRICS,
    even_readings,
    even_trace,
    events_from_seen,
    gap_warnings,
    metrics_from_seen,
    metrics_of_scenario,
)
from lab.scenario.service import Mark, Reading, Wait
from lab.scenario.verdict import Seen
from lab.units import METRICS
from tests.unit.scenario.test_service import steady


def seen(after: list[Reading], waits: tuple[Wait, ...] = ()) -> Seen:
    """A second of 1000 IOPS, a disturbance, and what follows."""
    trace = (*steady(0, 1, 1000), *after)
    return Seen(trace=trace, waits=waits, marks=(Mark("m", 1.0),), seconds=0.25, paused_s=0.03)


def test_the_worst_of_a_run_is_its_metric() -> None:
    """In the units of their names."""
    metrics = metrics_from_seen(seen([Reading(1.6, 100), *steady(1.6, 1, 1000)], (Wait(1.6, 0.52),)))
    assert metrics == pytest.approx(
        {"service_gap_ms": 520, "recovery_ms": 700, "dip_percent": 10, "scenario_ms": 250, "downtime_ms": 30}
    )


def test_no_metric_is_zero() -> None:
    """They are compared as ratios: nothing completed counts as one request."""
    metrics = metrics_from_seen(seen([Reading(1.1, 0), Reading(1.2, 0), *steady(1.2, 1, 1000)]))
    assert metrics["dip_percent"] == 1.0 and all(value > 0 for value in metrics.values())


def test_service_that_did_not_come_back_has_no_recovery_time() -> None:
    """The time it was watched would make a candidate that never recovers as good as one that nearly did."""
    bad = seen(steady(1, 3, 10))
    assert set(metrics_from_seen(bad)) == {"service_gap_ms", "dip_percent", "scenario_ms", "downtime_ms"}
    assert gap_warnings(bad.gaps()) == ("service was not back 3.0 s after 'm': recovery_ms is longer, and left out",)


def test_of_two_disturbances_one_without_recovery_is_enough() -> None:
    """The worst of a run is not known then."""
    both = Seen(trace=(*steady(0, 5, 1000), *steady(5, 3, 10)), marks=(Mark("a", 1.0), Mark("b", 5.0)), seconds=1)
    assert [gap.recovery_s is None for gap in both.gaps()] == [False, True]
    assert "recovery_ms" not in metrics_from_seen(both)


def test_a_scenario_without_a_gap_has_its_time_only() -> None:
    """And a guest that was never stopped has no downtime."""
    assert metrics_from_seen(Seen(seconds=2.0)) == {"scenario_ms": 2000}


def test_every_metric_of_a_scenario_is_known() -> None:
    """With unit and direction."""
    assert set(SCENARIO_METRICS) <= set(METRICS)
    assert all(set(metrics_of_scenario(one)) <= set(METRICS) for one in SCENARIOS.values())
    assert "service_gap_ms" not in metrics_of_scenario(SCENARIOS["quit"])


def test_an_uneven_trace_is_made_even() -> None:
    """fio's intervals are a little long or short, which is no gap; half a second without a reading is."""
    uneven = [Reading(10.1, 5), Reading(10.21, 6), Reading(10.29, 7), Reading(10.41, 8), Reading(11.0, 9)]
    assert even_trace(uneven) == (5, 6, 7, 8, 0, 0, 0, 0, 0, 9)
    assert [round(reading.at_s, 3) for reading in even_readings(uneven)][:5] == [10.1, 10.2, 10.3, 10.4, 10.5]
    assert even_trace([]) == () and even_trace([Reading(0, 1), Reading(1e9, 1)]) == ()


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e6)), max_size=50))
def test_no_trace_is_too_odd(readings: list[tuple[float, float]]) -> None:
    """A guest may say anything."""
    assert all(iops >= 0 for iops in even_trace([Reading(*reading) for reading in sorted(readings)]))


def test_events_are_on_the_clock_of_the_trace() -> None:
    """From the beginning of the first reading on."""
    assert events_from_seen(seen(steady(1, 1, 1000))) == [{"name": "m", "at_s": 1.0}]
    assert events_from_seen(Seen(marks=(Mark("m", 1.0),))) == []
