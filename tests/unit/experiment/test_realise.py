"""A scheduled run to a record, with a guest that does what the test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.errors import (
    BootError,
    CommandError,
    DeadlineError,
    GuestError,
    HostError,
    MonitorError,
    StageError,
    WorkloadError,
)
from lab.experiment import realise as module
from lab.experiment.realise import Bench, realise
from lab.host.noise import CpuTimes
from lab.machine.command_line import GuestBoot
from lab.machine.cost import Reading
from lab.machine.guest import CONSOLE_LOG, QEMU_LOG, Guest
from lab.machine.spec import MachineSpec
from lab.machine.threads import ThreadMap
from lab.record import Arm, Cell, Level, Outcome, Point, RunRecord, ScheduledRun, json_from_record
from lab.testing import Answer, FakeMonitor, FakeProcess, FakeShell
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, IMAGE, loaded_job

DATA = Path(__file__).parents[2] / "data" / "fio"
THREADS = ThreadMap(1, {1: "main-loop", 2: "vcpu0", 3: "iothread0"}, frozenset({2}), frozenset({3}))
MAPPED = [{"iothread": "iothread0"}]
FIO, LOG = "fio --output-format=json", "cat /tmp/lab/"
"""Words of the commands that a run gives."""
WORKS: dict[str, Answer] = {
    "test -b": "",
    "mkdir": "",
    FIO: (DATA / "guest-randread.json").read_text(),
    LOG: "1000, 9000, 0, 0, 0\n2000, 9500, 0, 0, 0\n",
}


def busy(iothread_ns: int = 2_000) -> list[Reading]:
    """Return readings of eight seconds at 1000 requests a second, of which each costs the IOThread this much."""
    return [
        Reading(i / 2, 500 * i, {1: 0, 2: 400_000_000 * i, 3: 500 * iothread_ns * i, 9: 1_000 * i}) for i in range(17)
    ]


class Bed:
    """What a test bed gives ``realise``: a guest, and what it was asked.

    :param stored: what QEMU says the mapping is.
    :param boot: what happens instead of a boot.
    """

    def __init__(self, bench: Bench, evidence: Path) -> None:
        self.bench = bench
        self.evidence = evidence
        self.shell = FakeShell(WORKS)
        self.process = FakeProcess(log=evidence / QEMU_LOG)
        self.stored: object = MAPPED
        self.readings = busy()
        self.boot_error: BaseException | None = None
        self.booted: list[tuple[Path, MachineSpec, GuestBoot]] = []
        self.ended = 0

    def run(self, arm: Arm = Arm.CANDIDATE, **levels: Level) -> RunRecord:
        """Realise a cell of one IOThread, or with other levels."""
        cell = Cell(arm, Point.from_levels({"iothreads": 1, "iodepth": 64} | levels))
        return realise(self.bench, ScheduledRun(1, 2, cell, 77), attempt=1, evidence=self.evidence)

    def crash(self, signal: int, error: StageError) -> Callable[[], str]:
        """Return an answer that ends QEMU by a signal and then is an error."""

        def answer() -> str:
            self.process.exited = -signal
            raise error

        return answer

    def panic(self, error: StageError) -> Callable[[], str]:
        """Return an answer before which the guest's kernel panics, which ends QEMU with status 0."""

        def answer() -> str:
            (self.evidence / CONSOLE_LOG).write_text("Kernel panic - not syncing: Attempted to kill init!\n")
            self.process.exited = 0
            raise error

        return answer

    @contextmanager
    def boot(
        self, qemu: Path, firmware: Sequence[Path], spec: MachineSpec, boot: GuestBoot, **options: Any
    ) -> Iterator[Guest]:
        """Stand in for :func:`lab.machine.guest.booted`."""
        assert options == {"evidence": self.evidence, "timeout_s": module.BOOT_TIMEOUT_S}
        self.booted.append((qemu, spec, boot))
        if self.boot_error is not None:
            raise self.boot_error
        try:
            monitor = FakeMonitor({"qom-get": self.stored})
            yield Guest(spec, self.process, monitor, self.shell, THREADS, 4.5, self.evidence)
        finally:
            self.ended += 1

    @contextmanager
    def read(self, guest: Guest) -> Iterator[list[Reading]]:
        """Stand in for :func:`lab.machine.cost.readings_during`."""
        readings: list[Reading] = []
        yield readings
        readings += self.readings


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bed:
    """Return a bed on which everything works, on a host that does nothing else."""
    loaded = loaded_job(tmp_path)
    builds = {Arm.BASELINE: BASELINE, Arm.CANDIDATE: CANDIDATE}
    bench = Bench(loaded, loaded.job.profile["quick"], builds, IMAGE, "tcg", "f00d")
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    made = Bed(bench, evidence)
    monkeypatch.setattr(module, "booted", made.boot)
    monkeypatch.setattr(module, "readings_during", made.read)
    monkeypatch.setattr(module, "read_cpu_times", lambda: CpuTimes(0, 0, 0, 0))
    return made


