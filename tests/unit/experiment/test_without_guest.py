"""A job of tier qtest: what it means without a guest, what is refused, and what becomes of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import CrashError, InputError, StageError, WorkloadError
from lab.experiment import conduct
from lab.experiment import without_guest as module
from lab.experiment.arms import ArmsRequest
from lab.experiment.cells import checked_cells
from lab.experiment.job import LoadedJob
from lab.experiment.machines import machine_from_cell
from lab.experiment.one_cell import one_cell
from lab.experiment.without_guest import NO_GUEST, QTEST, workload_from_cell
from lab.host.cpu_plan import CpuPlan, Threads
from lab.host.cpu_plan_choice import plan_cpus
from lab.machine.cost import Cost
from lab.machine.guest import QEMU_LOG
from lab.machine.spec import MachineSpec
from lab.machine.threads import CpuTime, ThreadMap
from lab.record import Outcome, RunRecord, json_from_record
from lab.testing import FakeMonitor, RecordingProgress
from lab.virtio.load.machine import the_controller
from lab.virtio.load.measure import Load
from lab.virtio.load.workload import Direction, Workload
from tests.unit.experiment.bed import EIGHT, MAPPED, UNPINNED, Places, realise_without_guest
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, changed_job, checked, loaded_job
from tests.unit.experiment.test_job import GOOD

JOB = GOOD.replace('title = "t"', 'title = "t"\ntier = "qtest"').replace("iodepth = [1, 64]", "iodepth = [64]")
THREADS = ThreadMap(1, {1: "main-loop", 2: "vcpu0", 3: "iothread0"}, frozenset({2}), frozenset({3}))
DRIVERS = {"vcpu0": 11}


def job(folder: Path, *changes: tuple[str, str]) -> LoadedJob:
    """Return the job with changes."""
    return changed_job(folder, JOB, *changes)


def test_what_has_no_effect_is_said_in_a_sentence(tmp_path: Path) -> None:
    """Before the first run: keys of the guest, and options that only fio knows; not those that keep their meaning."""
    said = checked(job(tmp_path, ("vcpus = 4", "vcpus = 4\nnum_queues = 4\nmemory_mib = 512")))
    (sentence,) = (text for text in said if "tier qtest" in text)
    assert sentence.endswith("of [machine] memory_mib, vcpus; of fio's options direct, ioengine, max_latency")


def test_vcpus_count_where_they_decide_the_number_of_queues(tmp_path: Path) -> None:
    """As in a guest, a controller has a queue for each unless it says otherwise."""
    loaded = job(tmp_path, ("iothreads = [1, 2]", "vcpus = [2, 4]"))
    (sentence,) = (text for text in checked(loaded) if "tier qtest" in text)
    assert "[machine]" not in sentence


def test_a_job_for_a_guest_is_told_nothing(tmp_path: Path) -> None:
    """The tier is the guest's unless the job says otherwise."""
    assert not [text for text in checked(loaded_job(tmp_path)) if "tier" in text]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("iothreads = [1, 2]", "memory_mib = [512, 1024]")], "factor 'memory_mib' has no effect without a guest"),
        ([("iothreads = [1, 2]", 'ioengine = ["libaio", "io_uring"]')], "factor 'ioengine' has no effect"),
        ([("[1, 2]", "[1]"), ("vcpus = 4", "num_queues = 2"), ("iodepth = [64]", "vcpus = [1, 2]")], "factor 'vcpus'"),
        ([('["iops"]', '["iops", "clat_p99_ns"]')], "no clat_p99_ns to judge"),
        ([("vcpus = 4", 'device = "virtio-blk-pci"')], "one virtio-scsi controller"),
        ([("iodepth = [64]", "iodepth = [257]")], "257 commands in flight do not fit into a virtqueue of 256"),
        ([("vcpus = 4", "queue_size = 32")], "64 commands in flight do not fit into a virtqueue of 32"),
        ([("iodepth = [64]", 'rw = ["randrw"]')], "rw=randrw cannot be had"),
        (
            [("[judge]", '[scenario]\nname = "mirror"\n[judge]'), ('"iops"', '"service_gap_ms"')],
            r"a \[scenario\] disturbs a guest",
        ),
    ],
)
def test_what_only_a_guest_could_show_is_refused(tmp_path: Path, changes: list[tuple[str, str]], message: str) -> None:
    """Varied or judged, it would be a finding about nothing."""
    with pytest.raises(InputError, match=message):
        checked(job(tmp_path, *changes))


