"""Readings of a running QEMU to CPU time per I/O over a steady window.

A thread of ours reads the CPU time of every QEMU thread and the number of requests each disk has completed, twice a
second. The window leaves out what comes before the workload's ramp is over and what comes after its end, so that
starting fio costs nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lab.errors import StageError
from lab.machine.guest import Guest
from lab.machine.threads import CpuTime, ThreadMap, cpu_time_between, cpu_time_ns

_INTERVAL_S = 0.5


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


def read_now(guest: Guest, *, clock: Callable[[], float] = time.monotonic) -> Reading:
    """Take a reading.

    :raise StageError: QEMU does not answer or is gone.
    """
    stats = guest.monitor.execute("query-blockstats")
    keys = ("rd_operations", "wr_operations", "flush_operations")
    requests = sum(int(disk["stats"][key]) for disk in stats for key in keys)
    return Reading(clock(), requests, cpu_time_ns(guest.process.pid))


@contextmanager
def readings_during(guest: Guest, *, interval_s: float = _INTERVAL_S) -> Iterator[list[Reading]]:
    """Collect readings while the block runs; the list is complete when the block has ended.

    A reading that fails ends the collection silently: what broke QEMU breaks the workload too, and is reported there.
    """
    readings: list[Reading] = []
    done = threading.Event()

    def collect() -> None:
        while not done.is_set():
            try:
                readings.append(read_now(guest))
            except StageError:
                return
            done.wait(interval_s)

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

    The workload begins at the first reading that shows a request more than the one before, so that the time fio
    takes to start in the guest does not matter.

    :return: None where fewer than two readings lie in the window, or nothing was completed in it.
    """
    begun = next((i for i in range(1, len(readings)) if readings[i].requests > readings[i - 1].requests), None)
    if begun is None:
        return None
    start_s = readings[begun].at_s + ramp_time_s
    # The first second of requests may be fio's preparation, so the window ends early rather than late.
    inside = [r for r in readings if start_s <= r.at_s <= start_s + runtime_s - _INTERVAL_S]
    if len(inside) < 2 or inside[-1].requests == inside[0].requests:
        return None
    first, last = inside[0], inside[-1]
    cpu = cpu_time_between(threads, first.cpu_ns, last.cpu_ns)
    return Cost(last.requests - first.requests, last.at_s - first.at_s, cpu)


def metrics_from_cost(cost: Cost) -> dict[str, float]:
    """Return the CPU metrics of a run, nanoseconds of host CPU time per completed request."""
    return {
        "cpu_ns_per_io": cost.cpu.total_ns / cost.requests,
        "iothread_cpu_ns_per_io": cost.cpu.iothreads_ns / cost.requests,
        "vcpu_cpu_ns_per_io": cost.cpu.vcpus_ns / cost.requests,
        "main_loop_cpu_ns_per_io": cost.cpu.main_loop_ns / cost.requests,
    }