def assert_failed(record: RunRecord, outcome: Outcome, words: str) -> None:
    """Check that a record says what went wrong and carries no number that somebody could compare."""
    assert record.outcome is outcome, record.reason
    assert words in record.reason
    assert not record.metrics and not record.traces
    json_from_record(record)


def test_a_run_that_worked_has_its_metrics(bed: Bed) -> None:
    """fio's numbers, CPU time per request and the time of the boot; the trace and fio's version beside them."""
    record = bed.run()
    assert (record.outcome, record.reason, record.warnings) == (Outcome.OK, "", ())
    assert record.metrics["iops"] == 9969.823356
    assert record.metrics["iothread_cpu_ns_per_io"] == 2000
    assert record.metrics["vcpu_cpu_ns_per_io"] == 800_000
    assert record.metrics["boot_s"] == 4.5
    assert record.traces == {"iops": (9000, 9500)}
    assert record.facts["fio_version"] == "fio-3.33"
    assert (record.facts["vcpus"], record.facts["iothreads"]) == (4, 1)
    assert (record.host, record.accelerator, record.attempt) == ("f00d", "tcg", 1)
    assert record.id == "b01-p02-candidate.iodepth=64.iothreads=1-a1"
    json_from_record(record)
    assert bed.ended == 1


@pytest.mark.parametrize(("arm", "build"), [(Arm.BASELINE, BASELINE), (Arm.CANDIDATE, CANDIDATE)])
def test_each_arm_is_booted_from_its_own_build(bed: Bed, arm: Arm, build: object) -> None:
    """The binary is the arm's; image and machine are the same."""
    bed.run(arm)
    qemu, spec, boot = bed.booted[0]
    assert qemu == getattr(build, "qemu")  # noqa: B009 - a parameter of a test has one type for all cases
    assert boot == GuestBoot(IMAGE.kernel, IMAGE.initrd, IMAGE.cmdline)
    assert (spec.accelerator, len(spec.iothreads)) == ("tcg", 1)


def test_the_run_s_evidence_is_kept(bed: Bed) -> None:
    """The fio job as it ran, what fio printed, its log, and who spent the CPU time."""
    bed.shell.answers[FIO] = (0, (DATA / "guest-randread.json").read_text(), "fio: a warning\n")
    bed.run()
    kept = {path.name for path in bed.evidence.iterdir()}
    assert kept == {"fio.job", "fio.json", "fio.stderr", "fio-iops.log", "threads.json"}
    job = (bed.evidence / "fio.job").read_bytes()
    assert bed.shell.files == {"/tmp/lab/job.fio": job}
    assert {"filename=/dev/sda", "iodepth=64", "randseed=77", "runtime=5s"} <= set(job.decode().splitlines())
    assert (bed.evidence / "fio.stderr").read_text() == "fio: a warning\n"
    threads = json.loads((bed.evidence / "threads.json").read_text())
    assert threads["threads"]["3"] == "iothread0" and threads["requests"] > 0
    assert threads["cpu_ns"]["iothread0"] == threads["requests"] * 2000


def test_a_run_without_iothreads_is_not_void_for_having_none(bed: Bed) -> None:
    """The main loop serves, as was asked for."""
    bed.stored, bed.readings = [], busy(iothread_ns=0)
    assert bed.run(iothreads=0).outcome is Outcome.OK


def test_readings_that_do_not_suffice_are_a_warning(bed: Bed) -> None:
    """fio's numbers stand without CPU times."""
    bed.readings = []
    record = bed.run()
    assert record.outcome is Outcome.OK and "cpu_ns_per_io" not in record.metrics
    assert record.warnings == ("no CPU time per I/O: fewer than two readings of the steady part of the run",)


