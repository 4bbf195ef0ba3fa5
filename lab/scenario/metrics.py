"""What was seen of a scenario to the metrics of a run, and to a trace on one clock with the disturbances marked. Pure.

Metrics are compared as ratios, so none may be zero: a time without a completion is the longest it can have been,
and the lowest throughput is at least that of one request. None is a bound in the candidate's favour either: service
that did not come back while it was watched has no recovery time, and a candidate without one cannot pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.scenario.catalogue import Scenario
from lab.scenario.service import INTERVAL_S, Reading, ServiceGap
from lab.scenario.verdict import Seen

GAP_METRICS = ("service_gap_ms", "recovery_ms", "dip_percent")
SCENARIO_METRICS = (*GAP_METRICS, "downtime_ms", "scenario_ms")
"""What only a scenario measures, by name (lab/units.py)."""
TRACE = "service_iops"
"""The trace of a run that was disturbed. Not ``iops``, which has to be steady."""
_ONE_REQUEST_IOPS = 1 / INTERVAL_S
_LONGEST_TRACE_S = 86400.0
_FAR_OFF = 1.3


def metrics_of_scenario(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of what runs of a scenario measure."""
    return (*(GAP_METRICS if scenario.has_gaps else ()), "scenario_ms", "boot_s")


def metrics_from_seen(seen: Seen) -> dict[str, float]:
    """Return the worst of all disturbances of a run; no gap metric where no disturbance has a gap."""
    metrics = {"scenario_ms": 1000 * seen.seconds}
    if seen.paused_s > 0:
        metrics["downtime_ms"] = 1000 * seen.paused_s
    gaps = seen.gaps()
    if gaps:
        metrics["service_gap_ms"] = 1000 * max(gap.standstill_at_most_s for gap in gaps)
        recoveries_s = [gap.recovery_s for gap in gaps if gap.recovery_s is not None]
        if len(recoveries_s) == len(gaps):
            metrics["recovery_ms"] = 1000 * max(0.001, *recoveries_s)
        metrics["dip_percent"] = 100 * min(max(gap.dip_iops, _ONE_REQUEST_IOPS) / gap.before_iops for gap in gaps)
    return metrics


def gap_warnings(gaps: Sequence[ServiceGap]) -> tuple[str, ...]:
    """Return why there is no recovery time."""
    return tuple(
        f"service was not back {gap.watched_s:.1f} s after '{gap.name}': recovery_ms is longer, and left out"
        for gap in gaps
        if gap.recovery_s is None
    )


def even_trace(trace: Sequence[Reading]) -> tuple[float, ...]:
    """Return what :func:`even_readings` do, without their times."""
    return tuple(reading.iops for reading in even_readings(trace))


def even_readings(trace: Sequence[Reading]) -> tuple[Reading, ...]:
    """Return the readings at even distances from the first one on; 0 where nothing completed: fio is silent then."""
    if not trace or trace[-1].at_s - trace[0].at_s > _LONGEST_TRACE_S:
        return ()
    begin_s, even, place = trace[0].at_s - INTERVAL_S, [], 0
    for number in range(round((trace[-1].at_s - begin_s) / INTERVAL_S)):
        middle_s = begin_s + (number + 0.5) * INTERVAL_S
        while place + 1 < len(trace) and trace[place].at_s < middle_s:
            place += 1
        # fio's intervals are a little longer or shorter than asked for; only a reading that is far off means nothing
        iops = trace[place].iops if trace[place].at_s - middle_s <= _FAR_OFF * INTERVAL_S else 0.0
        even.append(Reading(begin_s + (number + 1) * INTERVAL_S, iops))
    return tuple(even)


def events_from_seen(seen: Seen) -> list[dict[str, object]]:
    """Return the disturbances with their seconds since the trace began; one from before is left out."""
    if not seen.trace:
        return []
    begin_s = seen.trace[0].at_s - INTERVAL_S
    return [{"name": mark.name, "at_s": round(mark.at_s - begin_s, 3)} for mark in seen.marks if mark.at_s >= begin_s]
