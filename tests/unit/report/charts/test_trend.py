from pathlib import Path

import pytest

from lab.analysis.change_points import Level
from lab.analysis.history import Change, Entry, History
from lab.record import Point
from lab.report.charts.canvas import LARGEST_GRID
from lab.report.charts.trend import trend_chart
from lab.units import METRICS
from tests.unit.report.charts.opened import CAPTION, opened
from tests.unit.report.examples import HOSTILE


@pytest.mark.parametrize("count", [1, LARGEST_GRID + 1])
def test_histories_with_changes(tmp_path: Path, count: int) -> None:
    """Three levels, a change that the host explains, foreign names, and more results than labels fit."""
    entries = (
        Entry(HOSTILE, "2026", "h", 1.0, 0.9, 1.1, None, None),
        *(Entry(f"n{n}", "2026", "h", value := 1.0 + n / 99, value, value, 1.0, "b") for n in range(40)),
    )
    levels = (Level(0, 9, 1.0), Level(10, 19, 1.3), Level(20, 40, 1.2))
    changes = (Change(10, 0.3, None, of_host=False), Change(20, -0.08, -0.2, of_host=True))
    histories = [
        History(Point.from_levels({HOSTILE: n}), METRICS["iops"], entries, levels, changes) for n in range(count)
    ]
    trend_chart(tmp_path / "x.png", histories, height="ratio", text_of=lambda value: f"{value:.3g}", caption=CAPTION)
    opened(tmp_path / "x.png")