def test_levels_of_a_cell_are_put_in(tmp_path: Path) -> None:
    """Depth, size and direction may be factors."""
    loaded = job(tmp_path, ("iodepth = [64]", 'iodepth = [8]\nrw = ["write"]\nbs = ["64k"]\nnumjobs = [2]'))
    cell = checked_cells(loaded, loaded.job.profile["quick"])[0][0]
    controller = the_controller(machine_from_cell(loaded, cell, QTEST))
    assert workload_from_cell(loaded, cell, controller) == Workload(Direction.WRITE, False, 65536, ((0, 8), (1, 8)))


# Runs


@dataclass(frozen=True)
class FakeMachine:
    """A machine under load that is not there."""

    spec: MachineSpec
    monitor: FakeMonitor
    threads: ThreadMap = THREADS
    process: Any = field(default_factory=lambda: SimpleNamespace(pid=1))


class Bed:
    """What a run without a guest meets.

    :param load: what comes of it, or what it raises.
    :param stored: what QEMU says the mapping is.
    """

    def __init__(self, loaded: LoadedJob, evidence: Path) -> None:
        self.loaded = loaded
        self.evidence = evidence
        cpu = CpuTime(0, 2_000_000, 100_000, 0, {"iothread0": 2_000_000, "main-loop": 100_000})
        counts = dict.fromkeys(range(1), 1000)
        self.load: Load | StageError = Load(Cost(1000, 1.0, cpu), counts, (1000.0,), 10, 0, 20, 1200)
        self.stored: object = MAPPED
        self.places = Places()
        self.plan: CpuPlan = UNPINNED
        self.started: list[tuple[Path, MachineSpec]] = []

    @contextmanager
    def machine(self, qemu: Path, spec: MachineSpec, _load: Workload, _evidence: Path) -> Iterator[FakeMachine]:
        """Stand in for ``load_machine``."""
        self.started.append((qemu, spec))
        yield FakeMachine(spec, FakeMonitor({"qom-get": self.stored}))

    def put(self, *_args: object, place: Callable[[dict[str, int]], None], **_options: object) -> Load:
        """Stand in for ``put_under_load``."""
        place(DRIVERS)
        if isinstance(self.load, StageError):
            raise self.load
        return self.load

    def run(self) -> RunRecord:
        """Realise the candidate with one IOThread."""
        return realise_without_guest(self.loaded, self.evidence, plan=self.plan, places=self.places, iodepth=64)


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bed:
    """A run that works."""
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    bed = Bed(job(tmp_path), evidence)
    monkeypatch.setattr(module, "load_machine", bed.machine)
    monkeypatch.setattr(module, "put_under_load", bed.put)
    monkeypatch.setattr(module, "threads_of", lambda _pid: frozenset({1, 3}))
    return bed


def test_a_run_that_worked_is_a_record_like_any_other(bed: Bed) -> None:
    """Metrics, trace and facts; the tier stands where the accelerator does; nothing was booted."""
    record = bed.run()
    assert (record.outcome, record.reason) == (Outcome.OK, "")
    assert record.accelerator == "qtest"
    assert record.metrics["iops"] == 1000
    assert record.metrics["iothread_cpu_ns_per_io"] == 2000
    assert record.metrics.keys() <= module.METRICS
    assert record.traces == {"iops": (1000.0,)}
    assert (record.facts["iothreads"], record.facts["vcpus"], record.facts["commands_per_kick"]) == (1, 1, 120.0)
    assert bed.started[0][0] == CANDIDATE.qemu
    json_from_record(record)


def test_kicks_that_had_to_be_repeated_are_a_warning(bed: Bed) -> None:
    """They would hide a QEMU that misses notifications; a few are nothing."""
    assert isinstance(bed.load, Load)
    bed.load = replace(bed.load, kicks=100, kicks_again=10)
    assert not bed.run().warnings
    bed.load = replace(bed.load, kicks_again=11)
    assert any("11 of 100 kicks" in text for text in bed.run().warnings)


