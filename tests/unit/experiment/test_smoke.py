from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.build.patches import PatchBuild
from lab.errors import BootError, DeadlineError, GuestError, StageError
from lab.experiment.cells import cell_from_id
from lab.experiment.smoke import DISK_MIB, Smoke, SmokeResult, smoke_build, smoke_each
from lab.machine.backend import FileBackend
from lab.machine.command_line import GuestBoot
from lab.machine.guest import QEMU_LOG, Guest
from lab.machine.spec import MachineSpec
from lab.record import Outcome
from lab.testing import Answer, FakeMonitor, FakeProcess, FakeShell, RecordingProgress
from tests.unit.experiment.bed import DATA, FIO, THREADS
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, IMAGE, loaded_job

VERIFIED = (DATA / "guest-randread.json").read_text()
WORKS: dict[str, Answer] = {"test -b": "", FIO: VERIFIED}


class Guests:
    """Guests that do what the test says, one for each build.

    :param answers: what the guest's shell says.
    :param boot_errors: by folder of the build, what happens instead of a boot.
    """

    def __init__(self) -> None:
        self.answers = dict(WORKS)
        self.stored: object = [{"iothread": "iothread0"}]
        self.boot_errors: dict[str, StageError] = {}
        self.exited: int | None = None
        self.specs: list[MachineSpec] = []
        self.shells: list[FakeShell] = []
        self.disk_bytes: list[int] = []

    @contextmanager
    def boot(
        self, qemu: Path, firmware: Any, spec: MachineSpec, boot: GuestBoot, *, evidence: Path, timeout_s: float
    ) -> Iterator[Guest]:
        """Stand in for :func:`lab.machine.guest.booted`."""
        self.specs.append(spec)
        backend = spec.controllers[0].disks[0].backend
        assert isinstance(backend, FileBackend)
        self.disk_bytes.append(backend.path.stat().st_size)
        if qemu.parent.name in self.boot_errors:
            raise self.boot_errors[qemu.parent.name]
        shell = FakeShell(self.answers)
        self.shells.append(shell)
        process = FakeProcess(log=evidence / QEMU_LOG, exited=self.exited)
        yield Guest(spec, process, FakeMonitor({"qom-get": self.stored}), shell, THREADS, 4.5, evidence)


@pytest.fixture
def guests() -> Guests:
    """Return guests that work."""
    return Guests()


@pytest.fixture
def smoke(tmp_path: Path) -> Smoke:
    """Return what builds are tried with: the first cell of a job with one IOThread."""
    loaded = loaded_job(tmp_path)
    return Smoke(loaded, cell_from_id(loaded, None), IMAGE, "tcg", tmp_path / "evidence")


def tried(smoke: Smoke, guests: Guests) -> SmokeResult:
    """Try the baseline."""
    smoke.evidence.mkdir(exist_ok=True)
    return smoke_build(smoke, BASELINE, smoke.evidence, boot=guests.boot)


def test_a_build_that_works_boots_and_verifies(smoke: Smoke, guests: Guests) -> None:
    """On a small disk that holds data, which a null backend does not, and which is gone afterwards."""
    result = tried(smoke, guests)
    assert (result.outcome, result.reason) == (Outcome.OK, "")
    assert guests.disk_bytes == [DISK_MIB << 20]
    assert not (smoke.evidence / "disk.img").exists()
    job = (smoke.evidence / "fio.job").read_text()
    assert "filename=/dev/sda\n" in job and "verify=crc32c\n" in job
    assert guests.shells[0].files["/tmp/smoke.fio"] == job.encode()
    assert (smoke.evidence / "fio.json").read_text() == VERIFIED


def test_the_machine_is_that_of_the_jobs_cell(smoke: Smoke, guests: Guests) -> None:
    """With its queues and IOThreads: the mapping is what most series touch."""
    tried(smoke, guests)
    (spec,) = guests.specs
    assert [thread.id for thread in spec.iothreads] == ["iothread0"]
    assert spec.controllers[0].mapping is not None and len(spec.controllers[0].disks) == 1


