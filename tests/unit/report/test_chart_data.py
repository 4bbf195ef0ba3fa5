from dataclasses import replace

import pytest

from lab.analysis.compare import Comparison, compare_results
from lab.record import Arm, Outcome, Point
from lab.report.chart_data import (
    axis_factor,
    axis_levels,
    runs_by_point,
    speed_up_panels,
    value_panels,
    with_reference,
)
from lab.report.reference import PublishedTable
from lab.units import METRICS
from tests.unit.analysis.campaign import EXPERIMENT, Campaign
from tests.unit.report.examples import results

IOPS = METRICS["iops"]
TABLE = PublishedTable("t", "a", "s", "", "n", "iops", "iothreads", ((1, 200.0), (4, 300.0), (8, 1.0)))
TWO_FACTORS = Campaign(factors={"iothreads": (1, 2), "rw": ("randread", "randwrite")}, level=lambda point: 100.0)


def compared(campaign: Campaign, experiment: str = EXPERIMENT) -> Comparison:
    """Judge a campaign."""
    return compare_results(results(campaign, experiment=experiment))


def test_the_factor_of_the_reference_is_on_the_axis() -> None:
    """The job names the factor that its published table varies."""
    assert axis_factor(compared(TWO_FACTORS)) == "iothreads"


def test_without_a_reference_the_first_factor_that_varies_is_on_the_axis() -> None:
    """A factor with one level is no axis while there is another one; without factors there is none."""
    plain = EXPERIMENT[: EXPERIMENT.index("[reference]")]
    varied = Campaign(factors={"iothreads": (1,), "rw": ("randread", "randwrite")})
    assert axis_factor(compared(varied, plain)) == "rw"
    assert axis_factor(compared(Campaign(), plain)) == "iothreads"
    none = compared(Campaign(factors={}, level=lambda point: 1.0), plain)
    assert axis_factor(none) is None and axis_levels(none, None) == ("all",)


def test_other_factors_make_panels() -> None:
    """One panel per level of the factor that is not on the axis, with all levels of the one that is."""
    panels = value_panels(compared(TWO_FACTORS), IOPS, "iothreads")
    assert [panel.title for panel in panels] == ["rw randread", "rw randwrite"]
    assert [mark.place for mark in panels[0].arms[Arm.BASELINE]] == [0, 1]
    assert len(panels[0].arms[Arm.CANDIDATE][0].values) == 6


def test_a_cell_without_a_run_has_no_mark() -> None:
    """A gap in the picture is where nothing was measured."""
    lost = Campaign(fails=lambda run: Outcome.VOID if run.cell.id == "candidate.iothreads=2" else None)
    (panel,) = value_panels(compared(lost), IOPS, "iothreads")
    assert [mark.place for mark in panel.arms[Arm.CANDIDATE]] == [0, 2]
    assert [mark.place for mark in panel.arms[Arm.BASELINE]] == [0, 1, 2]


def test_speed_up_is_within_block_and_arm() -> None:
    """At the first level every speed-up is 1; drift between blocks cancels."""
    campaign = Campaign(noise=0.0, drift=0.0, level=lambda point: 100.0 * dict(point.levels)["iothreads"])  # type: ignore[operator]
    (panel,) = speed_up_panels(compared(campaign), IOPS, "iothreads")
    medians = [mark.median for mark in panel.arms[Arm.CANDIDATE]]
    assert medians == pytest.approx([1, 2, 4]) and panel.arms[Arm.BASELINE][0].values == (1.0,) * 6


def test_a_published_table_starts_at_our_baseline() -> None:
    """200 to 300 at the published levels becomes ours to 1.5 times ours; a level that we lack is left out."""
    (panel,) = value_panels(compared(Campaign()), IOPS, "iothreads")
    ours = panel.arms[Arm.BASELINE][0].median
    places, heights = zip(*with_reference(panel, (1, 2, 4), TABLE).reference, strict=True)
    assert places == (0, 2) and heights == pytest.approx((ours, 1.5 * ours))


def test_a_published_table_without_common_levels_is_left_out() -> None:
    """Nothing is drawn where there is nothing to scale to."""
    (panel,) = value_panels(compared(Campaign()), IOPS, "iothreads")
    assert with_reference(panel, (3, 5), TABLE).reference == ()
    assert with_reference(replace(panel, arms={Arm.BASELINE: ()}), (1, 2, 4), TABLE).reference == ()


def test_every_attempt_is_in_the_order_of_the_schedule() -> None:
    """Failed attempts have a place but no value."""
    campaign = Campaign(fails=lambda run: Outcome.BOOT_FAILED if run.block == 1 else None)
    runs = runs_by_point(compared(campaign), IOPS)
    marks = runs[Point.from_levels({"iothreads": 2})]
    assert [mark.order for mark in marks] == sorted(mark.order for mark in marks) and len(marks) == 12
    assert all((mark.value is None) == (mark.block == 1) for mark in marks)
    assert sorted(mark.order for found in runs.values() for mark in found) == list(range(1, 37))
