from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lab.analysis.caveats import CaveatKind, drift_caveats, experiment_caveats, sample_caveats, unsteady_caveats
from lab.analysis.frame import Pairs, frame_from_records, pairs_from_frame
from lab.analysis.question import Question
from lab.analysis.results import Results
from lab.record import Outcome, Point, RunRecord
from lab.units import METRICS
from tests.unit.analysis.campaign import HOST, Campaign

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
    found = [caveat for caveat in sample_caveats(pairs(records), 0, 0.02) if caveat.kind is CaveatKind.OUTLIER]
    assert len(found) == 1 and records[5].id in found[0].text and "-50 %" in found[0].text


def test_two_levels_are_named_by_their_arm() -> None:
    """An arm that is fast in half of its runs and slow in the others has two levels."""
    records = tuple(
        replace(record, metrics={"iops": record.metrics["iops"] * 1.3})
        if record.scheduled.block % 2 and record.scheduled.cell.arm == "candidate"
        else record
        for record in ONE.records()
    )
    found = [caveat.text for caveat in sample_caveats(pairs(records), 0, 0.02)]
    assert len(found) == 1 and found[0].startswith("candidate has two levels")


def test_zero_and_missing_values_are_said() -> None:
    """A value of zero has no ratio, a missing run no pair."""
    found = "\n".join(caveat.text for caveat in sample_caveats(pairs(changed(2, 0.0)[:-1]), 0, 0.02))
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


def test_unsteady_runs_are_counted_by_arm() -> None:
    """Each arm with a run out of steady state gets a sentence with the count and an example."""
    records = list(ONE.records())
    step = tuple(np.where(np.arange(30) < 12, 100.0, 80.0))
    records[0] = replace(records[0], traces={"iops": step})
    found = unsteady_caveats(records)
    assert set(found) == {"iothreads=1"}
    arm = records[0].scheduled.cell.arm
    assert f"1 of 8 {arm} runs not in steady state: {records[0].id} steps by" in found["iothreads=1"][0].text


def experiment(records: tuple[RunRecord, ...], host: dict[str, object]) -> str:
    """Return the caveats of a whole experiment."""
    results = Results(Path("x"), Question("t"), ONE.schedule(), records, host, {}, ("the file is odd",))
    return "\n".join(f"{caveat.kind}: {caveat.text}" for caveat in experiment_caveats(results))


def test_what_holds_for_the_whole_experiment() -> None:
    """Failures by kind and arm, later attempts, tier, CPUs, notes of runs and odd files are all said."""
    first, second, *rest = ONE.records()
    failed = replace(first, outcome=Outcome.GUEST_HUNG, metrics={}, traces={})
    noted = replace(second, warnings=("others used 12 %",), traces={"iops": (1.0,) * 5})
    third, *rest = rest
    third = replace(third, warnings=("others used 34.5 %",))
    said = experiment((failed, replace(first, attempt=2), noted, third, *rest), dict(HOST))
    assert "files: the file is odd" in said
    assert f"1 of 9 attempts of {first.scheduled.cell.arm} failed (guest-hung 1)" in said
    assert "1 runs count with a later attempt" in said
    assert "tier tcg" in said and "never absolute" in said
    assert "2 CPUs for up to 5 vCPUs plus IOThreads" in said
    assert f"2 of 16 runs, for example {second.id}: others used 12 %" in said
    assert "1 runs have fewer than 10 readings" in said


def test_several_accelerators_are_said() -> None:
    """Absolute values of different accelerators must not be read together."""
    first, *rest = ONE.records()
    assert "several accelerators" in experiment((replace(first, accelerator="kvm"), *rest), dict(HOST))


@pytest.mark.parametrize(
    ("host", "expected"),
    [({"usable_cpus": 5.0}, False), ({"usable_cpus": 4.5}, True), ({"cpus": [0, 1]}, True), ({}, False)],
)
def test_scaling_needs_a_cpu_for_each_thread(host: dict[str, object], expected: bool) -> None:
    """Four vCPUs and one IOThread need five CPUs; a host that does not say how many it has is not accused."""
    assert ("scaling cannot be judged" in experiment(ONE.records(), host)) is expected


def test_runs_that_do_not_say_their_threads_are_not_accused() -> None:
    """Without the number of vCPUs and IOThreads nothing is claimed about CPUs."""
    records = tuple(replace(record, facts={}) for record in ONE.records())
    assert "cannot be judged" not in experiment(records, dict(HOST))
