from pathlib import Path

import pytest

from lab.analysis.change_points import Level
from lab.analysis.history import Entry, History
from lab.record import Point
from lab.report.charts.canvas import LARGEST_GRID
from lab.report.charts.trend import trend_chart
from lab.units import METRICS
from tests.unit.report.charts.opened import CAPTION, opened
from tests.unit.report.examples import HOSTILE


@pytest.mark.parametrize("count", [1, LARGEST_GRID + 1])
def test_histories_with_changes(tmp_path: Path, count: int) -> None:
    """Values with and without intervals, two levels, foreign names, and more results than labels fit."""
    entries = (
        Entry(HOSTILE, "2026", 1.0, 0.9, 1.1),
        *(Entry(f"n{n}", "2026", 1.0 + n / 99, None, None) for n in range(40)),
    )
    levels = (Level(0, 9, 1.0), Level(10, 40, 1.3))
    histories = [History(Point.from_levels({HOSTILE: n}), METRICS["iops"], entries, levels) for n in range(count)]
    trend_chart(tmp_path / "x.png", histories, height="ratio", text_of=lambda value: f"{value:.3g}", caption=CAPTION)
    opened(tmp_path / "x.png")
