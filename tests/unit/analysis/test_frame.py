from dataclasses import replace

import numpy as np
import pytest

from lab.analysis.frame import frame_from_records, pairs_from_frame
from lab.record import Arm, Cell, Outcome, Point, RunRecord, ScheduledRun

POINT = Point.from_levels({"iothreads": 1})
OTHER = Point.from_levels({"iothreads": 2})


def run(arm: Arm, block: int, value: float, *, point: Point = POINT, host: str = "h") -> RunRecord:
    """Return an ok run with one metric."""
    scheduled = ScheduledRun(block, 1 if arm is Arm.BASELINE else 2, Cell(arm, point), 0)
    return RunRecord(scheduled, 1, Outcome.OK, "", 0.0, host, "tcg", {"iops": value})


def test_one_row_per_ok_run_and_metric() -> None:
    """Failed attempts have no row; the order of the records is kept."""
    failed = replace(run(Arm.BASELINE, 1, 0), outcome=Outcome.BOOT_FAILED, metrics={})
    frame = frame_from_records([failed, run(Arm.CANDIDATE, 1, 5)])
    assert len(frame) == 1 and frame["order"].tolist() == [1] and frame["value"].tolist() == [5]


def test_the_last_ok_attempt_counts() -> None:
    """Where a scheduled run has two ok attempts, the later one is the run."""
    first = run(Arm.BASELINE, 1, 10)
    frame = frame_from_records([first, replace(first, attempt=2, metrics={"iops": 20.0})])
    assert frame["value"].tolist() == [20] and frame["run"].tolist()[0].endswith("-a2")


def test_pairs_are_lined_up_by_block() -> None:
    """Values land in the row of their block and the column of their point, whatever order they were made in."""
    records = [run(Arm.CANDIDATE, 2, 22), run(Arm.BASELINE, 1, 10), run(Arm.CANDIDATE, 1, 20), run(Arm.BASELINE, 2, 11)]
    pairs = pairs_from_frame(frame_from_records(records), "iops", (POINT, OTHER), (1, 2, 3))
    assert pairs.baseline[:, 0].tolist()[:2] == [10, 11] and pairs.candidate[:, 0].tolist()[:2] == [20, 22]
    assert np.isnan(pairs.baseline[2]).all() and np.isnan(pairs.baseline[:, 1]).all()
    assert np.exp(pairs.log_ratios()[:2, 0]) == pytest.approx([2, 2])
    assert np.isnan(pairs.log_ratios()[2]).all()


def test_runs_of_different_hosts_are_no_pair() -> None:
    """Both runs of a pair must be of the same host and accelerator."""
    records = [run(Arm.BASELINE, 1, 10), run(Arm.CANDIDATE, 1, 20, host="other")]
    pairs = pairs_from_frame(frame_from_records(records), "iops", (POINT,), (1,))
    assert not pairs.alike[0, 0] and np.isnan(pairs.log_ratios()[0, 0])


def test_values_without_a_logarithm_and_absurd_ones() -> None:
    """Zero has no ratio; a ratio beyond any meaning still has an exponential."""
    records = [
        run(Arm.BASELINE, 1, 0),
        run(Arm.CANDIDATE, 1, 20),
        run(Arm.BASELINE, 2, 1e-300),
        run(Arm.CANDIDATE, 2, 1e300),
    ]
    ratios = pairs_from_frame(frame_from_records(records), "iops", (POINT,), (1, 2)).log_ratios()
    assert np.isnan(ratios[0, 0]) and np.isfinite(np.exp(ratios[1, 0]))


def test_no_records() -> None:
    """An experiment before its first run has an empty frame and pairs of nothing."""
    frame = frame_from_records([])
    pairs = pairs_from_frame(frame, "iops", (POINT,), (1, 2))
    assert frame.empty and np.isnan(pairs.baseline).all()
