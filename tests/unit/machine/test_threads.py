"""Thread ids to CPU time."""

from pathlib import Path

import pytest

from lab.errors import GuestError
from lab.machine.threads import ThreadMap, cpu_time_ns, cpu_time_over, thread_map
from lab.testing import FakeMonitor

THREADS = ThreadMap(
    10, {10: "main-loop", 11: "vcpu0", 12: "iothread0"}, vcpus=frozenset({11}), iothreads=frozenset({12})
)


def proc_with(root: Path, pid: int, times: dict[int, str]) -> Path:
    """A /proc with one process whose threads have these schedstat lines."""
    for tid, line in times.items():
        task = root / str(pid) / "task" / str(tid)
        task.mkdir(parents=True)
        (task / "schedstat").write_text(line)
    return root


def test_threads_are_named_by_what_qmp_says() -> None:
    """vCPUs and IOThreads are found by their thread ids; the process's first thread is the main loop."""
    monitor = FakeMonitor(
        {
            "query-cpus-fast": [{"cpu-index": 0, "thread-id": 11}],
            "query-iothreads": [{"id": "iothread0", "thread-id": 12}],
        }
    )
    assert thread_map(10, monitor) == THREADS


def test_cpu_time_is_the_first_field_of_schedstat(tmp_path: Path) -> None:
    """Nanoseconds on a CPU, by thread id."""
    proc = proc_with(tmp_path, 10, {10: "500 1 2\n", 11: "900 3 4\n"})
    assert cpu_time_ns(10, proc=proc) == {10: 500, 11: 900}


def test_a_thread_that_ends_while_we_read_is_passed_over(tmp_path: Path) -> None:
    """A worker thread's folder may be empty by the time it is read."""
    proc = proc_with(tmp_path, 10, {10: "500 1 2\n"})
    (proc / "10" / "task" / "13").mkdir()
    assert cpu_time_ns(10, proc=proc) == {10: 500}


def test_a_process_that_is_gone_is_a_guest_error(tmp_path: Path) -> None:
    """Neither a missing process nor one without a main thread is read as zero CPU time."""
    with pytest.raises(GuestError, match="is gone"):
        cpu_time_ns(10, proc=tmp_path)
    (tmp_path / "10" / "task").mkdir(parents=True)
    with pytest.raises(GuestError, match="cannot be read"):
        cpu_time_ns(10, proc=tmp_path)


def test_time_is_attributed_and_the_rest_is_other() -> None:
    """A thread QMP does not name counts as other; one that is new counts from zero."""
    cpu = cpu_time_over(THREADS, [{10: 100, 11: 1000, 12: 50}, {10: 110, 11: 4000, 12: 250, 99: 7}])
    assert (cpu.main_loop_ns, cpu.vcpus_ns, cpu.iothreads_ns, cpu.other_ns) == (10, 3000, 200, 7)
    assert cpu.total_ns == 3217
    assert cpu.by_name_ns == {"main-loop": 10, "vcpu0": 3000, "iothread0": 200}


def test_a_worker_that_ended_keeps_what_it_spent() -> None:
    """Time seen by any reading counts, and an id that is used again does not go backwards."""
    steps = [{10: 0, 98: 5000}, {10: 0, 98: 9000, 99: 70}, {10: 0, 98: 11}]
    assert cpu_time_over(THREADS, steps).other_ns == 4000 + 70 + 11
