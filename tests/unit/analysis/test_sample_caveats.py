from dataclasses import replace

from lab.analysis.caveats import CaveatKind
from lab.analysis.frame import Pairs, frame_from_records, pairs_from_frame
from lab.analysis.sample_caveats import drift_caveats, sample_caveats
from lab.record import Point, RunRecord
from lab.units import METRICS
from tests.unit.analysis.campaign import Campaign

ONE = Campaign(factors={"iothreads": (1,)}, noise=0.01, blocks=8)
POINT = Point.from_levels({"iothreads": 1})


def pairs(records: tuple[RunRecord, ...]) -> Pairs:
    """Line up the IOPS of eight blocks."""
    return pairs_from_frame(frame_from_records(records), "iops", (POINT,), tuple(range(1, 9)))


def changed(index: int, factor: float) -> tuple[RunRecord, ...]:
    """Return the records with the IOPS of one run scaled."""
    records = list(ONE.records())
    records[index] = replace(records[index], metrics={"iops": records[index].metrics["iops"] * factor})
    return tuple(records)


def test_an_outlier_is_named_by_its_run() -> None:
    """The reader can open the evidence of the run that stands out."""
    records = changed(5, 0.5)
    found = [caveat for caveat in sample_caveats(pairs(records), 0.02)[0] if caveat.kind is CaveatKind.OUTLIER]
    assert len(found) == 1 and records[5].id in found[0].text and "-50 %" in found[0].text


def test_two_levels_are_named_by_their_arm() -> None:
    """An arm that is fast in half of its runs and slow in the others has two levels."""
    records = tuple(
        replace(record, metrics={"iops": record.metrics["iops"] * 1.3})
        if record.scheduled.block % 2 and record.scheduled.cell.arm == "candidate"
        else record
        for record in ONE.records()
    )
    found = [caveat.text for caveat in sample_caveats(pairs(records), 0.02)[0]]
    assert len(found) == 1 and found[0].startswith("candidate has two levels")


def test_zero_and_missing_values_are_said() -> None:
    """A value of zero has no ratio, a missing run no pair."""
    found = "\n".join(caveat.text for caveat in sample_caveats(pairs(changed(2, 0.0)[:-1]), 0.02)[0])
    assert "values of zero" in found and "of 8 blocks, 1 without" in found


def test_drift_of_both_arms_is_said_with_its_size() -> None:
    """A host that slows down by 20 % over the experiment is named, a steady one is not."""
    drifting = replace(ONE, drift=-0.2, noise=0.005)
    found = list(drift_caveats(pairs(drifting.records()), METRICS["iops"], 0.02))
    assert len(found) == 1 and found[0].kind is CaveatKind.DRIFT and "-1" in found[0].text
    assert not list(drift_caveats(pairs(ONE.records()), METRICS["iops"], 0.02))


def test_no_value_does_not_drift() -> None:
    """An experiment without runs has nothing to drift, and nothing is divided by zero."""
    assert not list(drift_caveats(pairs(()), METRICS["iops"], 0.02))
