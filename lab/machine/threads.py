"""Thread ids to CPU time: what each vCPU, each IOThread and the main loop cost.

Threads are keyed by their ids, which QMP names (query-cpus-fast, query-iothreads), never by their names: those may
repeat and may be cut at 15 characters.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import GuestError
from lab.machine.monitor import Monitor

_PROC = Path("/proc")
_MAIN_LOOP = "main-loop"


@dataclass(frozen=True)
class ThreadMap:
    """The threads of one QEMU.

    :param pid: the process; its first thread runs the main loop.
    :param names: thread id to ``vcpu0``, ``iothread0`` (the object's own id) or ``main-loop``.
    """

    pid: int
    names: Mapping[int, str]
    vcpus: frozenset[int]
    iothreads: frozenset[int]


def thread_map(pid: int, monitor: Monitor) -> ThreadMap:
    """Ask QEMU which thread is which.

    :raise MonitorError: QEMU does not answer.
    """
    vcpus = {int(cpu["thread-id"]): f"vcpu{cpu['cpu-index']}" for cpu in monitor.execute("query-cpus-fast")}
    iothreads = {int(thread["thread-id"]): str(thread["id"]) for thread in monitor.execute("query-iothreads")}
    return ThreadMap(pid, {pid: _MAIN_LOOP, **vcpus, **iothreads}, frozenset(vcpus), frozenset(iothreads))


def cpu_time_ns(pid: int, *, proc: Path = _PROC) -> dict[int, int]:
    """Return the CPU time of each thread of a process, in nanoseconds, by thread id.

    The first field of ``/proc/PID/task/TID/schedstat`` (Documentation/scheduler/sched-stats.rst) counts nanoseconds;
    ``stat`` counts ticks of 10 ms, too coarse for a run of seconds.

    :raise GuestError: the process is gone, or the kernel has no schedstat.
    """
    times: dict[int, int] = {}
    try:
        for task in (proc / str(pid) / "task").iterdir():
            try:
                times[int(task.name)] = int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # a worker thread that ended between the listing and the reading
    except (FileNotFoundError, ProcessLookupError) as err:
        raise GuestError(f"QEMU (process {pid}) is gone") from err
    if pid not in times:
        raise GuestError(f"the CPU time of process {pid} cannot be read: no schedstat, or the process is gone")
    return times


@dataclass(frozen=True)
class CpuTime:
    """CPU time spent between two readings, in nanoseconds.

    :param other_ns: worker threads, RCU, signal handling: everything QMP does not name.
    """

    vcpus_ns: int
    iothreads_ns: int
    main_loop_ns: int
    other_ns: int
    by_name_ns: Mapping[str, int]

    @property
    def total_ns(self) -> int:
        """The CPU time of the whole process."""
        return self.vcpus_ns + self.iothreads_ns + self.main_loop_ns + self.other_ns


def cpu_time_over(threads: ThreadMap, readings: Sequence[Mapping[int, int]]) -> CpuTime:
    """Attribute the CPU time spent from the first to the last of several readings of :func:`cpu_time_ns`.

    Steps between consecutive readings are added up, so that a worker thread counts up to the last reading that saw
    it; a thread that is new counts from zero, and so does one that has the id of one that ended.
    """
    spent: dict[int, int] = {}
    for before, after in itertools.pairwise(readings):
        for tid, time_ns in after.items():
            step_ns = time_ns - before.get(tid, 0)
            spent[tid] = spent.get(tid, 0) + (step_ns if step_ns >= 0 else time_ns)
    by_name = {threads.names[tid]: time_ns for tid, time_ns in spent.items() if tid in threads.names}
    vcpus = sum(spent.get(tid, 0) for tid in threads.vcpus)
    iothreads = sum(spent.get(tid, 0) for tid in threads.iothreads)
    main_loop = spent.get(threads.pid, 0)
    other = sum(spent.values()) - vcpus - iothreads - main_loop
    return CpuTime(vcpus, iothreads, main_loop, other, by_name)
