"""A job that judges instructions: what it ignores and refuses, and what becomes of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import DeadlineError, InputError
from lab.experiment import counted as module
from lab.experiment import realise as realising
from lab.experiment.job import JobError, LoadedJob, load_job
from lab.machine.spec import MachineSpec
from lab.record import Outcome, RunRecord, json_from_record
from lab.testing import FakeMonitor
from lab.virtio.cost.measure import CaseCost, FunctionCost
from lab.virtio.load.workload import Workload
from tests.unit.experiment.bed import MAPPED, realise_without_guest
from tests.unit.experiment.made_up import CANDIDATE, changed_job, checked
from tests.unit.experiment.test_job import FIO, GOOD

JOB = (
    GOOD.replace('title = "t"', 'title = "t"\ntier = "qtest"')
    .replace("iodepth = [1, 64]\n", "")
    .replace('["iops"]', '["instructions_per_io"]')
)
COST = CaseCost(
    "READ",
    "1",
    instructions=13188.3875,
    n=4000,
    spread=0.0005,
    heap=703.92,
    functions=(FunctionCost("virtqueue_split_pop", 1100.25), FunctionCost("memset", 900.5)),
)


def job(folder: Path, *changes: tuple[str, str]) -> LoadedJob:
    """Return the job with changes."""
    return changed_job(folder, JOB, *changes)


def test_what_has_no_effect_is_said_in_a_sentence(tmp_path: Path) -> None:
    """Time, depth and polling are the load's; bursts have their own."""
    said = checked(job(tmp_path, ("vcpus = 4", "num_queues = 4\npoll_max_ns = 0")))
    (sentence,) = (text for text in said if "tier qtest" in text)
    assert "of [machine] poll_max_ns; of a profile runtime_s, ramp_time_s; of fio's options" in sentence
    assert "iodepth" not in sentence, "the fio job does not say it"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            [("iothreads = [1, 2]", "iodepth = [1, 64]")],
            "factor 'iodepth' has no effect where instructions are counted",
        ),
        ([("iothreads = [1, 2]", "poll_max_ns = [0, 1]")], "factor 'poll_max_ns' has no effect where instructions"),
        ([('["instructions_per_io"]', '["instructions_per_io", "iops"]')], "where nothing else can be measured"),
        ([("vcpus = 4", "queue_size = 128")], "bursts of 220 commands do not fit into a virtqueue of 128"),
    ],
)
def test_what_a_count_cannot_show_is_refused(tmp_path: Path, changes: list[tuple[str, str]], message: str) -> None:
    """Varied or judged, it would be a finding about nothing."""
    with pytest.raises(InputError, match=message):
        checked(job(tmp_path, *changes))


def test_a_guest_is_not_counted(tmp_path: Path) -> None:
    """Its kernel and its processor model would be most of the number."""
    with pytest.raises(JobError, match=r'instructions_per_io.* is counted without a guest only: write tier = "qtest"'):
        job(tmp_path, ('tier = "qtest"\n', ""))


def test_a_deep_fio_job_fits(tmp_path: Path) -> None:
    """Its iodepth is not the depth of the bursts, so it may be more than a virtqueue holds."""
    loaded = job(tmp_path)
    (tmp_path / "fio" / "j.fio").write_text(f"{FIO}iodepth=1024\n")
    (sentence,) = (text for text in checked(load_job(loaded.path)) if "tier qtest" in text)
    assert "iodepth" in sentence


class Bed:
    """What a run that counts meets.

    :param stored: what QEMU says the mapping is.
    """

    def __init__(self, loaded: LoadedJob, evidence: Path) -> None:
        self.loaded = loaded
        self.evidence = evidence
        self.stored: object = MAPPED
        self.cost: CaseCost | DeadlineError = COST
        self.started: list[tuple[Path, MachineSpec, Workload]] = []

    @contextmanager
    def machine(
        self, qemu: Path, spec: MachineSpec, workload: Workload, _evidence: Path
    ) -> Iterator[tuple[SimpleNamespace, object]]:
        """Stand in for ``counting_machine``."""
        self.started.append((qemu, spec, workload))
        yield SimpleNamespace(spec=spec, monitor=FakeMonitor({"qom-get": self.stored})), object()

    def count(self, *_args: object) -> CaseCost:
        """Stand in for ``count_workload``."""
        if isinstance(self.cost, DeadlineError):
            raise self.cost
        return self.cost

    def run(self) -> RunRecord:
        """Realise the candidate with one IOThread."""
        return realise_without_guest(self.loaded, self.evidence)


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bed:
    """A run that works; a load would fail."""
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    bed = Bed(job(tmp_path), evidence)
    monkeypatch.setattr(module, "counting_machine", bed.machine)
    monkeypatch.setattr(module, "count_workload", bed.count)
    refuse: Callable[..., Any] = lambda *_args, **_options: pytest.fail("a load was started")  # noqa: E731
    monkeypatch.setattr(realising, "load_without_guest", refuse)
    return bed


def test_a_count_is_a_record_like_any_other(bed: Bed) -> None:
    """One metric, no trace; where the instructions went is kept as evidence."""
    record = bed.run()
    assert (record.outcome, record.reason, record.accelerator) == (Outcome.OK, "", "qtest")
    assert record.metrics == {"instructions_per_io": 13188.388} and not record.traces
    assert record.facts["commands_counted"] == 4000 and record.facts["heap_instructions_per_io"] == 703.9
    assert json.loads((bed.evidence / "functions.json").read_text()) == {
        "virtqueue_split_pop": 1100.25,
        "memset": 900.5,
    }
    ((qemu, spec, workload),) = bed.started
    assert qemu == CANDIDATE.qemu and len(spec.iothreads) == 1
    assert {depth for _, depth in workload.depths} == {220}
    json_from_record(record)


def test_a_mapping_that_qemu_did_not_store_is_void(bed: Bed) -> None:
    """As with any other run."""
    bed.stored = []
    record = bed.run()
    assert record.outcome is Outcome.VOID and not record.metrics


def test_a_count_that_fails_is_recorded(bed: Bed) -> None:
    """With its reason, and without numbers."""
    bed.cost = DeadlineError("waited 60 s for 220 commands to come back, and it did not happen")
    record = bed.run()
    assert record.outcome is Outcome.GUEST_HUNG and "220 commands" in record.reason and not record.metrics