@pytest.mark.parametrize(
    ("error", "outcome"), [(BootError("no ssh"), Outcome.BOOT_FAILED), (DeadlineError("late"), Outcome.GUEST_HUNG)]
)
def test_a_build_that_does_not_boot_says_how(smoke: Smoke, guests: Guests, error: StageError, outcome: Outcome) -> None:
    """And its disk is gone, too."""
    guests.boot_errors["baseline"] = error
    result = tried(smoke, guests)
    assert (result.outcome, result.reason) == (outcome, error.message)
    assert not (smoke.evidence / "disk.img").exists()


def test_a_mapping_that_was_not_stored_is_no_success(smoke: Smoke, guests: Guests) -> None:
    """QEMU runs, but not with what was asked for."""
    guests.stored = []
    result = tried(smoke, guests)
    assert result.outcome is Outcome.VOID and "IOThreads" in result.reason


def test_a_crash_under_load_outweighs_a_lost_connection(smoke: Smoke, guests: Guests) -> None:
    """The connection is what is noticed first."""

    def crash() -> str:
        raise GuestError("the connection was lost")

    guests.answers[FIO] = crash
    guests.exited = -6
    result = tried(smoke, guests)
    assert result.outcome is Outcome.QEMU_CRASHED and "SIGABRT" in result.reason


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((1, "", "verify: bad magic header\n"), "bad magic header"),
        ("no json at all", "fio"),
        (VERIFIED.replace('"read"', '"trim"'), ""),
    ],
)
def test_fio_that_fails_or_reads_nothing_back_is_no_success(
    smoke: Smoke, guests: Guests, said: Answer, words: str
) -> None:
    """A disk that swallows writes would pass without a look at what was read."""
    guests.answers[FIO] = said
    result = tried(smoke, guests)
    assert result.outcome is Outcome.WORKLOAD_FAILED and words in result.reason


def test_a_verification_that_read_nothing_is_no_success(smoke: Smoke, guests: Guests) -> None:
    """fio ends well where it was told to write only."""
    guests.answers[FIO] = WRITTEN_ONLY
    assert tried(smoke, guests).reason == "fio wrote but read nothing back"


WRITTEN_ONLY = (
    '{"fio version": "fio-3.33", "jobs": [{"jobname": "smoke", "error": 0, "usr_cpu": 1.0, "sys_cpu": 1.0,'
    ' "read": {"iops": 0.0, "bw_bytes": 0, "total_ios": 0, "runtime": 0},'
    ' "write": {"iops": 9.0, "bw_bytes": 9, "total_ios": 9, "runtime": 9}}]}'
)


def test_every_build_is_tried_and_those_that_fail_are_named(smoke: Smoke, guests: Guests) -> None:
    """One that does not build is passed over, one that does not boot does not stop those after it."""
    guests.boot_errors["candidate"] = BootError("the guest's kernel failed")
    patches = (
        PatchBuild(0, "base", "c0", BASELINE),
        PatchBuild(1, "p1", "c1", CANDIDATE),
        PatchBuild(2, "p2", "c2", None, "cc: error"),
        PatchBuild(3, "p3", "c3", BASELINE),
    )
    progress = RecordingProgress()
    results = smoke_each(smoke, patches, progress=progress, boot=guests.boot)
    assert [result.outcome for result in results] == [Outcome.OK, Outcome.BOOT_FAILED, None, Outcome.OK]
    assert [result.index for result in results] == [0, 1, 2, 3]
    assert results[1].evidence == smoke.evidence / "patch-1"
    assert progress.titles == ["booting 4 builds"]
    assert results[2].to_json() is None
    said = results[1].to_json()
    assert said is not None and said["outcome"] == "boot-failed" and said["evidence"].endswith("patch-1")