def test_what_qemu_takes_in_silence_is_a_warning_of_the_run(bed: Bed) -> None:
    """An IOThread without a queue is worth knowing where the numbers are read."""
    bed.stored = [{"iothread": f"iothread{number}"} for number in range(5)]
    record = bed.run(iothreads=5)
    assert record.outcome is Outcome.OK
    assert any("iothread4" in warning for warning in record.warnings)


def test_a_noisy_host_is_a_warning_and_a_fact(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the host's CPU time went to somebody else; the run counts, with a word about it."""
    times = iter((CpuTimes(0, 0, 0, 0), CpuTimes(600, 100, 1000, 100)))
    monkeypatch.setattr(module, "read_cpu_times", lambda: next(times))
    record = bed.run()
    assert (record.facts["foreign_cpu_share"], record.facts["steal_share"]) == (0.5, 0.1)
    assert len(record.warnings) == 2 and record.outcome is Outcome.OK


def test_a_mapping_that_qemu_dropped_voids_the_run(bed: Bed) -> None:
    """Found before the load: fio is not even started."""
    bed.stored = []
    assert_failed(bed.run(), Outcome.VOID, "scsi0 does not have the IOThreads that were asked for")
    assert not any("fio" in command for command in bed.shell.commands)
    assert bed.ended == 1


def test_iothreads_that_did_nothing_void_the_run(bed: Bed) -> None:
    """Stored but not used: the requests were served elsewhere."""
    bed.readings = busy(iothread_ns=99)
    assert_failed(bed.run(), Outcome.VOID, "another thread served them")
    assert (bed.evidence / "threads.json").exists()


def test_a_fall_back_to_the_main_loop_voids_the_run(bed: Bed) -> None:
    """QEMU says so on stderr, at any time before the end of the load."""

    def fall_back() -> str:
        (bed.evidence / QEMU_LOG).write_text("qemu: virtio-scsi: Failed to set guest notifiers (-38)\n")
        return (DATA / "guest-randread.json").read_text()

    bed.shell.answers[FIO] = fall_back
    bed.readings = []
    assert_failed(bed.run(), Outcome.VOID, "QEMU runs on without IOThreads: qemu: virtio-scsi: Failed to set guest")


def test_a_void_run_stays_void_when_qemu_ends_too(bed: Bed) -> None:
    """What was measured counts for nothing, whatever came after."""
    bed.stored, bed.process.exited = [], -9
    assert_failed(bed.run(), Outcome.VOID, "does not have the IOThreads")


def test_a_boot_that_failed(bed: Bed) -> None:
    """The reason is the boot's, and the machine's facts are known all the same."""
    bed.boot_error = BootError("while booting: QEMU ended by itself with exit status 1")
    record = bed.run()
    assert_failed(record, Outcome.BOOT_FAILED, "QEMU ended by itself")
    assert record.facts["vcpus"] == 4


@pytest.mark.parametrize("word", ["test -b", "mkdir", FIO, LOG])
def test_a_crash_is_named_with_its_signal_whenever_it_comes(bed: Bed, word: str) -> None:
    """What was noticed first, a lost connection, is the symptom."""
    bed.shell.answers[word] = bed.crash(6, GuestError("the guest went away"))
    assert_failed(bed.run(), Outcome.QEMU_CRASHED, "QEMU ended by itself with signal SIGABRT")


def test_a_crash_that_looks_like_a_failed_fio(bed: Bed) -> None:
    """A connection that breaks can leave an exit status behind."""

    def die() -> str:
        bed.process.exited = -11
        raise WorkloadError("fio ended with exit status -1")

    bed.shell.answers[FIO] = die
    assert_failed(bed.run(), Outcome.QEMU_CRASHED, "signal SIGSEGV")


def test_a_crash_after_the_load_is_a_crash(bed: Bed) -> None:
    """Every number is there, but the binary did not survive them."""

    def late() -> str:
        bed.process.exited = -6
        return ""

    bed.shell.answers[LOG] = late
    assert_failed(bed.run(), Outcome.QEMU_CRASHED, "SIGABRT")


def test_a_panic_is_the_guest_s(bed: Bed) -> None:
    """QEMU exits with 0 after it, which is no crash of QEMU."""
    bed.shell.answers[FIO] = bed.panic(GuestError("the guest went away"))
    assert_failed(bed.run(), Outcome.GUEST_HUNG, "Kernel panic - not syncing: Attempted to kill init!")


def test_a_guest_that_falls_silent_during_fio_hangs(bed: Bed) -> None:
    """fio does not end, and the guest does not answer either."""
    bed.shell.answers |= {FIO: DeadlineError("still running after 51 s"), "true": DeadlineError("silent")}
    assert_failed(bed.run(), Outcome.GUEST_HUNG, "the guest hung while fio ran: still running after 51 s")
    assert bed.shell.commands[-1] == "true"


def test_a_guest_that_answers_while_fio_does_not_end_has_a_hung_disk(bed: Bed) -> None:
    """That is what a lost completion looks like: the binary's doing, never tried again."""
    bed.shell.answers |= {FIO: DeadlineError("still running"), "true": ""}
    assert_failed(bed.run(), Outcome.WORKLOAD_FAILED, "though the guest answers: its disk hangs")


def test_a_disk_that_does_not_appear(bed: Bed) -> None:
    """The guest works, its controller does not."""
    bed.shell.answers["test -b"] = (1, "", "")
    assert_failed(bed.run(), Outcome.WORKLOAD_FAILED, "/dev/sda did not appear in the guest within 10 s")


def test_an_exit_status_of_fio_comes_with_its_last_words(bed: Bed) -> None:
    """And with all of them in the evidence."""
    bed.shell.answers[FIO] = (1, "{}", "1\n2\n3\n4\n5\nfio: io_u error on file /dev/sda\n")
    assert_failed(bed.run(), Outcome.WORKLOAD_FAILED, "exit status 1: 2\n3\n4\n5\nfio: io_u error on file /dev/sda")
    assert (bed.evidence / "fio.stderr").read_text().startswith("1\n")
    assert (bed.evidence / "fio.json").read_text() == "{}"


def test_an_output_that_is_none_of_fio_s(bed: Bed) -> None:
    """It is kept to be looked at."""
    bed.shell.answers[FIO] = "fio: what?\n"
    assert_failed(bed.run(), Outcome.WORKLOAD_FAILED, "fio printed no result")
    assert (bed.evidence / "fio.json").read_text() == "fio: what?\n"


def test_a_log_that_is_none(bed: Bed) -> None:
    """A trace that cannot be read is a run whose numbers nobody can check."""
    bed.shell.answers[LOG] = "not a log\n"
    assert_failed(bed.run(), Outcome.WORKLOAD_FAILED, "fio's IOPS log")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (GuestError("g"), Outcome.GUEST_HUNG),
        (DeadlineError("d"), Outcome.GUEST_HUNG),
        (MonitorError("m"), Outcome.GUEST_HUNG),
        (WorkloadError("w"), Outcome.WORKLOAD_FAILED),
        (BootError("b"), Outcome.BOOT_FAILED),
        (CommandError("c"), Outcome.INFRASTRUCTURE),
        (StageError("s"), Outcome.INFRASTRUCTURE),
    ],
)
def test_every_error_of_a_stage_is_an_outcome(bed: Bed, error: StageError, outcome: Outcome) -> None:
    """None of them ends the experiment."""
    bed.shell.answers["mkdir"] = error
    assert_failed(bed.run(), outcome, error.message)


def test_evidence_that_cannot_be_written_is_the_host_s_fault(bed: Bed) -> None:
    """No record: the run says nothing about the binary."""
    (bed.evidence / "fio.job").mkdir()
    with pytest.raises(HostError, match=r"the evidence of b01-p02-.* cannot be written") as caught:
        bed.run()
    assert "disk is not full" in caught.value.remedy
    assert bed.ended == 1


def test_a_host_that_lacks_something_ends_the_experiment(bed: Bed) -> None:
    """setpriv that is missing is missing in the next run too."""
    bed.boot_error = HostError("'setpriv' is needed")
    with pytest.raises(HostError, match="setpriv"):
        bed.run()


@pytest.mark.parametrize("where", ["boot", "fio"])
def test_ctrl_c_passes_through(bed: Bed, where: str) -> None:
    """An interrupted run leaves no record, and no guest."""
    if where == "boot":
        bed.boot_error = KeyboardInterrupt()
    else:
        bed.shell.answers[FIO] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bed.run()
    assert bed.ended == (where == "fio")


def test_a_bug_of_the_lab_passes_through(bed: Bed) -> None:
    """An error that nobody foresaw is no outcome of a run."""
    bed.shell.answers["mkdir"] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        bed.run()
