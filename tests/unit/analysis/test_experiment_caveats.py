from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lab.analysis.caveats import CaveatKind
from lab.analysis.experiment_caveats import experiment_caveats, unsteady_caveats
from lab.analysis.question import Question
from lab.analysis.results import Results
from lab.record import Outcome, RunRecord
from tests.unit.analysis.campaign import BUILD, BUILDS, HOST, Campaign

ONE = Campaign(factors={"iothreads": (1,)}, noise=0.01, blocks=8)


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
    assert "1 run counts with a later attempt" in said
    assert "tier tcg" in said and "never absolute" in said
    assert "2 CPUs for up to 5 vCPUs plus IOThreads" in said
    assert f"2 of 16 runs, for example {second.id}: others used 12 %" in said
    assert "1 of 16 runs: fewer than 10 readings" in said


def test_arms_of_one_binary_are_told_first() -> None:
    """As of a calibration, where it is on purpose; a folder that names no binaries says so, and a CSV file need not."""

    def told(builds: dict[str, object], *, csv: bool = False) -> str:
        results = Results(Path("x"), Question("t"), () if csv else ONE.schedule(), ONE.records(), HOST, builds)
        return next(caveat.text for caveat in experiment_caveats(results))

    assert told({"baseline": BUILD, "candidate": BUILD}).startswith("both arms are one binary")
    nameless: list[dict[str, object]] = [{}, {"baseline": BUILD, "candidate": "x"}, {"baseline": {}, "candidate": {}}]
    for builds in nameless:
        assert "does not say which binaries ran" in told(builds)
    assert "binar" not in told(BUILDS) + told({}, csv=True)


@pytest.mark.parametrize("said", [["another compiler"], True, 7, "text", None, {"a": 1}])
def test_what_was_compared_by_force_is_told(said: object) -> None:
    """A list of sentences is; what else somebody wrote into builds.json says nothing."""
    results = Results(Path("x"), Question("t"), (), (), {}, {"warnings": said})
    found = [caveat.text for caveat in experiment_caveats(results) if caveat.kind is CaveatKind.UNLIKE]
    assert found == (said if isinstance(said, list) else [])


def test_a_load_without_a_guest_says_what_it_cannot_show() -> None:
    """Neither interrupts nor what a guest would see; kicks take another way than with KVM."""
    said = experiment(tuple(replace(run, accelerator="qtest") for run in ONE.records()), dict(HOST))
    assert "tier qtest (no guest)" in said and "never what a guest would see" in said and "kicks" in said


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


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({"cannot_claim": ["threads were not pinned: so it is", "another thing"]}, 2),
        ({"cannot_claim": []}, 0),
        ({"cannot_claim": "no list"}, 0),
        (["no object"], 0),
        (None, 0),
    ],
)
def test_what_the_cpu_plan_does_not_show_is_said(plan: object, told: int) -> None:
    """In the plan's own words; a host.json that says something else, or nothing, is let be."""
    said = experiment(ONE.records(), {**HOST, "usable_cpus": 64.0, "cpu_plan": plan})
    assert said.count("cpus: ") == told
    assert ("cpus: threads were not pinned: so it is" in said) is bool(told)
