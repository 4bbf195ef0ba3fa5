"""The plan as a value: what follows from it, and what cannot be claimed with it."""

from __future__ import annotations

import pytest

from lab.errors import InputError
from lab.host.cpu_plan import CpuPlan, Sharing, Threads
from lab.host.cpu_plan_choice import plan_cpus, plan_from_pins, plan_nothing
from lab.host.cpu_plan_show import plan_to_json, text_from_plan
from lab.host.topology import BlockDevice, Cpu, Topology

EIGHT = Topology(tuple(Cpu(number, number, 0) for number in range(8)))
SMT = Topology(tuple(Cpu(number, number % 4, 0) for number in range(8)))
TWO_NODES = Topology(tuple(Cpu(number, number, number // 4) for number in range(8)))
TWO = Topology((Cpu(0, 0, 0), Cpu(1, 1, 0)))
NVME = BlockDevice("nvme0n1", 1, (40, 41))


def _plan(topology: Topology, vcpus: int, iothreads: int, device: BlockDevice | None = None) -> CpuPlan:
    return plan_cpus(topology, Threads(vcpus, tuple(f"iothread{n}" for n in range(iothreads))), device=device)


def test_smaller_cell_keeps_the_places() -> None:
    """Threads that two cells have in common stand on the same CPUs in both."""
    largest = _plan(EIGHT, 4, 3)
    smaller = largest.narrowed(4, ("iothread0",))
    assert smaller.cpus == {name: largest.cpus[name] for name in smaller.threads.names}
    assert smaller.sharing is largest.sharing


def test_larger_cell_is_not_in_the_plan() -> None:
    """A plan does not grow."""
    with pytest.raises(InputError, match="no thread iothread1"):
        _plan(EIGHT, 4, 1).narrowed(4, ("iothread0", "iothread1"))


def test_idle_siblings_are_neighbours() -> None:
    """Siblings of planned CPUs that nobody is on are watched, too."""
    plan = _plan(SMT, 1, 1)
    assert sorted(plan.planned) == [1, 2, 3] and sorted(plan.neighbours) == [5, 6, 7]


@pytest.mark.parametrize(
    ("topology", "vcpus", "iothreads", "device", "cpus"),
    [
        (TWO_NODES, 1, 1, NVME, [7]),
        (TWO_NODES, 2, 1, NVME, [0, 1, 2, 3]),
        (TWO_NODES, 4, 3, NVME, []),
        (SMT, 1, 1, None, [0, 4]),
        (SMT, 3, 0, None, [4, 5, 6, 7]),
    ],
    ids=["on its node", "on the other", "nowhere", "other core", "only siblings"],
)
def test_interrupts_go_where_no_thread_is(
    topology: Topology, vcpus: int, iothreads: int, device: BlockDevice | None, cpus: list[int]
) -> None:
    """Interrupts keep off the threads: on the device's node if possible, on other cores if possible."""
    plan = _plan(topology, vcpus, iothreads, device)
    assert not plan.irq_cpus & plan.planned
    assert sorted(plan.irq_cpus) == cpus


def test_isolated_cpus_take_no_interrupts() -> None:
    """Who isolated a CPU does not want interrupts there."""
    topology = Topology(tuple(Cpu(number, number, 0, isolated=number > 1) for number in range(8)))
    assert sorted(_plan(topology, 2, 1).irq_cpus) == [0, 1]


def test_roomy_plan_can_claim_everything() -> None:
    """A core each on one node: nothing is held back."""
    plan = _plan(EIGHT, 4, 2)
    assert plan.cannot_claim() == () and plan.exclusive and plan.is_pinned and plan.nodes == (0,)


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (_plan(TWO, 4, 2), "4 vCPUs, 2 IOThreads and the main loop share 2 CPUs: neither absolute IOPS"),
        (_plan(EIGHT, 6, 4), "6 vCPUs and the main loop share 4 CPUs: absolute IOPS, latencies and how"),
        (_plan(EIGHT, 6, 2), "the main loop shares the vCPUs' CPUs"),
        (_plan(SMT, 4, 1), "4 of the planned CPUs are SMT siblings"),
        (_plan(TWO_NODES, 4, 2), "on NUMA nodes 0, 1"),
        (
            plan_from_pins(TWO_NODES, Threads(1), ("vcpu0=0", "main-loop=1"), device=NVME),
            "nvme0n1 is on NUMA node 1 and no thread is",
        ),
        (_plan(TWO_NODES, 4, 3, NVME), "no CPU is left for the interrupts of nvme0n1"),
        (
            plan_from_pins(TWO, Threads(1, ("t0",)), ("vcpu0=0", "t0=0", "main-loop=1"), overlap=True),
            "vcpu0 and t0 share CPU 0, as asked for",
        ),
        (plan_nothing(TWO, Threads(1)), "threads were not pinned"),
    ],
    ids=["all", "vcpus", "main loop", "smt", "nodes", "device", "irqs", "pins", "none"],
)
def test_each_shortcoming_is_told(plan: CpuPlan, sentence: str) -> None:
    """Whatever the host is too small for stands in a sentence for the report."""
    assert any(sentence in line for line in plan.cannot_claim())


@pytest.mark.parametrize(("iothreads", "exclusive"), [(1, True), (0, False)])
def test_main_loop_needs_its_own_cpu_only_when_it_serves_requests(iothreads: int, exclusive: bool) -> None:
    """With IOThreads the main loop idles; without them it is the IOThread."""
    plan = _plan(Topology(EIGHT.cpus[: 4 + iothreads]), 4, iothreads)
    assert plan.sharing is Sharing.MAIN_LOOP and plan.exclusive is exclusive


def test_plan_is_drawn() -> None:
    """The diagram has a line for each core, marks isolated CPUs, and ends with what cannot be claimed."""
    topology = Topology(tuple(Cpu(number, number % 2, 0, isolated=number % 2 == 1) for number in range(4)))
    device = BlockDevice("sda", 0, (16,))
    plan = plan_from_pins(topology, Threads(2, ("t0",)), ("vcpu0=1", "vcpu1=1", "t0=3", "main-loop=0"), overlap=True)
    drawn = text_from_plan(CpuPlan(plan.threads, plan.cpus, plan.sharing, topology, device))
    assert drawn.splitlines()[:5] == [
        "NUMA node 0",
        "  CPU    0  main-loop  CPU    2  -",
        "  CPU   [1] vcpu0-1    CPU   [3] t0",
        "interrupts 16 of sda: CPUs 2",
        "cannot be claimed: vcpu0 and vcpu1 share CPU 1, as asked for: what one gains the other loses",
    ]
    assert "2 of the planned CPUs are SMT siblings of each other" in drawn.splitlines()[5]


def test_plan_that_pins_nothing_is_drawn() -> None:
    """It shows the CPUs, how many threads are there for them, and what follows."""
    drawn = text_from_plan(plan_nothing(TWO, Threads(4, ("t0",)))).splitlines()
    assert drawn[3] == "not pinned: 6 threads of the guest, 2 CPUs"
    assert drawn[4].startswith("cannot be claimed: threads were not pinned")


def test_plan_without_room_for_interrupts_is_drawn() -> None:
    """Interrupts that have nowhere to go say so."""
    assert "interrupts 40-41 of nvme0n1: no CPU left" in text_from_plan(_plan(TWO_NODES, 4, 3, NVME))


def test_plan_becomes_json() -> None:
    """Scripts and run records get plain values."""
    value = plan_to_json(_plan(EIGHT, 1, 1))
    assert value["threads"] == {"vcpu0": [1], "iothread0": [2], "main-loop": [3]}
    assert (value["sharing"], value["exclusive"], value["isolated"]) == ("own-cpus", True, False)
    assert plan_to_json(plan_nothing(TWO, Threads(1)))["threads"] == {}
