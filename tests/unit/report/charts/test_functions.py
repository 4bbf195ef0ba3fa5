from pathlib import Path

from lab.report.charts import MOST_FUNCTIONS, FunctionBar, functions_chart
from tests.unit.report.charts.opened import CAPTION, opened, svg
from tests.unit.report.examples import HOSTILE


def words(path: Path) -> str:
    """Return the text of a picture, as its SVG file keeps it in comments and ids."""
    return path.with_suffix(".svg").read_text(encoding="utf-8")


def test_one_binary_has_one_bar_for_each_function(tmp_path: Path) -> None:
    """Without a second one there is no legend; a name may be anything."""
    functions_chart(tmp_path / "x.png", [FunctionBar("virtqueue_pop", 1320.0), FunctionBar(HOSTILE, 2.0)], CAPTION)
    opened(tmp_path / "x.png")
    assert "virtqueue_pop" in words(tmp_path / "x.png") and "candidate" not in words(tmp_path / "x.png")


def test_two_binaries_are_side_by_side(tmp_path: Path) -> None:
    """A function that only one has is a bar of nothing beside one; more than can be read are left out."""
    bars = [FunctionBar(f"function_{number}", 0.0, 100.0 - number) for number in range(MOST_FUNCTIONS + 9)]
    functions_chart(tmp_path / "x.png", bars, CAPTION)
    opened(tmp_path / "x.png")
    drawn = words(tmp_path / "x.png")
    assert "candidate" in drawn and f"function_{MOST_FUNCTIONS - 1}" in drawn
    assert f"function_{MOST_FUNCTIONS}" not in drawn
    assert svg(tmp_path / "x.png") is not None
