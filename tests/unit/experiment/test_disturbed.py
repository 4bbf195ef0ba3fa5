"""Runs of a job with a scenario: what they need, what they measure, and what becomes of one that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import BootError, CrashError, DeadlineError, InputError, StageError
from lab.experiment import disturbed as module
from lab.experiment.cells import checked_cells
from lab.experiment.disturbed import Performance, ScenarioFailedError, run_disturbed
from lab.experiment.job import JobError, LoadedJob
from lab.experiment.load import Measured, VoidError
from lab.experiment.machines import fio_from_cell, machine_from_cell
from lab.experiment.realise import outcome_of
from lab.machine.backend import FileBackend
from lab.machine.guest import Guest
from lab.machine.guest_clock import ClockRate
from lab.record import Outcome
from lab.scenario.service import Mark, Reading
from lab.scenario.stage import ScenarioError, Stage
from lab.scenario.verdict import Seen
from tests.unit.experiment.made_up import BASELINE, IMAGE, loaded_job
from tests.unit.scenario.staged import staged

JOB = """
title = "t"
fio = "fio/j.fio"
[machine]
vcpus = 2
[machine.backend]
driver = "raw"
size_gib = 1
[scenario]
name = "mirror"
[factors]
numjobs = [1]
[judge]
metrics = ["service_gap_ms", "recovery_ms"]
[profile.quick]
blocks = 1
runtime_s = 2
"""
STEADY = tuple(Reading(1000 + number / 10, 100.0) for number in range(1, 40))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_job_may_have_a_scenario(tmp_path: Path) -> None:
    """Its cells are those of any job."""
    loaded = loaded_job(tmp_path, JOB)
    cells, _ = checked_cells(loaded, loaded.job.profile["quick"])
    assert len(cells) == 2 and loaded.job.scenario is not None and loaded.job.scenario.times == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "mirror"', 'name = "miror"', "there is no scenario 'miror'.*mirror"),
        ('["service_gap_ms", "recovery_ms"]', '["iops"]', "metric 'iops' is none of scenario mirror's"),
        ('[scenario]\nname = "mirror"\n', "", "'service_gap_ms' is measured with a .scenario. only"),
        ('name = "mirror"', 'name = "quit"', "metric 'service_gap_ms' is none of scenario quit's"),
        ('name = "mirror"', 'name = "iothread-in-use"\ntimes = 2', "cannot be done more than once"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Before anything is built."""
    with pytest.raises(JobError, match=said):
        loaded_job(tmp_path, JOB.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("vcpus = 2", "vcpus = 2\ndisks = 2", "one disk, not 2 disks"),
        ('driver = "raw"', 'driver = "null-co"', 'driver = "raw" without a path'),
        ('driver = "raw"', 'driver = "qcow2"', 'driver = "raw" without a path'),
        ("size_gib = 1", "size_gib = 1\nthrottle_iops = 5", "without throttle"),
        ("numjobs = [1]", "numjobs = [2]", "one worker that reads, not 2 of rw=randread"),
        ("numjobs = [1]", 'numjobs = [1]\nrw = ["randwrite"]', "not 1 of rw=randwrite"),
        ('name = "mirror"', 'name = "hotplug-blk"', 'machine_type = "pc"'),
    ],
)
def test_a_machine_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    """With what the scenario needs; a factor may bring it in, so every cell is looked at."""
    loaded = loaded_job(tmp_path, JOB.replace(old, new))
    with pytest.raises(InputError, match=f"scenario [a-z-]+ needs .*{said}"):
        checked_cells(loaded, loaded.job.profile["quick"])


@pytest.mark.parametrize(
    ("machine", "name", "said"),
    [
        ('machine_type = "pc"\nmapping = "none"', "iothread-in-use", "served by an IOThread"),
        ('device = "virtio-blk-pci"', "lun-reset", 'device = "virtio-scsi-pci"'),
        ('machine_type = "pc-q35-10.0"', "hotplug-scsi", 'machine_type = "pc"'),
    ],
)
def test_what_a_single_scenario_needs(tmp_path: Path, machine: str, name: str, said: str) -> None:
    """A device, a bus that takes new ones, an IOThread."""
    text = JOB.replace("vcpus = 2", f"vcpus = 2\n{machine}").replace('"mirror"', f'"{name}"')
    loaded = loaded_job(tmp_path, text)
    with pytest.raises(InputError, match=said):
        checked_cells(loaded, loaded.job.profile["quick"])


