import math

import pytest

from lab.analysis.family import PointComparison, Setting, compare_family
from lab.analysis.frame import frame_from_records
from lab.analysis.question import Question
from lab.analysis.verdict import Verdict
from lab.record import Arm, Cell, Outcome, Point, RunRecord, ScheduledRun
from lab.units import METRICS

ONE, TWO = Point.from_levels({"iothreads": 1}), Point.from_levels({"iothreads": 2})
RATIOS = (1.10, 1.11, 1.12, 1.10, 1.09, 1.11)


def compared(ratios: dict[Point, tuple[float, ...]], *, undone: int = 0) -> dict[str, PointComparison]:
    """Compare points whose baseline is 100 and whose candidate has the given ratio in each block."""
    records = [
        RunRecord(ScheduledRun(block, 1, Cell(arm, point), 0), 1, Outcome.OK, "", 0.0, "h", "kvm", {"iops": value})
        for point, found in ratios.items()
        for block, ratio in enumerate(found, start=1)
        for arm, value in ((Arm.BASELINE, 100.0), (Arm.CANDIDATE, 100 * ratio))
    ]
    blocks = tuple(range(1, 1 + max(map(len, ratios.values()))))
    setting = Setting(Question("t"), tuple(ratios), blocks, (), undone, {})
    points = compare_family((METRICS["iops"],), frame_from_records(records), setting, judged=True)
    return {point.point.id: point for point in points}


def test_the_numbers_of_a_point_by_hand() -> None:
    """Geometric mean, range as the interval of six pairs, medians of the arms, and p of 2/64."""
    point = compared({ONE: RATIOS})["iothreads=1"]
    assert point.numbers is not None
    assert point.numbers.ratio == pytest.approx(math.prod(RATIOS) ** (1 / 6))
    assert [point.numbers.low, point.numbers.high] == pytest.approx([1.09, 1.12])
    assert point.n == 6 and point.baseline == 100 and point.candidate == pytest.approx(110.5)
    assert point.p == point.numbers.p_adjusted == pytest.approx(2 / 64) and point.verdict is Verdict.IMPROVED


def test_points_with_fewer_pairs_stand_beside_complete_ones() -> None:
    """A point with four of six pairs is undecided and does not weaken its neighbour."""
    both = compared({ONE: RATIOS, TWO: RATIOS[:4]})
    assert both["iothreads=1"].verdict is Verdict.IMPROVED and both["iothreads=2"].verdict is Verdict.INCONCLUSIVE
    lost = both["iothreads=2"]
    assert lost.n == 4 and lost.numbers is not None and lost.numbers.coverage == pytest.approx(1 - 2 / 16)


def test_what_is_ruled_out_is_the_further_end() -> None:
    """An interval from -0.4 to +0.6 % rules out more than 0.6 % either way."""
    point = compared({ONE: (0.996, 1.006, 1.0, 1.001, 0.999, 1.002)})["iothreads=1"]
    assert point.verdict is Verdict.NO_CHANGE_DETECTED and point.ruled_out == pytest.approx(0.006)


def test_runs_needed_are_more_than_there_are() -> None:
    """Advice to repeat what was just done would be none."""
    point = compared({ONE: (0.97, 1.0, 1.0, 1.0, 1.0, 1.03)})["iothreads=1"]
    assert point.verdict is Verdict.INCONCLUSIVE and point.runs_needed is not None and point.runs_needed > 6


def test_no_verdict_on_the_way() -> None:
    """While runs are to be made yet, the planned blocks are what is needed."""
    point = compared({ONE: RATIOS}, undone=1)["iothreads=1"]
    assert point.verdict is Verdict.INCONCLUSIVE and point.runs_needed == 6
