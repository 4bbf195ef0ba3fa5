"""fio in a guest: what goes in, what comes out, and what is made of it when it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.errors import DeadlineError
from lab.record import Outcome
from tests.unit.experiment.bed import DATA, FIO, LOG, Bed, assert_failed, busy


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


def test_readings_that_do_not_suffice_are_a_warning(bed: Bed) -> None:
    """fio's numbers stand without CPU times."""
    bed.readings = []
    record = bed.run()
    assert record.outcome is Outcome.OK and "cpu_ns_per_io" not in record.metrics
    assert record.warnings == ("no CPU time per I/O: fewer than two readings of the steady part of the run",)


def test_iothreads_that_did_nothing_void_the_run(bed: Bed) -> None:
    """Stored but not used: the requests were served elsewhere."""
    bed.readings = busy(iothread_ns=99)
    assert_failed(bed.run(), Outcome.VOID, "another thread served them")
    assert (bed.evidence / "threads.json").exists()


def test_an_iothread_that_slept_while_its_queues_were_loaded_voids_the_run(bed: Bed) -> None:
    """With a worker on each vCPU; one worker, or workers that the job puts elsewhere, load no queue of it for sure."""
    bed.stored = [{"iothread": "iothread0"}, {"iothread": "iothread1"}]
    slept = bed.run(iothreads=2, numjobs=4)
    assert_failed(slept, Outcome.VOID, "IOThread 'iothread1' serves queues that were loaded, but spent 0.00%")
    assert bed.run(iothreads=2, numjobs=1).outcome is Outcome.OK
    assert bed.run(iothreads=2, numjobs=4, cpus_allowed="0").outcome is Outcome.OK


FOUR = "".join(f"1000, {iops}, 0, 0, 0\n2000, {iops}, 0, 0, 0\n\n" for iops in (400, 300, 200, 100))


def test_fairness_is_that_of_the_workers_on_the_queues_vcpus(bed: Bed) -> None:
    """Four workers of 4 : 3 : 2 : 1 on four virtqueues: 10 squared / (4 * 30); on two, 7 : 3, it is 100 / (2 * 58)."""
    bed.shell.answers[LOG] = FOUR
    record = bed.run(numjobs=4)
    assert record.metrics["queue_fairness"] == pytest.approx(100 / 120)
    assert record.traces["iops"] == (1000.0, 1000.0)
    assert bed.run(numjobs=4, num_queues=2).metrics["queue_fairness"] == pytest.approx(100 / 116)
    assert "for worker in $(seq 4); do cat /tmp/lab/fio_iops.$worker.log || exit 1; echo; done" in bed.shell.commands


@pytest.mark.parametrize("levels", [{"cpus_allowed": "0"}, {"controllers": 2}, {"num_queues": 1}])
def test_where_queues_are_not_known_or_not_many_there_is_no_fairness(bed: Bed, levels: dict[str, Any]) -> None:
    """Workers that the job itself puts somewhere, workers that share controllers, and a single queue."""
    bed.shell.answers[LOG] = FOUR
    record = bed.run(numjobs=4, **levels)
    assert record.outcome is Outcome.OK, record.reason
    assert "queue_fairness" not in record.metrics


def test_a_guest_whose_clock_is_wrong_voids_the_run(bed: Bed) -> None:
    """fio's requests per second are per second of the guest: seven times too few where it counts seven for one."""
    bed.guest_seconds = 74.0
    assert_failed(bed.run(), Outcome.VOID, "the guest's clock ran 7.40 times as fast as the host's")


def test_a_guest_whose_clock_is_a_little_off_is_flagged(bed: Bed) -> None:
    """The same sentence for every run, so that a report can count them; the rate is a fact of the run."""
    bed.guest_seconds = 10.2
    record = bed.run()
    assert record.outcome is Outcome.OK and record.facts["guest_clock_rate"] == 1.02
    assert record.warnings == ("the guest's clock ran at another rate than the host's: numbers per second are off",)


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
