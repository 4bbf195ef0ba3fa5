from dataclasses import replace

import numpy as np
import pytest

from lab.analysis.compare import Comparison, compare_results
from lab.record import Arm, Outcome, RunRecord
from lab.report.cell_data import cell_costs, percentile_panels
from tests.unit.analysis.campaign import Campaign
from tests.unit.report.examples import results


def compared(campaign: Campaign, metrics: dict[str, float] | None = None) -> Comparison:
    """Judge a campaign, with metrics added to each run."""
    made = results(campaign)

    def more(record: RunRecord) -> RunRecord:
        return record if metrics is None or not record.metrics else replace(record, metrics=metrics)

    return compare_results(replace(made, records=tuple(map(more, made.records))))


def test_percentiles_that_were_measured_are_levels() -> None:
    """One panel per point; a percentile that no run has takes no place on the axis."""
    comparison = compared(Campaign())
    names, panels = percentile_panels(comparison)
    assert names == ("p50", "p99") and [panel.title for panel in panels] == [f"iothreads={n}" for n in (1, 2, 4)]
    mark = panels[0].arms[Arm.CANDIDATE][1]
    rows = comparison.frame.query("metric == 'clat_p99_ns' and arm == 'candidate' and point == 'iothreads=1'")
    assert mark.place == 1 and mark.median == np.median(rows["value"]) and len(mark.values) == 6
    assert mark.low <= mark.median <= mark.high


def test_without_latency_there_is_nothing_to_draw() -> None:
    """Neither percentiles nor panels."""
    assert percentile_panels(compared(Campaign(), {"iops": 5.0})) == ((), ())


def test_cost_is_split_by_thread() -> None:
    """What the threads that are known leave over belongs to the others."""
    metrics = {"iops": 5.0, "cpu_ns_per_io": 100.0, "iothread_cpu_ns_per_io": 60.0, "vcpu_cpu_ns_per_io": 15.0}
    costs = cell_costs(compared(Campaign(), metrics))
    assert [(cost.point, cost.arm) for cost in costs[:2]] == [("iothreads=1", arm) for arm in Arm] and len(costs) == 6
    assert costs[0].parts_ns == (60.0, 15.0, 0.0, 25.0)
    assert (costs[0].total_ns, costs[0].low_ns, costs[0].high_ns) == (100.0, 100.0, 100.0)


def test_parts_that_exceed_the_whole_leave_nothing_over() -> None:
    """Medians of parts need not add up to the median of the whole."""
    metrics = {"iops": 5.0, "cpu_ns_per_io": 100.0, "iothread_cpu_ns_per_io": 160.0}
    assert cell_costs(compared(Campaign(), metrics))[0].parts_ns[-1] == 0.0


@pytest.mark.parametrize("arm", Arm)
def test_a_cell_that_never_ran_has_no_bar(arm: Arm) -> None:
    """The other arm is drawn all the same."""
    lost = Campaign(fails=lambda run: Outcome.VOID if run.cell.arm is arm else None)
    costs = cell_costs(compared(lost))
    assert {cost.arm for cost in costs} == set(Arm) - {arm}