def test_who_spent_the_time_is_kept_as_evidence(bed: Bed) -> None:
    """As for a guest, with the counts of the drivers."""
    bed.run()
    kept = json.loads((bed.evidence / "threads.json").read_text())
    assert kept["cpu_ns"]["iothread0"] == 2_000_000
    assert kept["requests_by_queue"] == {"0": 1000}
    assert (kept["completed"], kept["kicks"], kept["batches"]) == (1200, 10, 20)


def test_a_mapping_that_qemu_did_not_store_is_void(bed: Bed) -> None:
    """Asked before the load begins."""
    bed.stored = []
    record = bed.run()
    assert record.outcome is Outcome.VOID and "does not have the IOThreads" in record.reason
    assert not record.metrics


def test_a_fallback_of_qemu_is_void(bed: Bed) -> None:
    """It says so on stderr only."""
    (bed.evidence / QEMU_LOG).write_text("qemu: virtio-scsi: Failed to set guest notifiers (-38)\n")
    assert bed.run().outcome is Outcome.VOID


def test_an_iothread_that_slept_is_void(bed: Bed) -> None:
    """Asked and stored, but another thread did the work."""
    assert isinstance(bed.load, Load)
    cpu = CpuTime(0, 0, 2_000_000, 0, {"iothread0": 0, "main-loop": 2_000_000})
    bed.load = replace(bed.load, cost=replace(bed.load.cost, cpu=cpu))
    record = bed.run()
    assert record.outcome is Outcome.VOID and "another thread served them" in record.reason


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (WorkloadError("the driver of queue 0 gave up"), Outcome.WORKLOAD_FAILED),
        (CrashError("signal SIGSEGV"), Outcome.QEMU_CRASHED),
    ],
)
def test_what_ends_a_load_is_recorded(bed: Bed, error: StageError, outcome: Outcome) -> None:
    """With its reason, and without numbers."""
    bed.load = error
    record = bed.run()
    assert (record.outcome, record.reason, record.metrics) == (outcome, error.message, {})


def test_a_driver_stands_in_the_place_of_a_vcpu(bed: Bed) -> None:
    """Its process, the IOThread and the main loop are where the plan wants them; the vCPU has none."""
    bed.plan = plan_cpus(EIGHT, Threads(4, ("iothread0",)))
    assert bed.run().outcome is Outcome.OK
    assert bed.places.at[11] == bed.plan.cpus["vcpu0"]
    assert bed.places.at[3] == bed.plan.cpus["iothread0"]
    assert bed.places.at[1] == bed.plan.cpus["main-loop"]


def test_a_thread_that_was_moved_is_void(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verified after the load, as with a guest."""
    bed.plan = plan_cpus(EIGHT, Threads(4, ("iothread0",)))
    put = bed.put

    def moved(*args: object, **options: Any) -> Load:
        result = put(*args, **options)
        bed.places.at[3] = frozenset({7})
        return result

    monkeypatch.setattr(module, "put_under_load", moved)
    record = bed.run()
    assert record.outcome is Outcome.VOID and "the CPU plan was not kept" in record.reason


# Around the runs


def test_an_accelerator_for_no_guest_is_refused(tmp_path: Path) -> None:
    """Before anything is built; without one the ground is no image and no probe."""
    loaded = job(tmp_path)
    request = conduct.Request(loaded.path, ArmsRequest())
    with pytest.raises(InputError, match="accelerator tcg was asked for, but tier qtest boots no guest"):
        conduct._check_accelerator(replace(request, accelerator="tcg"), loaded)
    conduct._check_accelerator(request, loaded)
    ground = conduct._ground(request, loaded, loaded.recipe(), BASELINE, RecordingProgress())
    assert ground == (QTEST, "the job's tier needs no guest", NO_GUEST)


def test_a_cell_without_a_guest_has_no_shell(tmp_path: Path) -> None:
    """What boots one cell by hand says so before it builds."""
    with pytest.raises(InputError, match="tier qtest boots no guest"):
        one_cell(job(tmp_path).path, None, ArmsRequest(), accelerator=None, progress=RecordingProgress())
