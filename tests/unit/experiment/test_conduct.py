"""A request to a finished results folder, with builds, image, accelerator and runs that nobody made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab.build.arms import Arms
from lab.errors import HostError, InputError, MissingPackagesError
from lab.experiment import conduct as module
from lab.experiment import host_state, placement
from lab.experiment.arms import ArmsRequest, series_from_request
from lab.experiment.conduct import (
    Conducted,
    Request,
    _accelerator,
    conduct,
    expected_run_s,
    with_demonstration,
)
from lab.experiment.job import LoadedJob
from lab.experiment.job_host import Pin
from lab.experiment.realise import Bench
from lab.experiment.store import BUILDS, EXPERIMENT, HOST, RUNS, SCHEDULE
from lab.host import exclusive
from lab.host.accelerator_choice import AcceleratorChoice
from lab.host.exclusive import host_lock
from lab.host.requirements import Requirement
from lab.host.topology import Topology
from lab.host.tuning_journal import JOURNAL
from lab.image.guest_image import GuestImage
from lab.record import Arm, Outcome, Point, RunRecord, ScheduledRun
from lab.testing import RecordingProgress
from tests.unit.experiment.bed import EIGHT
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, IMAGE, TCG_ONLY, WITH_KVM, arms, loaded_job
from tests.unit.experiment.test_job import GOOD
from tests.unit.host.tuning_tree import THP, KernelTree, snapshot, write_tree

ONE_CELL = GOOD.replace("iothreads = [1, 2]\niodepth = [1, 64]\n", "iothreads = [1]\n").replace(
    "blocks = 6", "blocks = 2"
)
DEMONSTRATION = '\n[demonstration]\nseries = "demo"\nknown_verdict = "REGRESSED"\n'
SERIES = ArmsRequest(series=Path("my.mbox"))


class Lab:
    """A lab on a host of its own: what ``conduct`` asked of it, and what it answers.

    :param steps: what was done, in order.
    :param outcome: of the next runs, or what they raise.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: list[str] = []
        self.arms = arms()
        self.series = object()
        self.image = IMAGE
        self.choice: AcceleratorChoice = TCG_ONLY
        self.host = {"fingerprint": "f00d"}
        self.progress = RecordingProgress()
        self.said_before_builds: list[str] = []
        self.interrupted_after: int | None = None
        self.topology = EIGHT
        self.settings = Path()
        self.benches: list[Bench] = []
        self.steps_tuned: list[bool] = []
        self.requests: list[ArmsRequest] = []
        self.text(ONE_CELL)

    def text(self, text: str) -> None:
        """Write the job."""
        loaded_job(self.folder, text)

    def conduct(self, **request: Any) -> Conducted:
        """Run or resume the job."""
        arms_request = request.pop("arms", SERIES)
        return conduct(Request(self.folder / "job.toml", arms_request, **request), self.progress)

    def conduct_until(self, runs: int, **request: Any) -> Path:
        """Interrupt an experiment after some runs and return its folder."""
        self.interrupted_after = runs
        with pytest.raises(KeyboardInterrupt):
            self.conduct(**request)
        self.interrupted_after = None
        return max((self.folder / "results").iterdir(), key=lambda path: (path / SCHEDULE).stat().st_mtime_ns)

    def make_arms(self, request: ArmsRequest, *, progress: object, series: object) -> Arms:
        """Stand in for the builds."""
        assert series is self.series
        self.steps.append("builds")
        self.said_before_builds = list(self.progress.lines)
        self.requests.append(request)
        return self.arms

    def make_image(self, recipe: object, *, progress: object) -> GuestImage:
        """Stand in for the image."""
        self.steps.append("image")
        return self.image

    def probe(self, qemu: Path, firmware: object, image: object, *, progress: object) -> AcceleratorChoice:
        """Stand in for the accelerator probe, which boots the baseline."""
        assert qemu == self.arms.baseline.qemu
        self.steps.append("accelerator")
        return self.choice

    def realise(self, bench: Bench, run: ScheduledRun, *, attempt: int, evidence: Path) -> RunRecord:
        """Stand in for a run."""
        if self.interrupted_after == 0:
            raise KeyboardInterrupt
        if self.interrupted_after is not None:
            self.interrupted_after -= 1
        self.steps.append(run.id)
        assert bench.builds == {Arm.BASELINE: self.arms.baseline, Arm.CANDIDATE: self.arms.candidate}
        assert evidence.is_dir()
        self.benches.append(bench)
        self.steps_tuned.append(KernelTree(self.settings).read(THP) == "never")
        return RunRecord(run, attempt, Outcome.OK, "2025-02-13T18:00:43Z", 9.5, bench.host, "tcg", {"iops": 1e4})


