"""A scheduled run to a record, with a guest that does what the test says."""

from __future__ import annotations

import json

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
from lab.host.cpu_plan import Threads
from lab.host.cpu_plan_choice import plan_cpus, plan_from_pins
from lab.host.topology import Topology
from lab.machine.command_line import GuestBoot
from lab.machine.guest import QEMU_LOG
from lab.record import Arm, Outcome, json_from_record
from tests.unit.experiment.bed import DATA, EIGHT, FIO, LOG, VCPUS, WORKER, WORKS, Bed, assert_failed, busy
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, IMAGE


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


def test_a_run_without_iothreads_is_not_void_for_having_none(bed: Bed) -> None:
    """The main loop serves, as was asked for."""
    bed.stored, bed.readings = [], busy(iothread_ns=0)
    assert bed.run(iothreads=0).outcome is Outcome.OK


def test_what_qemu_takes_in_silence_is_a_warning_of_the_run(bed: Bed) -> None:
    """An IOThread without a queue is worth knowing where the numbers are read."""
    bed.stored = [{"iothread": f"iothread{number}"} for number in range(5)]
    record = bed.run(iothreads=5)
    assert record.outcome is Outcome.OK
    assert any("iothread4" in warning for warning in record.warnings)


def test_a_noisy_host_is_a_warning_and_a_fact(bed: Bed) -> None:
    """Half of the host's CPU time went to somebody else; the run counts, with a word about it."""
    bed.host.others_ns, bed.host.stolen_ns = 500, 100
    record = bed.run()
    assert (record.facts["foreign_cpu_share"], record.facts["steal_share"]) == (0.5, 0.1)
    assert len(record.warnings) == 2 and record.outcome is Outcome.OK


# Places


def test_numbers_that_could_not_be_read_again_fail_the_run(bed: Bed) -> None:
    """A guest that says so must not make the whole results folder unreadable."""
    bed.shell.answers[LOG] = "1000, 9e17, 0, 0, 0\n1000, 9e17, 1, 0, 0\n"
    assert_failed(bed.run(), Outcome.WORKLOAD_FAILED, "iops is 1.8e+18, which no run can have measured")


def test_a_run_without_a_plan_moves_nothing(bed: Bed) -> None:
    """And says so among its facts."""
    record = bed.run()
    assert bed.places.at == {} and record.facts["cpu_plan"] == "not-pinned"
    assert not (bed.evidence / "cpu-plan.json").exists()
    assert bed.host.watched == [(frozenset(), frozenset())]


def test_threads_are_put_where_the_plan_wants_them(bed: Bed) -> None:
    """Each to its CPU, workers to the main loop's; what was done is among the evidence and the facts."""
    plan = plan_cpus(EIGHT, Threads(4, ("iothread0", "iothread1")))
    bed.pin(plan)
    record = bed.run()
    assert record.outcome is Outcome.OK, record.reason
    assert bed.places.at[3] == plan.cpus["iothread0"] and bed.places.at[2] == plan.cpus["vcpu0"]
    assert bed.places.at[WORKER] == bed.places.at[1] == plan.cpus["main-loop"]
    assert record.facts["cpu_plan"] == "own-cpus" and record.facts["planned_foreign_share"] == 0
    kept = json.loads((bed.evidence / "cpu-plan.json").read_text())
    assert kept["thread_ids"]["iothread0"] == 3 and set(kept["threads"]) == {*VCPUS.values(), "iothread0", "main-loop"}
    assert bed.host.watched[0][0] == plan.planned - plan.cpus["iothread1"]


def test_a_kernel_that_narrows_a_place_voids_the_run_before_the_load(bed: Bed) -> None:
    """The cpuset grants less than was asked for, and sched_setaffinity(2) says nothing."""
    pins = ("vcpu0=0", "vcpu1=1", "vcpu2=2", "vcpu3=3", "iothread0=4-7", "main-loop=0")
    bed.pin(plan_from_pins(EIGHT, Threads(4, ("iothread0",)), pins, overlap=True))
    bed.places.granted = frozenset(range(6))
    words = "the CPU plan was not kept: iothread0 may run on CPU 4-5, not on 4-7"
    assert_failed(bed.run(), Outcome.VOID, words)
    assert not any("fio" in command for command in bed.shell.commands)


