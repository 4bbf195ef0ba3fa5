"""A guest's threads on a host's CPUs: the plan as a value, and what cannot be claimed with it. Pure.

lab/host/cpu_plan_choice.py makes plans, cpu_plan_show.py prints them, cpu_plan_apply.py carries them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

from lab.errors import InputError
from lab.host.topology import BlockDevice, Cpu, Topology, cpus_by_core
from lab.units import text_from_cpus

MAIN_LOOP = "main-loop"
"""The name of QEMU's first thread, as in lab/machine/threads.py."""


class Sharing(StrEnum):
    """How far the threads of the guest have CPUs of their own, best first."""

    NONE = "own-cpus"
    MAIN_LOOP = "main-loop-shares"
    VCPUS = "vcpus-share"
    ALL = "all-share"
    PINNED = "pins-overlap"
    UNPLANNED = "not-pinned"


@dataclass(frozen=True)
class Threads:
    """The threads of a guest that get a place.

    :param vcpus: how many.
    :param iothreads: their ids.
    """

    vcpus: int
    iothreads: tuple[str, ...] = ()

    @property
    def vcpu_names(self) -> tuple[str, ...]:
        """``vcpu0`` and so on, as in lab/machine/threads.py."""
        return tuple(f"vcpu{number}" for number in range(self.vcpus))

    @property
    def names(self) -> tuple[str, ...]:
        """Every thread, the main loop last."""
        return (*self.vcpu_names, *self.iothreads, MAIN_LOOP)


@dataclass(frozen=True)
class CpuPlan:
    """Which thread may run where.

    :param cpus: thread name to CPUs; empty where nothing is pinned.
    :param topology: the host it was made for.
    :param device: the block device of the host that is measured, where there is one.
    """

    threads: Threads
    cpus: Mapping[str, frozenset[int]]
    sharing: Sharing
    topology: Topology
    device: BlockDevice | None = None

    @property
    def is_pinned(self) -> bool:
        """Tell whether anything is pinned."""
        return bool(self.cpus)

    @property
    def places(self) -> tuple[Cpu, ...]:
        """The planned CPUs with their cores and nodes."""
        return tuple(cpu for cpu in self.topology.cpus if cpu.id in self.planned)

    @property
    def planned(self) -> frozenset[int]:
        """The CPUs of all threads together."""
        return frozenset().union(*self.cpus.values())

    @property
    def neighbours(self) -> frozenset[int]:
        """SMT siblings of planned CPUs that no thread is on: what runs there takes from the planned ones."""
        cores = {cpu.core for cpu in self.places}
        return frozenset(cpu.id for cpu in self.topology.cpus if cpu.core in cores) - self.planned

    @property
    def nodes(self) -> tuple[int, ...]:
        """The NUMA nodes of the planned CPUs: where the guest's memory belongs."""
        return tuple(sorted({cpu.node for cpu in self.places}))

    @property
    def exclusive(self) -> bool:
        """Tell whether every thread that serves requests has a CPU of its own; without IOThreads the main loop does."""
        return self.sharing is Sharing.NONE or (self.sharing is Sharing.MAIN_LOOP and bool(self.threads.iothreads))

    @property
    def irq_cpus(self) -> frozenset[int]:
        """CPUs for the interrupts of the block device: none of the threads', other cores and its own node first."""
        if not self.is_pinned:
            return frozenset()
        beside = [cpu for cpu in self.topology.cpus if cpu.id not in self.planned and not cpu.isolated]
        free = [cpu for cpu in beside if cpu.id not in self.neighbours]
        near = [cpu for cpu in free if self.device is not None and cpu.node == self.device.node]
        return frozenset(cpu.id for cpu in near or free or beside)

    def narrowed(self, vcpus: int, iothreads: Sequence[str]) -> CpuPlan:
        """Return the part of the plan for a cell with fewer threads: those that are left stay where they are.

        Plan for the largest cell and narrow for each: then points differ in what was varied and not in placement.

        :raise InputError: it asks for a thread that the plan does not have.
        """
        part = Threads(vcpus, tuple(iothreads))
        missing = set(part.names) - set(self.threads.names)
        if missing:
            raise InputError(f"the CPU plan has no thread {min(missing)}: plan for the largest cell")
        return replace(self, threads=part, cpus={name: self.cpus[name] for name in part.names if name in self.cpus})

    def cannot_claim(self) -> tuple[str, ...]:
        """Return a sentence for each thing that numbers measured with this plan do not show."""
        return tuple(_limits(self))


def overlaps(cpus: Mapping[str, frozenset[int]]) -> Iterator[str]:
    """Yield a sentence for each two threads that have a CPU in common."""
    for (one, ones), (other, others) in combinations(cpus.items(), 2):
        if ones & others:
            yield f"{one} and {other} share CPU {text_from_cpus(ones & others)}"


def _limits(plan: CpuPlan) -> Iterator[str]:
    """Yield what cannot be claimed, the gravest first."""
    cpus, threads = len(plan.planned), plan.threads
    match plan.sharing:
        case Sharing.UNPLANNED:
            yield (
                "threads were not pinned: runs may differ by where the scheduler put them, and no CPU can be said to"
                " have belonged to one thread"
            )
            return
        case Sharing.ALL:
            yield (
                f"{threads.vcpus} vCPUs, {len(threads.iothreads)} IOThreads and the main loop share {cpus} CPUs:"
                " neither absolute IOPS and latencies nor how IOThreads scale can be claimed, only one build against"
                " another"
            )
        case Sharing.VCPUS:
            shared = len(plan.cpus[threads.vcpu_names[0]])
            yield (
                f"{threads.vcpus} vCPUs and the main loop share {shared} CPUs: absolute IOPS, latencies and how"
                " IOThreads scale cannot be claimed"
            )
        case Sharing.MAIN_LOOP:
            yield (
                "the main loop shares the vCPUs' CPUs: what runs in the main loop (a device without IOThreads, QMP,"
                " hotplug) cannot be measured by itself"
            )
        case Sharing.PINNED:
            for sentence in overlaps(plan.cpus):
                yield f"{sentence}, as asked for: what one gains the other loses"
        case Sharing.NONE:
            pass
    yield from _hardware_limits(plan)


def _hardware_limits(plan: CpuPlan) -> Iterator[str]:
    doubled = [core for core in cpus_by_core(plan.places).values() if len(core) > 1]
    if doubled:
        yield (
            f"{sum(map(len, doubled))} of the planned CPUs are SMT siblings of each other: a thread there has part of a"
            " core, so absolute IOPS and CPU time per I/O are not those of whole cores"
        )
    if len(plan.nodes) > 1:
        yield (
            f"the threads are on NUMA nodes {', '.join(map(str, plan.nodes))}: latencies hold the distance between"
            " them, and no claim about a guest on one node follows"
        )
    node = None if plan.device is None else plan.device.node
    if plan.device is not None and node is not None and node not in plan.nodes:
        yield f"{plan.device.name} is on NUMA node {node} and no thread is: every request crosses the nodes"
    if plan.device is not None and plan.device.irqs and not plan.irq_cpus:
        yield (
            f"no CPU is left for the interrupts of {plan.device.name}: they take time from the threads that are"
            " measured"
        )
