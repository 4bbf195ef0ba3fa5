"""A machine whose queues wait to a load, watched over a steady window: commands per second, and what each cost QEMU."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.deadline import Deadline
from lab.errors import CrashError, DeadlineError, WorkloadError
from lab.machine.cost import Cost, Reading, metrics_from_cost
from lab.machine.fairness import jain_index
from lab.machine.process import QemuProcess
from lab.machine.threads import cpu_time_ns, cpu_time_over
from lab.virtio.load.control import Control, Order, State
from lab.virtio.load.driver import Orders
from lab.virtio.load.machine import LoadMachine
from lab.virtio.load.workload import Workload

_READY_S = 30.0
_STOP_S = 30.0
_LOOK_S = 0.05
_BETWEEN_READINGS_S = 1.0
_OTHERS = 1
"""The main loop wants a CPU, too: kicks pass through it."""


@dataclass(frozen=True)
class Span:
    """How long.

    :param ramp_s: not measured.
    :param runtime_s: measured.
    """

    ramp_s: float
    runtime_s: float


@dataclass(frozen=True)
class Load:
    """What came of a load.

    :param cost: of the steady window.
    :param by_queue: commands that came back in the window, by command virtqueue.
    :param trace: commands per second, a reading for each second of the window.
    :param kicks: of the whole load; likewise the rest.
    :param kicks_again: those that were sent because nothing came back for 10 ms.
    :param batches: how often commands were given to the device.
    :param completed: commands that came back, all of them; none is left with the device.
    """

    cost: Cost
    by_queue: dict[int, int]
    trace: tuple[float, ...]
    kicks: int
    kicks_again: int
    batches: int
    completed: int

    def metrics(self, request_bytes: int) -> dict[str, float]:
        """Return the metrics of a run; the idle vCPU and, where there are none, the IOThreads have no share."""
        per_second = self.cost.requests / self.cost.seconds
        costs = metrics_from_cost(self.cost)
        found = {
            "iops": per_second,
            "bandwidth_mib_s": per_second * request_bytes / (1 << 20),
            "cpu_ns_per_io": costs["cpu_ns_per_io"],
            "main_loop_cpu_ns_per_io": costs["main_loop_cpu_ns_per_io"],
        }
        if self.cost.cpu.iothreads_ns:
            found["iothread_cpu_ns_per_io"] = costs["iothread_cpu_ns_per_io"]
        fairness = jain_index(self.by_queue.values())
        if fairness is not None:
            found["queue_fairness"] = fairness
        return found


@dataclass(frozen=True)
class _Driven:
    """A driver process.

    :param queue: its command virtqueue.
    """

    queue: int
    process: QemuProcess
    control: Control


def put_under_load(
    machine: LoadMachine,
    workload: Workload,
    span: Span,
    *,
    seed: int,
    evidence: Path,
    place: Callable[[dict[str, int]], None] = lambda _: None,
) -> Load:
    """Start a driver for each loaded queue, measure, stop them, and see that every command came back.

    :param seed: of the addresses.
    :param evidence: gets a log for each driver.
    :param place: called before the load begins, with the process ids of the drivers by ``vcpuN``, in the place of which
        the driver of command virtqueue N stands.
    :raise CrashError: QEMU ended.
    :raise WorkloadError: a command failed, came back twice, or did not come back.
    :raise GuestError: QEMU's CPU time cannot be read.
    """
    with _drivers(machine, workload, seed, evidence) as drivers:
        _until(machine, drivers, State.READY, "to be ready", _READY_S)
        place({f"vcpu{driver.queue}": driver.process.pid for driver in drivers})
        _order(drivers, Order.GO)
        _watch(machine, drivers, span.ramp_s)
        readings, by_queue = [_reading(machine, drivers)], _completed(drivers)
        end = Deadline(span.runtime_s)
        while not end.passed():
            _watch(machine, drivers, min(_BETWEEN_READINGS_S, end.remaining_s()))
            readings.append(_reading(machine, drivers))
        after = _completed(drivers)
        _order(drivers, Order.STOP)
        _until(machine, drivers, State.DONE, "to have all their commands back", _STOP_S)
        cost = Cost(
            readings[-1].requests - readings[0].requests,
            readings[-1].at_s - readings[0].at_s,
            cpu_time_over(machine.threads, [reading.cpu_ns for reading in readings]),
        )
        if not cost.requests:
            raise WorkloadError("no command came back while the load was measured", evidence=machine.process.log)
        return Load(
            cost=cost,
            by_queue={queue: count - by_queue[queue] for queue, count in after.items()},
            trace=_trace(readings),
            kicks=sum(driver.control.kicks for driver in drivers),
            kicks_again=sum(driver.control.kicks_again for driver in drivers),
            batches=sum(driver.control.batches for driver in drivers),
            completed=sum(driver.control.completed for driver in drivers),
        )


def drivers_may_spin(workload: Workload, iothreads: int, cpus: int) -> bool:
    """Tell whether there is a CPU for every driver beside those of QEMU; where there is not, drivers sleep a little."""
    return cpus >= len(workload.depths) + max(iothreads, 0) + _OTHERS


@contextmanager
def _drivers(machine: LoadMachine, workload: Workload, seed: int, evidence: Path) -> Iterator[tuple[_Driven, ...]]:
    """Start the driver processes; they end with the block, or with the lab."""
    spin = drivers_may_spin(workload, len(machine.spec.iothreads), len(os.sched_getaffinity(0)))
    fds = (machine.memory_fd, machine.qtest.fileno())
    with ExitStack() as stack:
        found = []
        for number, (layout, (queue, _)) in enumerate(zip(machine.layouts, workload.depths, strict=True)):
            orders = Orders(
                layout=layout,
                doorbell=machine.doorbells[layout.index],
                disk_bytes=machine.disk_bytes,
                random=workload.random,
                start=number / len(workload.depths),
                seed=seed + number,
                spin=spin,
            )
            argv = (sys.executable, "-P", "-m", "lab.virtio.load.driver", *map(str, fds), orders.to_json())
            log = evidence / f"driver-{queue}.log"
            process = stack.enter_context(QemuProcess(argv, log=log, pass_fds=fds))
            found.append(_Driven(queue, process, Control(machine.memory, layout.control)))
        yield tuple(found)


def _order(drivers: Sequence[_Driven], order: Order) -> None:
    for driver in drivers:
        driver.control.order = order


def _until(machine: LoadMachine, drivers: Sequence[_Driven], state: State, what: str, timeout_s: float) -> None:
    def reached() -> bool | None:
        _check(machine, drivers)
        return all(driver.control.state >= state for driver in drivers) or None

    try:
        Deadline(timeout_s).wait_for(f"the drivers {what}", reached, interval_s=0.002)
    except DeadlineError as err:
        raise WorkloadError(err.message, evidence=machine.process.log) from err


def _watch(machine: LoadMachine, drivers: Sequence[_Driven], seconds: float) -> None:
    """Let the load run, and notice at once when it does not."""
    span = Deadline(seconds)
    while not span.passed():
        _check(machine, drivers)
        Deadline(min(_LOOK_S, span.remaining_s())).rest()


def _check(machine: LoadMachine, drivers: Sequence[_Driven]) -> None:
    if machine.process.exit_code() is not None:
        failure = machine.process.failure("under load")
        raise CrashError(failure.message, evidence=failure.evidence)
    for driver in drivers:
        if driver.control.state is State.FAILED or driver.process.exit_code() not in (None, 0):
            said = driver.process.output_tail()
            raise WorkloadError(f"the driver of queue {driver.queue} gave up: {said}", evidence=driver.process.log)


def _reading(machine: LoadMachine, drivers: Sequence[_Driven]) -> Reading:
    requests = sum(_completed(drivers).values())
    return Reading(time.monotonic(), requests, cpu_time_ns(machine.process.pid))


def _completed(drivers: Sequence[_Driven]) -> dict[int, int]:
    return {driver.queue: driver.control.completed for driver in drivers}


def _trace(readings: Sequence[Reading]) -> tuple[float, ...]:
    return tuple(
        (after.requests - before.requests) / (after.at_s - before.at_s)
        for before, after in itertools.pairwise(readings)
    )