class Run:
    """A run whose guest is made up, and whose scenario does what the test says.

    :param sees: what is found out, put in while it is played.
    :param raises: what ends it.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loaded: LoadedJob = loaded_job(folder, JOB)
        self.sees: dict[str, Any] = {"trace": STEADY, "marks": (Mark("mirror", 1001.5),), "seconds": 0.5}
        self.raises: StageError | None = None
        self.ends_elsewhere = False
        self.kept: list[Guest] = []
        self.spec: Any = None
        self.measured = Measured()
        self._folder = folder
        self._stage = staged(folder)
        monkeypatch.setattr(module, "booted", self._booted)
        monkeypatch.setattr(module, "wait_for_disk", lambda _guest, _device: None)
        monkeypatch.setattr(module, "play", self._play)

    @contextmanager
    def _booted(self, _qemu: Path, _firmware: object, spec: Any, _boot: object, **_more: object) -> Iterator[Guest]:
        self.spec = spec
        (backend,) = (disk.backend for disk in spec.disks)
        assert isinstance(backend, FileBackend) and backend.path.stat().st_size == 1 << 30
        yield replace(self._stage.guest, spec=spec)

    def _play(self, _scenario: object, stage: Stage, seen: Seen, **times: float) -> None:
        assert times == {"times": 1, "ramp_s": 0, "watch_s": 2}
        for name, value in self.sees.items():
            setattr(seen, name, value)
        if self.ends_elsewhere:
            stage.move_to(replace(stage.guest, process=staged(self._folder).guest.process))
        if self.raises is not None:
            raise self.raises

    def go(self) -> None:
        """Do it."""
        cells, _ = checked_cells(self.loaded, self.loaded.job.profile["quick"])
        table = self.loaded.job.scenario
        assert table is not None
        performance = Performance(
            table=table,
            build=BASELINE,
            image=IMAGE,
            spec=machine_from_cell(self.loaded, cells[0], "tcg"),
            fio=fio_from_cell(self.loaded, self.loaded.job.profile["quick"], cells[0], 7),
            evidence=self._folder,
            boot_s=60,
            placed=lambda _guest: None,
            kept=self.kept.append,
            watched=nullcontext,
        )
        run_disturbed(performance, self.measured)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Run:
    """A run that works."""
    assert cache
    return Run(tmp_path, monkeypatch)


def test_a_run_that_took_it_has_its_metrics_trace_and_events(run: Run, cache: Path, tmp_path: Path) -> None:
    """On an image of its own, which is gone afterwards."""
    run.go()
    measured = run.measured
    assert measured.metrics["scenario_ms"] == 500 and measured.metrics["recovery_ms"] > 0
    assert measured.metrics["boot_s"] == 1.0 and len(measured.traces["service_iops"]) == 39
    assert measured.facts["events"] == [{"name": "mirror", "at_s": 1.5}] and measured.facts["requests_failed"] == 0
    assert len(run.kept) == 1 and not any((cache / "scratch").iterdir())
    assert (tmp_path / "gaps.json").exists()


@pytest.mark.parametrize(
    ("error", "kind", "outcome"),
    [
        (ScenarioError("data was lost"), ScenarioFailedError, Outcome.SCENARIO_FAILED),
        (CrashError("SIGABRT"), CrashError, Outcome.QEMU_CRASHED),
        (DeadlineError("silent"), DeadlineError, Outcome.GUEST_HUNG),
        (BootError("no"), BootError, Outcome.BOOT_FAILED),
        (VoidError("no"), VoidError, Outcome.VOID),
    ],
)
def test_what_ended_it_is_the_outcome(run: Run, error: StageError, kind: type[StageError], outcome: Outcome) -> None:
    """A failure is a finding; silence that may be the host's is not."""
    run.raises = error
    with pytest.raises(kind, match=error.message) as caught:
        run.go()
    assert outcome_of(caught.value) is outcome


def test_a_hang_is_a_failed_scenario(run: Run) -> None:
    """With how it hangs."""
    run.raises, run.sees = DeadlineError("silent"), {"fault": "QEMU sleeps"}
    with pytest.raises(ScenarioFailedError, match="QEMU sleeps: silent"):
        run.go()


@pytest.mark.parametrize(
    ("sees", "said"),
    [
        ({"clock": ClockRate(1.4, 0.01)}, r"clock ran 1\.40 times as fast"),
        ({"trace": STEADY[:1]}, "does not show every disturbance"),
        ({"marks": (Mark("a", 1001.5), Mark("b", 1100.0))}, "does not show every disturbance"),
    ],
)
def test_numbers_that_cannot_be_had_void_the_run(run: Run, sees: dict[str, Any], said: str) -> None:
    """A missing metric is never a pass."""
    run.sees |= sees
    with pytest.raises(VoidError, match=said):
        run.go()


def test_a_guest_that_moved_is_not_looked_for_where_it_was(run: Run) -> None:
    """The plan is that of the first QEMU; the reader is told."""
    run.ends_elsewhere = True
    run.go()
    assert run.kept == [] and run.measured.warnings == ["the QEMU that the guest was migrated to is not pinned"]


def test_a_guest_that_was_ended_is_asked_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no threads any more."""

    def end(_scenario: object, stage: Stage, seen: Seen, **_more: object) -> None:
        stage.guest_ended, seen.seconds = True, 0.1
        seen.trace, seen.marks = STEADY, (Mark("mirror", 1001.5),)

    monkeypatch.setattr(module, "play", end)
    run.go()
    assert run.kept == []
