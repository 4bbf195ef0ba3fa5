"""The number of blocks follows from the noise of the worst point."""

import pytest

from lab.analysis.calibration import Calibration, PointNoise, Target
from lab.analysis.sample_size import sample_size
from lab.errors import InputError


def calibration(*spreads: float) -> Calibration:
    """Return a calibration of points p0, p1 and so on."""
    noise = tuple(PointNoise(f"p{index}", "iops", 12, spread, None) for index, spread in enumerate(spreads))
    target = Target("host", "tcg", "job", "quick")
    return Calibration(target, "2026-01-02", 0.05, 6, 2, 0, 0.03, 0.0, 0.06, noise, (), (), ())


def test_the_worst_point_decides() -> None:
    """3 % noise of a run is 4.2 % of a pair and needs 11 blocks for 5 %, as docs/method.md says; 1 % needs fewer."""
    found = sample_size(calibration(0.0141, 0.0424), ["p1"], ["iops"], effect=0.05, alpha=0.05)
    assert found.blocks == 11
    both = sample_size(calibration(0.0141, 0.0424), ["p0", "p1"], ["iops"], effect=0.05, alpha=0.05)
    assert both.blocks == both.needed[1].blocks >= 11 > both.needed[0].blocks


def test_points_that_were_not_calibrated() -> None:
    """A point without known noise is named; without any, nothing can be said."""
    found = sample_size(calibration(0.02), ["p0", "p9"], ["iops"], effect=0.05, alpha=0.05)
    assert found.missing == ("p9, iops",)
    with pytest.raises(InputError, match="none of the job's points"):
        sample_size(calibration(0.02), ["p9"], ["iops"], effect=0.05, alpha=0.05)
