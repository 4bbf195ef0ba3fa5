from pathlib import Path

import pytest

from lab.record import Arm, Point
from lab.report import charts
from lab.report.chart_data import RunMark
from lab.report.charts.runs import _from_first_event
from lab.report.trace_data import Event, TracedRun
from lab.units import METRICS
from tests.unit.report.charts.opened import CAPTION, opened
from tests.unit.report.examples import HOSTILE

IOPS = METRICS["iops"]


@pytest.mark.parametrize("count", [1, 5])
def test_runs_with_failures(tmp_path: Path, count: int) -> None:
    """Runs with and without values, and points without any run."""
    marks = (RunMark(1, 1, Arm.BASELINE, 5.0), RunMark(2, 1, Arm.CANDIDATE, None), RunMark(3, 2, Arm.BASELINE, None))
    runs: dict[Point, tuple[RunMark, ...]] = {Point.from_levels({"iothreads": n}): marks for n in range(count)}
    runs[Point.from_levels({"iothreads": 0})] = ()
    charts.runs_chart(tmp_path / "x.png", runs, IOPS, CAPTION)
    opened(tmp_path / "x.png")


@pytest.mark.parametrize("count", [1, charts.LARGEST_GRID + 1])
def test_traces_with_events(tmp_path: Path, count: int) -> None:
    """Lines of several lengths, with what was done meanwhile; foreign names of events stop nothing."""
    events = (Event(1.5, HOSTILE), *(Event(2.0 + n, f"event {n}") for n in range(12)))
    runs = (
        TracedRun(Arm.BASELINE, (1.0, 2.0, 3.0), (1.0, 2.0, 3.5)),
        TracedRun(Arm.CANDIDATE, (5.0,) * 40, tuple(map(float, range(40))), events),
    )
    traces = {f"{HOSTILE}{n}": runs for n in range(count)}
    charts.traces_chart(tmp_path / "x.png", traces, IOPS, CAPTION)
    opened(tmp_path / "x.png")


def test_runs_lie_over_each_other_at_what_was_done_first() -> None:
    """A run in which nothing was done is left as it is."""
    run = TracedRun(Arm.BASELINE, (1.0, 2.0), (3.0, 4.0), (Event(5.5, "pivot"), Event(3.5, "mirror")))
    moved = _from_first_event(run)
    assert moved.seconds == (-0.5, 0.5) and moved.events == (Event(2.0, "pivot"), Event(0.0, "mirror"))
    quiet = TracedRun(Arm.BASELINE, (1.0,), (1.0,))
    assert _from_first_event(quiet) is quiet