class Facts:
    """Facts of a host, as far as host.json takes them."""

    def __init__(self, facts: dict[str, str]) -> None:
        self.facts = facts

    def to_json(self) -> dict[str, str]:
        """Return them."""
        return dict(self.facts)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab in which everything works."""
    fake = Lab(tmp_path)
    monkeypatch.setattr(exclusive, "LOCK_NAME", f"\0test.{tmp_path}"[:100])
    fake.settings = write_tree(tmp_path / "settings")
    monkeypatch.setattr(host_state, "HostControls", KernelTree)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(module, "check_tuning", partial(host_state.check_tuning, root=fake.settings))
    monkeypatch.setattr(module, "host_settings", partial(host_state.host_settings, root=fake.settings))
    monkeypatch.setattr(placement, "read_topology", lambda root: fake.topology)
    monkeypatch.setattr(module, "require_packages", lambda: fake.steps.append("packages"))
    monkeypatch.setattr(module, "series_from_request", lambda _request: fake.series)
    monkeypatch.setattr(module, "arms_from_request", fake.make_arms)
    monkeypatch.setattr(module, "build_image", fake.make_image)
    monkeypatch.setattr(module, "probe_accelerator", fake.probe)
    monkeypatch.setattr(module, "host_facts", lambda: Facts(fake.host))
    monkeypatch.setattr(module, "fingerprint", lambda facts: facts.facts["fingerprint"])
    monkeypatch.setattr(module, "realise", fake.realise)
    monkeypatch.setattr(module, "project_dir", lambda: tmp_path)
    return fake


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedJob:
    """Return the good job."""
    return loaded_job(tmp_path)


# What is asked


@pytest.mark.parametrize(
    ("head", "judged", "expected_s"),
    [
        ("", "iops", 9.5),
        ('tier = "qtest"\n', "iops", 5.5),
        ('tier = "qtest"\n', "instructions_per_io", 6.0),
    ],
)
def test_what_a_run_takes_is_estimated(tmp_path: Path, head: str, judged: str, expected_s: float) -> None:
    """Five seconds of fio and a boot, or a start without a guest; or a count, whatever the profile says."""
    loaded = loaded_job(tmp_path, head + GOOD.replace('metrics = ["iops"', f'metrics = ["{judged}"'))
    assert expected_run_s(loaded, loaded.profile("quick")[1]) == expected_s


def test_a_named_series_needs_no_demonstration(loaded: LoadedJob) -> None:
    """It is compared as it is, and nobody knows its verdict."""
    for request in (SERIES, ArmsRequest(tree=Path("qemu"), range="a..b")):
        assert with_demonstration(loaded, request) == (request, "")


def test_without_a_series_the_job_s_own_is_shown(tmp_path: Path) -> None:
    """It lies beside the job file, and its verdict is known."""
    (tmp_path / "demo").mkdir()
    request, verdict = with_demonstration(loaded_job(tmp_path, GOOD + DEMONSTRATION), ArmsRequest())
    assert (request.series, verdict) == (tmp_path / "demo", "REGRESSED")


def test_a_demonstration_that_is_not_there(tmp_path: Path) -> None:
    """The job names a file that it lacks."""
    with pytest.raises(InputError, match="'demo' does not exist"):
        with_demonstration(loaded_job(tmp_path, GOOD + DEMONSTRATION), ArmsRequest())


@pytest.mark.parametrize(("text", "tree"), [(GOOD, None), (GOOD + DEMONSTRATION, Path("qemu"))])
def test_no_series_at_all(tmp_path: Path, text: str, tree: Path | None) -> None:
    """Without a demonstration, and with a tree of the user's own, which nobody named to see a demonstration."""
    with pytest.raises(InputError, match="no series is named") as caught:
        with_demonstration(loaded_job(tmp_path, text), ArmsRequest(tree=tree))
    assert "--series FILE" in caught.value.remedy


# The host