def test_a_thread_that_is_moved_during_the_run_voids_it(bed: Bed) -> None:
    """Somebody else manages this host's CPUs: what was measured is another placement."""
    bed.pin(plan_cpus(EIGHT, Threads(4, ("iothread0",))))

    def move() -> str:
        bed.places.at[3] = frozenset({0, 1})
        return str(WORKS[FIO])

    bed.shell.answers[FIO] = move
    assert_failed(bed.run(), Outcome.VOID, "the CPU plan was not kept: iothread0 may run on CPU 0-1, not on ")


def test_workers_on_the_cpu_of_their_iothread_are_a_warning(bed: Bed) -> None:
    """The run is what was asked for, but its IOThread did not have the CPU to itself."""
    plan = plan_cpus(EIGHT, Threads(4, ("iothread0",)))
    bed.pin(plan)

    def start_worker() -> str:
        bed.places.at[WORKER] = plan.cpus["iothread0"]
        return str(WORKS[FIO])

    bed.shell.answers[FIO] = start_worker
    record = bed.run()
    assert record.outcome is Outcome.OK
    assert any("shared the CPUs of iothread0" in warning for warning in record.warnings)


def test_a_host_that_refuses_a_place_is_tried_again(bed: Bed) -> None:
    """Nothing ran yet, and a CPU that was taken offline may come back: infrastructure, not void."""
    bed.pin(plan_cpus(EIGHT, Threads(4, ("iothread0",))))
    bed.places.granted = frozenset({7})
    assert_failed(bed.run(), Outcome.INFRASTRUCTURE, "cannot be put on CPU")


def test_a_crash_before_the_pinning_is_a_crash(bed: Bed) -> None:
    """That the threads are gone is the symptom."""
    bed.pin(plan_cpus(EIGHT, Threads(4, ("iothread0",))))
    bed.places.granted, bed.process.exited = frozenset(), -11
    assert_failed(bed.run(), Outcome.QEMU_CRASHED, "SIGSEGV")


def test_others_on_the_guest_s_own_cpus_void_the_run(bed: Bed) -> None:
    """It was promised CPUs of its own and lost half of them."""
    bed.pin(plan_cpus(EIGHT, Threads(4, ("iothread0",))))
    bed.host.others_ns = 500
    record = bed.run()
    assert_failed(record, Outcome.VOID, "others used 50 % of the CPUs that were planned for the guest")
    assert record.facts["planned_foreign_share"] == 0.5


def test_others_on_shared_cpus_do_not_void_the_run(bed: Bed) -> None:
    """Nothing was promised: a warning."""
    two = Topology(EIGHT.cpus[:2])
    bed.pin(plan_cpus(two, Threads(4, ("iothread0",))))
    bed.host.others_ns = 500
    record = bed.run()
    assert record.outcome is Outcome.OK
    assert record.warnings == ("others used more than 2 % of the CPUs planned for the guest",)


def test_noise_does_not_hide_what_else_went_wrong(bed: Bed) -> None:
    """A crash on a noisy host is a crash."""
    bed.pin(plan_cpus(EIGHT, Threads(4, ("iothread0",))))
    bed.host.others_ns = 500
    bed.shell.answers[FIO] = bed.crash(6, GuestError("the guest went away"))
    assert_failed(bed.run(), Outcome.QEMU_CRASHED, "SIGABRT")


# What goes wrong


def test_a_mapping_that_qemu_dropped_voids_the_run(bed: Bed) -> None:
    """Found before the load: fio is not even started."""
    bed.stored = []
    assert_failed(bed.run(), Outcome.VOID, "scsi0 does not have the IOThreads that were asked for")
    assert not any("fio" in command for command in bed.shell.commands)
    assert bed.ended == 1


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
