"""Pinning threads and reading back where they may run."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from lab.host.cpu_plan import CpuPlan, Threads
from lab.host.cpu_plan_apply import PinningError, apply_plan, intruders, threads_of, verify_plan
from lab.host.cpu_plan_choice import plan_from_pins, plan_nothing
from lab.host.topology import Cpu, Topology

TOPOLOGY = Topology(tuple(Cpu(number, number, 0) for number in range(4)))
NAMES = {100: "main-loop", 101: "vcpu0", 102: "iothread0"}
EVERYWHERE = frozenset(range(4))


@pytest.fixture
def plan() -> CpuPlan:
    """Return a plan for a vCPU, an IOThread and the main loop."""
    return plan_from_pins(TOPOLOGY, Threads(1, ("iothread0",)), ("vcpu0=1", "iothread0=2", "main-loop=0,3"))


class FakeAffinities:
    """Threads of a kernel that knows four CPUs; whatever it is not told does not exist."""

    def __init__(self, *thread_ids: int) -> None:
        self.cpus = dict.fromkeys(thread_ids, EVERYWHERE)
        self.order: list[int] = []

    def get(self, thread_id: int) -> frozenset[int]:
        """Return the CPUs of a thread."""
        self._check(thread_id)
        return self.cpus[thread_id]

    def set(self, thread_id: int, cpus: frozenset[int]) -> None:
        """Move a thread."""
        self._check(thread_id)
        self.order.append(thread_id)
        self.cpus[thread_id] = cpus

    def _check(self, thread_id: int) -> None:
        if thread_id not in self.cpus:
            raise ProcessLookupError(errno.ESRCH, "No such process")


def test_threads_are_pinned_the_main_loop_first(plan: CpuPlan) -> None:
    """What the main loop starts meanwhile inherits its place; unnamed threads go there, too."""
    kernel = FakeAffinities(100, 101, 102, 103)
    apply_plan(plan, NAMES, process_threads=frozenset({100, 101, 102, 103, 104}), affinities=kernel)
    assert kernel.cpus == {100: {0, 3}, 101: {1}, 102: {2}, 103: {0, 3}}
    assert kernel.order[0] == 100
    assert verify_plan(plan, NAMES, affinities=kernel) == ()


def test_no_plan_moves_nothing() -> None:
    """With no plan nothing is pinned and nothing can differ."""
    kernel = FakeAffinities(100)
    plan = plan_nothing(TOPOLOGY, Threads(1))
    apply_plan(plan, {100: "main-loop"}, process_threads=frozenset({100}), affinities=kernel)
    assert kernel.order == [] and verify_plan(plan, {}, affinities=kernel) == ()


def test_thread_that_does_not_exist_cannot_be_pinned(plan: CpuPlan) -> None:
    """A plan for another guest is noticed before anything is moved."""
    kernel = FakeAffinities(100, 101)
    with pytest.raises(PinningError, match="place for iothread0") as caught:
        apply_plan(plan, {100: "main-loop", 101: "vcpu0"}, affinities=kernel)
    assert kernel.order == [] and caught.value.remedy


def test_kernel_that_refuses_is_quoted(plan: CpuPlan) -> None:
    """The kernel's reason is in the message."""
    with pytest.raises(PinningError, match=r"iothread0 \(thread 102\) cannot be put on CPU 2: No such process"):
        apply_plan(plan, NAMES, affinities=FakeAffinities(100, 101))


def test_differences_are_found(plan: CpuPlan) -> None:
    """A thread that somebody moved, one that ended and one that never was are each a sentence."""
    kernel = FakeAffinities(100, 102)
    kernel.set(102, frozenset({2}))
    assert verify_plan(plan, {100: "main-loop", 101: "vcpu0"}, affinities=kernel) == (
        "vcpu0 (thread 101) cannot be asked: No such process",
        "iothread0 does not exist",
        "main-loop may run on CPU 0-3, not on 0,3",
    )


def test_workers_that_share_the_cpus_of_their_iothread_are_told(plan: CpuPlan) -> None:
    """They inherit them from the thread that starts them; those of the main loop are where the plan wants them."""
    kernel = FakeAffinities(100, 101, 102, 103, 104)
    there = frozenset({100, 101, 102, 103, 104, 105})  # the last has ended
    apply_plan(plan, NAMES, process_threads=there, affinities=kernel)
    assert intruders(plan, NAMES, there, affinities=kernel) == ()
    kernel.cpus[104] = frozenset({2})
    said = intruders(plan, NAMES, there, affinities=kernel)
    assert len(said) == 1 and "shared the CPUs of iothread0" in said[0]
    assert intruders(plan_nothing(TOPOLOGY, plan.threads), NAMES, there, affinities=kernel) == ()


def test_threads_of_a_process_are_listed(tmp_path: Path) -> None:
    """The kernel lists the threads of a process; one that is gone has none."""
    for thread_id in (7, 8):
        (tmp_path / "7/task" / str(thread_id)).mkdir(parents=True)
    assert threads_of(7, proc=tmp_path) == {7, 8} and threads_of(9, proc=tmp_path) == frozenset()