def test_a_job_that_counts_needs_valgrind(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its absence is found before the builds; no other job asks for it."""

    def require(wanted: tuple[Requirement, ...] = ()) -> None:
        if wanted:
            raise MissingPackagesError(f"this host lacks {wanted[0].name}", remedy="lab doctor --fix")

    monkeypatch.setattr(module, "require_packages", require)
    lab.text('tier = "qtest"\n' + ONE_CELL.replace('["iops"]', '["instructions_per_io"]'))
    with pytest.raises(MissingPackagesError, match="lacks Valgrind"):
        lab.conduct()
    assert lab.steps == []


def test_a_busy_host_builds_nothing(lab: Lab) -> None:
    """The builds alone would disturb the experiment that is under way."""
    with host_lock("run an experiment"), pytest.raises(HostError, match="another experiment"):
        lab.conduct()
    assert lab.steps == ["packages"]


def test_a_series_is_read_before_a_busy_host_is_waited_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for hours does not learn then that the name was wrong."""
    monkeypatch.setattr(module, "series_from_request", series_from_request)
    arms_request = ArmsRequest(series=lab.folder / "nope.mbox")
    with host_lock("run an experiment"), pytest.raises(InputError, match=r"nope\.mbox cannot be read"):
        lab.conduct(arms=arms_request, wait=True)


@pytest.mark.parametrize(
    ("wanted", "choice", "taken"),
    [(None, TCG_ONLY, "tcg"), (None, WITH_KVM, "kvm"), ("tcg", WITH_KVM, "tcg"), ("kvm", WITH_KVM, "kvm")],
)
def test_the_accelerator_is_the_best_or_the_one_insisted_on(
    wanted: str | None, choice: AcceleratorChoice, taken: str
) -> None:
    """What works can be insisted on."""
    assert _accelerator(wanted, choice) == taken


def test_an_accelerator_that_boots_nothing_cannot_be_insisted_on() -> None:
    """A host error with the reason, not a fall back to another tier."""
    with pytest.raises(HostError, match=r"accelerator kvm was asked for, but .*: /dev/kvm does not exist") as caught:
        _accelerator("kvm", TCG_ONLY)
    assert "lab doctor" in caught.value.remedy


# The host's CPUs and settings


def test_the_runs_get_one_plan(lab: Lab) -> None:
    """Made for the largest cell, before the builds."""
    lab.text(ONE_CELL.replace("iothreads = [1]", "iothreads = [1, 2]"))
    lab.conduct()
    plans = {id(bench.plan): bench.plan for bench in lab.benches}
    assert [plan.threads.iothreads for plan in plans.values()] == [("iothread0", "iothread1")]


def test_what_cannot_be_planned_is_found_before_the_builds(lab: Lab) -> None:
    """Who insists on CPUs of their own gets an error on a small host."""
    lab.topology = Topology(EIGHT.cpus[:2])
    with pytest.raises(HostError, match="6 threads want a CPU each, and 2 may be used here"):
        lab.conduct(pin=Pin.STRICT)
    assert lab.steps == []


def test_the_host_is_tuned_for_the_runs_only(lab: Lab) -> None:
    """Every run finds it tuned, host.json says so, and afterwards it is as it was."""
    before = snapshot(lab.settings)
    done = lab.conduct(tune=True)
    assert lab.steps_tuned == [True] * 4
    settings = json.loads((done.folder / HOST).read_text())["settings"]
    assert settings["knobs"]["thp"] == "never" and settings["tuned_at"] is not None
    assert snapshot(lab.settings) == before and not (lab.settings / JOURNAL).exists()


def test_an_interrupted_experiment_leaves_the_host_as_it_was(lab: Lab) -> None:
    """Ctrl-C and SIGTERM are one thing here; the same call again tunes again."""
    before = snapshot(lab.settings)
    folder = lab.conduct_until(1, tune=True)
    assert snapshot(lab.settings) == before
    assert lab.conduct(tune=True).folder == folder and all(lab.steps_tuned)


def test_a_host_that_cannot_be_tuned_builds_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root can, and the builds would be for nothing."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(HostError, match="only root may tune the host"):
        lab.conduct(tune=True)
    assert lab.steps == ["packages"]


# The whole


def test_an_experiment_from_request_to_records(lab: Lab) -> None:
    """Builds, image, accelerator, schedule and runs in this order; all that was chosen is on disk."""
    done = lab.conduct(seed=5, command="lab run job.toml")
    assert lab.steps[:4] == ["packages", "builds", "image", "accelerator"]
    assert [record.scheduled.id for record in done.records] == lab.steps[4:]
    assert len(done.records) == 4 and done.known_verdict == ""
    assert done.folder.parent == lab.folder / "results"
    assert done.folder.name.startswith("job-quick-")
    assert {path.name for path in done.folder.iterdir()} == {EXPERIMENT, HOST, BUILDS, SCHEDULE, RUNS, "runs"}
    host = json.loads((done.folder / HOST).read_text())
    plan, settings = host.pop("cpu_plan"), host.pop("settings")
    assert plan["sharing"] == "own-cpus" and set(plan["threads"]) >= {"vcpu3", "iothread0", "main-loop"}
    assert settings["knobs"]["thp"] == "madvise" and settings["tuned_at"] is None
    assert host == {
        "fingerprint": "f00d",
        "accelerator": "tcg",
        "accelerator_reason": "/dev/kvm does not exist",
        "guest_image": IMAGE.key,
        "guest_kernel": "6.1.0-99-amd64",
        "guest_programs": {"fio": "fio-3.33"},
    }
    asked = (done.folder / EXPERIMENT).read_text()
    assert 'command = "lab run job.toml"' in asked and asked.endswith("\nblocks = 2\n")
    assert json.loads((done.folder / BUILDS).read_text())["candidate"]["binary_sha256"] == CANDIDATE.binary_sha256
    assert f"results go to {done.folder}" in lab.progress.lines


def test_the_same_seed_gives_the_same_schedule(lab: Lab) -> None:
    """Another folder, the same order and the same seeds of the runs."""
    one, other = (lab.conduct(seed=5, results=lab.folder / name).folder for name in ("a", "b"))
    assert (one / SCHEDULE).read_text() == (other / SCHEDULE).read_text()


def test_a_demonstration_says_what_it_must_get(lab: Lab) -> None:
    """The builds get the job's series, and the verdict is known to whoever reads the result."""
    (lab.folder / "demo").mkdir()
    lab.text(ONE_CELL + DEMONSTRATION)
    done = lab.conduct(arms=ArmsRequest())
    assert done.known_verdict == "REGRESSED"
    assert lab.requests == [ArmsRequest(series=lab.folder / "demo")]


def test_a_warning_is_said_before_the_builds(lab: Lab) -> None:
    """Whoever did not mean it can stop in time."""
    lab.text(ONE_CELL.replace("iothreads = [1]", "iothreads = [6]"))
    lab.conduct()
    assert any(line.startswith("warning: iothreads=6") for line in lab.said_before_builds)


@pytest.mark.parametrize(
    ("change", "request_", "message"),
    [
        (("title", "titel"), {}, "there is no such key"),
        (("[judge]", "[judge]"), {"profile": "quikc"}, "there is no profile"),
        (("iothreads = [1]", 'mapping = ["iothread9"]'), {}, "QEMU refuses the mapping"),
        (("[machine]", 'image = "of-nobody"\n[machine]'), {}, "of-nobody"),
        (("[judge]", "[judge]"), {"arms": ArmsRequest()}, "no series is named"),
    ],
)
def test_what_is_wrong_with_a_request_is_found_before_the_builds(
    lab: Lab, change: tuple[str, str], request_: dict[str, Any], message: str
) -> None:
    """Nothing was done, and nothing needs to be taken back."""
    lab.text(ONE_CELL)
    (lab.folder / "job.toml").write_text(ONE_CELL.replace(*change))
    with pytest.raises(InputError, match=message):
        lab.conduct(**request_)
    assert lab.steps == []


def test_a_folder_that_cannot_be_written_is_found_before_the_builds(lab: Lab) -> None:
    """A quarter of an hour of building would be for nothing."""
    with pytest.raises(HostError, match="cannot be a results folder"):
        lab.conduct(results=Path("/dev/null"))
    assert lab.steps == ["packages"]


def test_an_accelerator_that_does_not_work_here_begins_nothing(lab: Lab) -> None:
    """No folder is left that somebody would take for an experiment."""
    with pytest.raises(HostError, match="accelerator kvm"):
        lab.conduct(accelerator="kvm")
    assert not (lab.folder / "results").exists()


# Going on


def test_an_interrupted_experiment_is_found_and_finished(lab: Lab) -> None:
    """The same call again does the rest, although it would have drawn another seed and another name."""
    folder = lab.conduct_until(1)
    lab.steps.clear()
    done = lab.conduct()
    assert done.folder == folder
    assert len(done.records) == 4
    assert lab.steps[:4] == ["packages", "builds", "image", "accelerator"] and len(lab.steps) == 4 + 3
    assert f"going on with {folder}" in lab.progress.lines


def test_a_finished_experiment_is_left_alone(lab: Lab) -> None:
    """The same call after the end begins another one."""
    first = lab.conduct(results=lab.folder / "results" / "first")
    assert lab.conduct().folder != first.folder


def test_the_newest_unfinished_one_is_gone_on_with(lab: Lab) -> None:
    """By name, which ends in the time; one that is finished is no reason to leave the other unfinished."""
    results = lab.folder / "results"
    lab.conduct_until(1, results=results / "job-quick-1")
    lab.conduct_until(2, results=results / "job-quick-2")
    lab.conduct(results=results / "job-quick-3")
    assert lab.conduct().folder == results / "job-quick-2"


def damage_nothing(folder: Path) -> None:
    """Leave a folder as it is."""


def cut_runs(folder: Path) -> None:
    """Lose the end of the last record, as in a power failure."""
    with (folder / RUNS).open("ab") as sink:
        sink.write(b'{"format": 1, "run": "b0')


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("damage", [damage_nothing, cut_runs])
def test_after_a_power_failure_every_record_can_still_be_read(
    lab: Lab, named: bool, damage: Callable[[Path], None]
) -> None:
    """The cut line is taken away before the next one is appended, whoever named the folder."""
    folder = lab.conduct_until(1, results=lab.folder / "results" / "r")
    damage(folder)
    done = lab.conduct(results=folder if named else None)
    assert done.folder == folder and len(done.records) == 4
    assert len([json.loads(line) for line in (folder / RUNS).read_text().splitlines()]) == 4


def change_job(lab: Lab) -> dict[str, Any]:
    """Ask another question."""
    lab.text(ONE_CELL.replace("iothreads = [1]", "iothreads = [2]"))
    return {}


def change_seed(lab: Lab) -> dict[str, Any]:
    """Ask for another order."""
    return {"seed": 6}


def change_host(lab: Lab) -> dict[str, Any]:
    """Go on on another host."""
    lab.host = {"fingerprint": "cafe"}
    return {}


def change_accelerator(lab: Lab) -> dict[str, Any]:
    """KVM works now."""
    lab.choice = WITH_KVM
    return {}


def change_image(lab: Lab) -> dict[str, Any]:
    """The distribution has a newer kernel."""
    lab.image = replace(IMAGE, key="99")
    return {}


def change_cpus(lab: Lab) -> dict[str, Any]:
    """Half of the host's CPUs are somebody else's now."""
    lab.topology = Topology(EIGHT.cpus[4:])
    return {}


def change_pins(lab: Lab) -> dict[str, Any]:
    """Ask for another placement."""
    return {"pin": Pin.NONE}


def change_settings(lab: Lab) -> dict[str, Any]:
    """Somebody changed a setting meanwhile."""
    KernelTree(lab.settings).write(THP, "always")
    return {}


def change_candidate(lab: Lab) -> dict[str, Any]:
    """The series was edited."""
    lab.arms = arms(candidate=replace(CANDIDATE, binary_sha256="d" * 64))
    return {}


def change_firmware(lab: Lab) -> dict[str, Any]:
    """The distribution has newer firmware."""
    lab.arms = arms(baseline=replace(BASELINE, firmware_sha256={"kvmvapic.bin": "e" * 64}))
    return {}


CHANGES: list[tuple[Callable[[Lab], dict[str, Any]], tuple[str, ...]]] = [
    (change_job, ("the question (experiment.toml)",)),
    (change_seed, ("the seed, which was 5",)),
    (change_host, ("fingerprint of the host",)),
    (change_accelerator, ("accelerator of the host",)),
    (change_image, ("guest_image of the host",)),
    (change_cpus, ("the CPU plan",)),
    (change_pins, ("the CPU plan",)),
    (change_settings, ("settings of the host (thp)",)),
    (change_candidate, ("the candidate binary",)),
    (change_firmware, ("the baseline firmware",)),
]


@pytest.mark.parametrize(("change", "names"), CHANGES)
def test_another_experiment_in_the_folder_is_refused(
    lab: Lab, change: Callable[[Lab], dict[str, Any]], names: tuple[str, ...]
) -> None:
    """Runs that differ in anything else than was asked about are never pooled; the message says in what."""
    folder = lab.conduct_until(1, seed=5, results=lab.folder / "results" / "r")
    before = (folder / RUNS).read_text()
    with pytest.raises(InputError, match="holds another experiment") as caught:
        lab.conduct(**({"results": folder} | change(lab)))
    assert all(name in caught.value.message for name in names), caught.value.message
    assert (folder / RUNS).read_text() == before


@pytest.mark.parametrize("change", [change for change, _ in CHANGES if change is not change_seed])
def test_another_experiment_is_not_gone_on_with(lab: Lab, change: Callable[[Lab], dict[str, Any]]) -> None:
    """Where nobody names a folder, a new one is begun."""
    folder = lab.conduct_until(1, results=lab.folder / "results" / "r")
    assert lab.conduct(**change(lab)).folder != folder


def test_the_same_seed_may_be_named_again(lab: Lab) -> None:
    """It was part of the call that was interrupted."""
    folder = lab.conduct_until(1, seed=5)
    assert lab.conduct(seed=5).folder == folder


DAMAGE: list[tuple[str, str]] = [
    (EXPERIMENT, "= 1"),
    (EXPERIMENT, "experiment = 3"),
    (EXPERIMENT, ""),
    (HOST, "{"),
    (HOST, "[]"),
    (BUILDS, "no json"),
]


@pytest.mark.parametrize(("name", "text"), [*DAMAGE, (RUNS, "[]\n")])
def test_a_damaged_folder_that_was_named_is_refused(lab: Lab, name: str, text: str) -> None:
    """The message names it; nothing in it is mended or overwritten."""
    folder = lab.conduct_until(1, results=lab.folder / "results" / "r")
    (folder / name).write_text(text)
    with pytest.raises(InputError):
        lab.conduct(results=folder)
    assert (folder / name).read_text() == text


@pytest.mark.parametrize(("name", "text"), [*DAMAGE, (BUILDS, "{}"), (RUNS, "[]\n"), (SCHEDULE, "{}\n")])
def test_a_damaged_folder_that_was_not_named_is_passed_over(lab: Lab, name: str, text: str) -> None:
    """It is somebody's to look at; the older one behind it is gone on with."""
    results = lab.folder / "results"
    lab.conduct_until(1, results=results / "job-quick-1")
    lab.conduct_until(2, results=results / "job-quick-2")
    (results / "job-quick-2" / name).write_text(text)
    (results / "job-quick-3").mkdir()
    (results / "notes.txt").write_text("a file among the folders")
    assert lab.conduct().folder == results / "job-quick-1"


def test_builds_without_an_arm_are_other_builds(lab: Lab) -> None:
    """An object that lacks what is compared differs in it."""
    folder = lab.conduct_until(1, results=lab.folder / "results" / "r")
    (folder / BUILDS).write_text('{"baseline": 3}')
    with pytest.raises(InputError, match="the baseline binary, the baseline firmware, the candidate binary"):
        lab.conduct(results=folder)


def test_a_campaign_of_a_calibration_compares_no_series(lab: Lab) -> None:
    """The job's demonstration is not used, nothing is built again, and the question says what was compared."""
    lab.text(ONE_CELL + DEMONSTRATION)
    done = lab.conduct(arms=ArmsRequest(), built=lab.arms, control="latency", candidate_latency_ns=700, blocks=1)
    assert done.known_verdict == "" and "builds" not in lab.steps
    text = (done.folder / EXPERIMENT).read_text()
    assert 'control = "latency"' in text and "candidate_latency_ns = 700" in text and 'known_verdict = ""' in text
    assert {bench.candidate_latency_ns for bench in lab.benches} == {700}


def test_a_step_of_a_bisection_brings_its_builds_and_measures_some_points_only(lab: Lab) -> None:
    """The points that are followed, with as many blocks as the stage has; called again it goes on there."""
    lab.text(ONE_CELL.replace("iothreads = [1]", "iothreads = [1, 2]"))
    followed = Point.from_levels({"iothreads": 2})
    request = {"results": lab.folder / "results" / "step", "built": lab.arms, "points": (followed,), "blocks": 3}
    done = lab.conduct(**request)
    assert "builds" not in lab.steps
    assert {record.scheduled.cell.point for record in done.records} == {followed}
    assert len(done.records) == 2 * 3
    assert lab.conduct(**request).records == done.records
