from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lab.errors import CrashError, WorkloadError
from lab.machine.cost import Cost
from lab.machine.threads import CpuTime
from lab.testing import FakeProcess
from lab.virtio.load.control import Control, State
from lab.virtio.load.machine import LoadMachine
from lab.virtio.load.measure import Load, _check, _Driven, _until, drivers_may_spin
from lab.virtio.load.workload import Direction, Workload
from tests.unit.virtio.load.fake_queue import FakeQueue

CPU = CpuTime(
    vcpus_ns=0, iothreads_ns=1_800_000, main_loop_ns=100_000, other_ns=100_000, by_name_ns={"iothread0": 1_800_000}
)
LOAD = Load(
    cost=Cost(requests=1000, seconds=0.5, cpu=CPU),
    by_queue={0: 500, 1: 500},
    trace=(2000.0,),
    kicks=10,
    kicks_again=0,
    batches=20,
    completed=1200,
)


def test_metrics_are_per_command_and_per_second() -> None:
    """1000 commands in half a second, 2 ms of QEMU's CPU time for them."""
    assert LOAD.metrics(4096) == {
        "iops": 2000.0,
        "bandwidth_mib_s": 7.8125,
        "cpu_ns_per_io": 2000.0,
        "main_loop_cpu_ns_per_io": 100.0,
        "iothread_cpu_ns_per_io": 1800.0,
        "queue_fairness": 1.0,
    }


def test_what_is_not_there_has_no_metric() -> None:
    """No IOThread, no CPU time of it; with one queue there is nothing to be fair about."""
    cpu = replace(CPU, iothreads_ns=0, main_loop_ns=1_900_000)
    found = replace(LOAD, cost=replace(LOAD.cost, cpu=cpu), by_queue={0: 1000}).metrics(4096)
    assert not found.keys() & {"iothread_cpu_ns_per_io", "queue_fairness", "vcpu_cpu_ns_per_io"}


def test_fairness_is_that_of_the_commands_per_queue() -> None:
    """Three to one: 16 / (2 * 10)."""
    assert replace(LOAD, by_queue={0: 750, 1: 250}).metrics(4096)["queue_fairness"] == pytest.approx(0.8)


@pytest.mark.parametrize(("cpus", "spin"), [(2, False), (6, False), (7, True), (64, True)])
def test_drivers_spin_where_every_thread_has_a_cpu(cpus: int, spin: bool) -> None:
    """Four drivers, two IOThreads and the main loop want seven."""
    workload = Workload(Direction.READ, True, 4096, ((0, 64), (1, 64), (2, 64), (3, 64)))
    assert drivers_may_spin(workload, 2, cpus) is spin


# Failures


def under_way(folder: Path, *, exited: int | None = None) -> tuple[LoadMachine, _Driven]:
    """Return a machine with one driver, neither of which is there."""
    queue = FakeQueue()
    process = FakeProcess(log=folder / "qemu.log", exited=exited)
    machine = cast("LoadMachine", SimpleNamespace(process=process))
    driver = _Driven(0, FakeProcess(log=folder / "driver.log"), Control(queue.memory, queue.layout.control))
    return machine, driver


def test_a_qemu_that_ended_is_a_crash(tmp_path: Path) -> None:
    """Told with what it said last."""
    machine, driver = under_way(tmp_path, exited=-11)
    (tmp_path / "qemu.log").write_text("Assertion `ret' failed\n")
    with pytest.raises(CrashError, match=r"under load: QEMU ended by itself with signal SIGSEGV:\nAssertion"):
        _check(machine, [driver])


def test_a_driver_that_gave_up_says_why(tmp_path: Path) -> None:
    """Its log holds the reason."""
    machine, driver = under_way(tmp_path)
    (tmp_path / "driver.log").write_text("the device returned a command twice\n")
    driver.control.state = State.FAILED
    with pytest.raises(WorkloadError, match="driver of queue 0 gave up: the device returned a command twice"):
        _check(machine, [driver])


def test_a_driver_that_died_is_noticed(tmp_path: Path) -> None:
    """It may have had no time to say anything; one that ended well is done."""
    machine, driver = under_way(tmp_path)
    cast("FakeProcess", driver.process).exited = 1
    with pytest.raises(WorkloadError, match="gave up"):
        _check(machine, [driver])
    cast("FakeProcess", driver.process).exited = 0
    _check(machine, [driver])


def test_drivers_that_are_late(tmp_path: Path) -> None:
    """A deadline of the load is the load's failure, not a hung guest."""
    machine, driver = under_way(tmp_path)
    with pytest.raises(WorkloadError, match="the drivers to be ready"):
        _until(machine, [driver], State.READY, "to be ready", 0.0)
    driver.control.state = State.READY
    _until(machine, [driver], State.READY, "to be ready", 0.0)
