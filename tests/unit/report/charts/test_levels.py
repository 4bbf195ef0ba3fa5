from pathlib import Path

import pytest
from PIL import Image

from lab.record import Arm
from lab.report import charts
from lab.report.chart_data import Mark, Panel
from tests.unit.report.charts.opened import CAPTION, opened
from tests.unit.report.examples import HOSTILE

MARK = Mark(0, 10.0, 8.0, 12.0, (8.0, 10.0, 12.0))


def draw_levels(path: Path, panels: list[Panel], *, logarithmic: bool = False, levels: int = 2) -> Image.Image:
    """Draw panels over two levels."""
    charts.levels_chart(
        path,
        panels,
        levels=["1", HOSTILE, *("a long level of a factor" for _ in range(levels - 2))],
        axis=HOSTILE,
        height="IOPS",
        text_of=str,
        reference_label="published",
        caption=CAPTION,
        logarithmic=logarithmic,
    )
    return opened(path)


@pytest.mark.parametrize("count", [1, 3, charts.LARGEST_GRID + 1])
def test_levels_with_any_number_of_panels(tmp_path: Path, count: int) -> None:
    """One panel to more than fit; foreign text in every place does not stop the drawing."""
    panel = Panel(HOSTILE, {Arm.BASELINE: (MARK,), Arm.CANDIDATE: (MARK,)}, ((0, 10.0), (1, 20.0)))
    picture = draw_levels(tmp_path / "x.png", [panel] * count)
    assert picture.width > 900


@pytest.mark.parametrize("logarithmic", [False, True])
def test_levels_without_any_value(tmp_path: Path, logarithmic: bool) -> None:
    """An experiment in which everything failed still has a picture, an empty one."""
    draw_levels(tmp_path / "x.png", [Panel("", {Arm.BASELINE: (), Arm.CANDIDATE: ()})], logarithmic=logarithmic)


@pytest.mark.parametrize("low", [1e-3, 0.0, -5.0])
def test_values_of_very_different_size(tmp_path: Path, low: float) -> None:
    """A logarithmic axis is used where everything has a logarithm in part; what is below zero is drawn, too."""
    marks = (MARK, Mark(1, 1e6, low, 2e6, (low, 1e6)))
    panel = Panel("", {Arm.BASELINE: marks, Arm.CANDIDATE: (Mark(0, low, low, low, (low,)),)})
    draw_levels(tmp_path / "x.png", [panel], logarithmic=low > 0, levels=9)
