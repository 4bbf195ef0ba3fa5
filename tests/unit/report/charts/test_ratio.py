from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes

from lab.analysis.compare import compare_results
from lab.record import Outcome, Point
from lab.report import charts
from lab.report.charts import Step
from lab.units import Better
from tests.unit.analysis.campaign import EXPERIMENT, Campaign
from tests.unit.report.charts.opened import CAPTION, opened
from tests.unit.report.examples import HOSTILE, results


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Return what is put on the axes: single marks and marks with bars."""
    seen: list[tuple[str, Any]] = []

    def noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def note(box: Axes, *args: Any, **options: Any) -> Any:
            seen.append((name, args))
            return real(box, *args, **options)

        return note

    for name in ("plot", "errorbar"):
        monkeypatch.setattr(Axes, name, noting(name, getattr(Axes, name)))
    return seen


def ratios(path: Path, campaign: Campaign) -> None:
    """Draw the changes of a campaign."""
    charts.ratio_chart(path, compare_results(results(campaign)).judged, CAPTION)
    opened(path)


def test_ratios_of_several_metrics_and_of_points_without_numbers(tmp_path: Path) -> None:
    """A point without a pair has a row and a verdict, but no mark."""
    lost = Campaign(fails=lambda run: Outcome.VOID if run.cell.point.id == "iothreads=2" else None)
    charts.ratio_chart(tmp_path / "x.png", compare_results(results(lost)).points, CAPTION)
    opened(tmp_path / "x.png")


def test_one_block_has_marks_without_bars(tmp_path: Path, drawn: list[tuple[str, Any]]) -> None:
    """A single pair has a ratio, which is drawn; it has no interval, so no bar is."""
    ratios(tmp_path / "x.png", Campaign(blocks=1))
    assert [name for name, _ in drawn] == ["plot"] * 3


def test_six_blocks_have_bars(tmp_path: Path, drawn: list[tuple[str, Any]]) -> None:
    """Every point has an interval, in percent of the baseline."""
    ratios(tmp_path / "x.png", Campaign(effect=lambda point: 0.9))
    assert [name for name, _ in drawn] == ["errorbar"] * 3
    assert all(-13 < args[0] < -7 for _, args in drawn)


@pytest.mark.parametrize("effect", [1e-6, 20.0])
def test_huge_ratios_stand_on_a_logarithmic_axis(tmp_path: Path, drawn: list[tuple[str, Any]], effect: float) -> None:
    """They are drawn as factors, so that a loss and its inverse are equally long."""
    ratios(tmp_path / "x.png", Campaign(effect=lambda point: effect))
    assert all(args[0] == pytest.approx(effect, rel=0.2) for name, args in drawn if name == "errorbar")


def test_forty_points_make_a_tall_picture(tmp_path: Path) -> None:
    """Rows do not come closer to each other where there are many."""
    few, many = (Campaign(factors={"iothreads": range(1, count + 1)}, blocks=2) for count in (1, 40))
    ratios(tmp_path / "few.png", few)
    ratios(tmp_path / "many.png", many)
    heights = [opened(tmp_path / name).height for name in ("few.png", "many.png")]
    assert heights[1] - heights[0] == pytest.approx(39 * 0.32 * charts.DPI, rel=0.02)


@pytest.mark.parametrize("better", Better)
def test_waterfall(tmp_path: Path, better: Better, drawn: list[tuple[str, Any]]) -> None:
    """Bars begin where the patch before left off; labels of any kind and length do not stop the drawing."""
    steps = [Step(HOSTILE, 1.1, 1.0, 1.2), Step("x" * 300, 0.9, 0.85, 0.95), Step("", 0.9, 0.9, 0.9)]
    charts.waterfall_chart(tmp_path / "x.png", steps, better, CAPTION)
    opened(tmp_path / "x.png")
    ends = [args[0] for name, args in drawn if name == "errorbar"]
    assert ends == pytest.approx([10.0, -10.0, -10.0])


def test_points_with_hostile_names(tmp_path: Path) -> None:
    """A level is somebody's text."""
    campaign = Campaign(factors={"bs": (HOSTILE, "4k")}, blocks=2, level=lambda point: 5.0)
    made = results(campaign, experiment=EXPERIMENT.replace("iothreads = [1, 2, 4]", ""))
    judged = compare_results(made).judged
    assert any(isinstance(point.point, Point) and HOSTILE[:8] in point.point.id for point in judged)
    charts.ratio_chart(tmp_path / "x.png", judged, CAPTION)
    opened(tmp_path / "x.png")
