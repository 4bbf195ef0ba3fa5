"""Readings of a running QEMU to CPU time per I/O over a steady window.

A thread of ours reads the CPU time of every QEMU thread and the number of requests each disk has completed, twice a
second. The window leaves out what comes before the workload's ramp is over and what comes after its end, so that
starting fio costs nothing.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lab.errors import StageError
from lab.machine.guest import Guest
from lab.machine.threads import CpuTime, ThreadMap, cpu_time_ns, cpu_time_over

_INTERVAL_S = 0.5
_BEGINNING_SHARE = 0.1
"""Of the busiest step: what a step must complete to be the beginning of the workload."""


@dataclass(frozen=True)
class Reading:
    """One moment.

    :param at_s: monotonic clock, seconds.
    :param requests: reads, writes and flushes completed by all disks since boot (``query-blockstats``).
    :param cpu_ns: CPU time by thread id.
    """

    at_s: float
    requests: int
    cpu_ns: Mapping[int, int]


@dataclass(frozen=True)
class Cost:
    """CPU time and requests of the steady window."""

    requests: int
    seconds: float
    cpu: CpuTime


def read_now(guest: Guest) -> Reading:
    """Take a reading.

    :raise StageError: QEMU does not answer or is gone.
    """
    stats = guest.monitor.execute("query-blockstats")
    keys = ("rd_operations", "wr_operations", "flush_operations")
    requests = sum(int(disk["stats"][key]) for disk in stats for key in keys)
    return Reading(time.monotonic(), requests, cpu_time_ns(guest.process.pid))


@contextmanager
def readings_during(guest: Guest) -> Iterator[list[Reading]]:
    """Collect readings while the block runs; the list is complete when the block has ended.

    A reading that fails ends the collection silently: what broke QEMU breaks the workload too, and is reported there;
    an answer of another shape leaves the run without CPU times, which is a warning of the run.
    """
    readings: list[Reading] = []
    done = threading.Event()

    def collect() -> None:
        while not done.is_set():
            try:
                readings.append(read_now(guest))
            except (StageError, KeyError, TypeError, ValueError):
                return
            done.wait(_INTERVAL_S)

    collector = threading.Thread(target=collect, name="readings", daemon=True)
    collector.start()
    try:
        yield readings
    finally:
        done.set()
        collector.join(20.0)


def steady_cost(
    readings: Sequence[Reading], threads: ThreadMap, *, ramp_time_s: float, runtime_s: float
) -> Cost | None:
    """Return the cost between the end of the ramp and the end of the workload.

    The workload begins between two readings of which the later shows more requests: from there the window starts late
    (the later one plus the ramp) and ends early (the earlier one plus ramp and runtime), so that a reading that comes
    late can only make it shorter. A few requests alone, such as the guest's look at a new disk, are no beginning.

    :return: None where fewer than two readings lie in the window, or nothing was completed in it.
    """
    steps = list(itertools.pairwise(readings))
    most = max((after.requests - before.requests for before, after in steps), default=0)
    begun = next(((b, a) for b, a in steps if a.requests - b.requests > _BEGINNING_SHARE * most), None)
    if begun is None:
        return None
    start_s = begun[1].at_s + ramp_time_s
    end_s = begun[0].at_s + ramp_time_s + runtime_s
    inside = [reading for reading in readings if start_s <= reading.at_s <= end_s]
    if len(inside) < 2 or inside[-1].requests == inside[0].requests:
        return None
    cpu = cpu_time_over(threads, [reading.cpu_ns for reading in inside])
    return Cost(inside[-1].requests - inside[0].requests, inside[-1].at_s - inside[0].at_s, cpu)


def metrics_from_cost(cost: Cost) -> dict[str, float]:
    """Return the CPU metrics of a run, nanoseconds of host CPU time per completed request."""
    return {
        "cpu_ns_per_io": cost.cpu.total_ns / cost.requests,
        "iothread_cpu_ns_per_io": cost.cpu.iothreads_ns / cost.requests,
        "vcpu_cpu_ns_per_io": cost.cpu.vcpus_ns / cost.requests,
        "main_loop_cpu_ns_per_io": cost.cpu.main_loop_ns / cost.requests,
    }
