from pathlib import Path

import pytest

from lab.record import Arm
from lab.report import charts
from lab.report.charts import CellCost
from tests.unit.report.charts.opened import CAPTION, opened
from tests.unit.report.examples import HOSTILE


@pytest.mark.parametrize("points", [0, 1, charts.LARGEST_COST])
def test_cells_of_any_number(tmp_path: Path, points: int) -> None:
    """No cell to more than fit, with and without parts."""
    cells = [
        CellCost(f"{HOSTILE}{number}", arm, (5.0, 0.0, 1.0, 2.0 * number), 8.0, 7.0, 9.0)
        for number in range(points)
        for arm in Arm
    ]
    charts.cost_chart(tmp_path / "x.png", cells, CAPTION)
    opened(tmp_path / "x.png")
