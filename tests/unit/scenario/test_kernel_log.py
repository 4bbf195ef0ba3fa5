"""What a guest's kernel complains about."""

import pytest

from lab.scenario.kernel_log import broken_lines, stall_lines, warning_lines


@pytest.mark.parametrize(
    "line",
    [
        "[   12.3] BUG: unable to handle page fault for address",
        "[   12.3] blk_update_request: I/O error, dev sda, sector 8",
        "[   12.3] sd 0:0:0:0: rejecting I/O to offline device",
        "[   12.3] INFO: task fio:123 blocked for more than 30 seconds.",
        "[   12.3] critical medium error, dev vda, sector 0",
    ],
)
def test_an_error_of_a_disk_or_of_the_kernel_is_found(line: str) -> None:
    """Among lines that mean nothing."""
    assert broken_lines(f"lab: ready\n{line}\n[ 13.0] sdb: detected capacity change\n") == (line,)


def test_lines_of_a_healthy_guest_are_none() -> None:
    """A disk that comes and grows is no error."""
    said = "lab: ready\n[ 1.0] sd 0:0:5:0: [sdb] Attached SCSI disk\n[ 2.0] sda: detected capacity change\n"
    assert broken_lines(said) == () and stall_lines(said) == ()


def test_vcpus_that_did_not_run_are_told_apart() -> None:
    """Seen where QEMU gets no CPU time: nothing is broken by it."""
    stall = "[  40.1] rcu: INFO: rcu_preempt self-detected stall on CPU"
    lockup = "[  41.2] watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [fio:123]"
    pool = "[  42.0] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 35s!"
    said = f"{stall}\n[  40.1] Call Trace:\n{lockup}\n[  41.2] Call Trace:\n{pool}\n"
    assert stall_lines(said) == (stall, lockup, pool) and broken_lines(said) == ()


def test_a_flood_is_cut() -> None:
    """The first few say it."""
    assert len(broken_lines("I/O error\n" * 1000)) == 5


def test_a_warning_of_a_driver_is_told_apart() -> None:
    """Linux's own drivers give some; the guest goes on."""
    said = "[   26.3] WARNING: CPU: 0 PID: 25 at kernel/workqueue.c:635 __cancel_work_timer+0x10b/0x1a0\n"
    assert warning_lines(said) == (said.strip(),) and broken_lines(said) == ()
