from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image

from lab.analysis.compare import compare_results
from lab.record import Arm, Outcome, Point
from lab.report import charts
from lab.report.chart_data import Mark, Panel, RunMark
from lab.report.charts import Caption
from lab.units import METRICS
from tests.unit.analysis.campaign import Campaign
from tests.unit.report.examples import HOSTILE, results

CAPTION = Caption(HOSTILE, (HOSTILE,), (HOSTILE * 3,), {"Title": "t", "Software": "qemu-patch-lab 1"})
MARK = Mark(0, 10.0, 8.0, 12.0, (8.0, 10.0, 12.0))
IOPS = METRICS["iops"]


def opened(path: Path) -> Image.Image:
    """Open a picture and check what holds for all of them: print resolution, provenance, and something on it."""
    picture = Image.open(path)
    assert picture.info["Software"] == "qemu-patch-lab 1" and picture.info["Title"] == "t"
    assert picture.info["dpi"][0] == pytest.approx(charts.DPI, abs=0.1) and charts.DPI >= 150
    assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 20
    assert not list(path.parent.glob(".*.part"))
    return picture


def draw_levels(path: Path, panels: list[Panel]) -> Image.Image:
    """Draw panels over two levels."""
    charts.levels_chart(
        path,
        panels,
        levels=(1, HOSTILE),
        axis=HOSTILE,
        height="IOPS",
        text_of=str,
        reference_label="published",
        caption=CAPTION,
    )
    return opened(path)


@pytest.mark.parametrize("count", [1, 3, charts.LARGEST_GRID + 1])
def test_levels_with_any_number_of_panels(tmp_path: Path, count: int) -> None:
    """One panel to more than fit; foreign text in every place does not stop the drawing."""
    panel = Panel(HOSTILE, {Arm.BASELINE: (MARK,), Arm.CANDIDATE: (MARK,)}, ((0, 10.0), (1, 20.0)))
    picture = draw_levels(tmp_path / "x.png", [panel] * count)
    assert picture.width > 900


def test_levels_without_any_value(tmp_path: Path) -> None:
    """An experiment in which everything failed still has a picture, an empty one."""
    draw_levels(tmp_path / "x.png", [Panel("", {Arm.BASELINE: (), Arm.CANDIDATE: ()})])


@pytest.mark.parametrize("count", [1, 5])
def test_runs_with_failures(tmp_path: Path, count: int) -> None:
    """Runs with and without values, and points without any run."""
    marks = (RunMark(1, 1, Arm.BASELINE, 5.0), RunMark(2, 1, Arm.CANDIDATE, None), RunMark(3, 2, Arm.BASELINE, None))
    runs: dict[Point, tuple[RunMark, ...]] = {Point.from_levels({"iothreads": n}): marks for n in range(count)}
    runs[Point.from_levels({"iothreads": 0})] = ()
    charts.runs_chart(tmp_path / "x.png", runs, IOPS, CAPTION)
    opened(tmp_path / "x.png")


def test_ratios_of_several_metrics_and_of_points_without_numbers(tmp_path: Path) -> None:
    """A point without a pair has a row and a verdict, but no mark."""
    lost = Campaign(fails=lambda run: Outcome.VOID if run.cell.point.id == "iothreads=2" else None)
    points = compare_results(results(lost)).points
    charts.ratio_chart(tmp_path / "x.png", points, CAPTION)
    opened(tmp_path / "x.png")


def test_the_settings_of_matplotlib_are_left_alone(tmp_path: Path) -> None:
    """A program that uses the lab as a library keeps its own style."""
    before = dict(mpl.rcParams)
    draw_levels(tmp_path / "x.png", [Panel("", {Arm.BASELINE: (MARK,), Arm.CANDIDATE: (MARK,)})])
    assert dict(mpl.rcParams) == before


def test_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    """The same data gives the same bytes."""
    panel = Panel("", {Arm.BASELINE: (MARK,), Arm.CANDIDATE: (MARK,)})
    draw_levels(tmp_path / "a.png", [panel])
    draw_levels(tmp_path / "b.png", [panel])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_long_address_at_the_foot_is_not_cut_off(tmp_path: Path) -> None:
    """A note that is one word of digits, which are wider than prose, leaves a white margin on the right."""
    caption = Caption("t", (), ("0123456789" * 60,), CAPTION.metadata)
    panel = Panel("", {Arm.BASELINE: (MARK,), Arm.CANDIDATE: ()})
    charts.levels_chart(
        tmp_path / "x.png",
        [panel],
        levels=(1,),
        axis="a",
        height="IOPS",
        text_of=str,
        reference_label="",
        caption=caption,
    )
    with Image.open(tmp_path / "x.png") as picture:
        grey = picture.convert("L")
    foot = grey.crop((grey.width - 4, grey.height - 80, grey.width, grey.height))
    assert foot.getextrema() == (255, 255)
