"""A host's CPUs and a guest's threads to a plan: which thread runs where, and what the host is too small to show. Pure.

The plan takes what fits first, in this order (docs/host.md explains it for users):

1. every thread a CPU of its own, all on one NUMA node;
2. the same on several nodes;
3. the main loop shares the CPUs of the vCPUs, on one node, else on several;
4. each IOThread keeps a CPU of its own, vCPUs and main loop share what is left, at most two vCPUs to a CPU;
5. every thread may run on every CPU. CPUs that several threads share are never isolated ones beside others.

Among CPUs: a core of its own comes before a sibling, an isolated CPU before one that is not, and the core of CPU 0,
where the kernel does its housekeeping, comes last. Among nodes: whole cores come before isolation, isolation before
being near the block device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab.errors import HostError, InputError
from lab.host.cpu_plan import MAIN_LOOP, CpuPlan, Sharing, Threads, overlaps
from lab.host.facts import cpus_from_list
from lab.host.topology import BlockDevice, Cpu, Topology, cpus_by_core
from lab.units import text_from_cpus

_VCPU = re.compile(r"vcpu[0-9]{1,5}")
_PLACES = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*")
_VCPUS_PER_CPU = 2


def plan_nothing(topology: Topology, threads: Threads) -> CpuPlan:
    """Return the plan that pins nothing."""
    return CpuPlan(threads, {}, Sharing.UNPLANNED, topology)


def plan_cpus(
    topology: Topology, threads: Threads, *, device: BlockDevice | None = None, strict: bool = False
) -> CpuPlan:
    """Give each thread its place.

    :param device: its NUMA node is preferred.
    :param strict: refuse a plan in which two threads of the guest share a CPU.
    :raise InputError: a guest without vCPUs, or two threads of one name.
    :raise HostError: with ``strict``, the host has too few CPUs.
    """
    _check(threads)
    wanted = len(threads.names)
    pools = _pools(topology, device)
    for own, sharing in ((wanted, Sharing.NONE), (wanted - 1, Sharing.MAIN_LOOP)):
        fitting = [_chosen(pool, own) for pool in pools if len(pool) >= own]
        if fitting and not (strict and sharing is not Sharing.NONE):
            chosen = min(fitting, key=_shortcomings)  # the first of equals: pools are in order of preference
            return CpuPlan(threads, _dealt(threads, chosen, sharing), sharing, topology, device)
    if strict:
        raise HostError(
            f"the guest's {wanted} threads want a CPU each, and {len(topology.cpus)} may be used here",
            remedy="use a larger host, fewer vCPUs or IOThreads, or let threads share CPUs by leaving strict out",
        )
    return CpuPlan(threads, *_crowded(threads, topology), topology, device)


def plan_from_pins(
    topology: Topology,
    threads: Threads,
    pins: Sequence[str],
    *,
    overlap: bool = False,
    device: BlockDevice | None = None,
) -> CpuPlan:
    """Return the plan that somebody wrote down: ``vcpu0=2``, ``iothread0=4-5``, ``main-loop=0``.

    :param overlap: allow vCPUs and IOThreads to share CPUs.
    :raise InputError: not of that form, a thread or CPU that is not there, a thread left out, an overlap.
    """
    _check(threads)
    usable = {cpu.id for cpu in topology.cpus}
    cpus: dict[str, frozenset[int]] = {}
    for pin in pins:
        name, places = _name_and_cpus(pin)
        if name not in threads.names or name in cpus:
            why = "is pinned twice" if name in cpus else "is no thread of this guest"
            raise InputError(f"'{name}' {why}", remedy=f"pin each of: {', '.join(threads.names)}")
        if not places or not places <= usable:
            raise InputError(
                f"'{pin}' asks for a CPU that may not be used here",
                remedy=f"CPUs that may: {text_from_cpus(usable)}",
            )
        cpus[name] = places
    left_out = [name for name in threads.names if name not in cpus]
    if left_out:
        raise InputError(f"'{left_out[0]}' has no CPU", remedy="pin every thread, or none")
    shared = list(overlaps(cpus))
    if shared and not overlap:
        raise InputError(shared[0], remedy="move one of them, or say that the overlap is meant")
    return CpuPlan(threads, cpus, Sharing.PINNED if shared else Sharing.NONE, topology, device)


def _check(threads: Threads) -> None:
    if threads.vcpus < 1:
        raise InputError("a guest has at least one vCPU")
    names = threads.names
    twice = [name for name in names if names.count(name) > 1]
    odd = [name for name in threads.iothreads if _VCPU.fullmatch(name)]
    if twice or odd:
        raise InputError(f"'{(twice or odd)[0]}' cannot name a thread here: another thread may have that name")


def _name_and_cpus(pin: str) -> tuple[str, frozenset[int]]:
    name, _, text = (piece.strip() for piece in pin.partition("="))
    if not _PLACES.fullmatch(text):
        raise InputError(f"'{pin}' does not place a thread", remedy="write vcpu0=2 or iothread0=4-5")
    return name, frozenset(cpus_from_list(text))


def _pools(topology: Topology, device: BlockDevice | None) -> list[list[Cpu]]:
    """Return the CPUs of each NUMA node, the device's first, and at last those of the whole host."""
    near = None if device is None else device.node
    nodes = sorted(topology.nodes, key=lambda node: (node != near, node))
    pools = [[cpu for cpu in topology.cpus if cpu.node == node] for node in nodes]
    return pools if len(pools) == 1 else [*pools, list(topology.cpus)]


def _chosen(pool: Sequence[Cpu], count: int) -> list[Cpu]:
    """Return the best CPUs of a pool, best first."""
    rank = {cpu.id: rank for siblings in cpus_by_core(pool).values() for rank, cpu in enumerate(siblings)}
    order = sorted(pool, key=lambda cpu: (rank[cpu.id], not cpu.isolated, cpu.core == 0, cpu.id))
    return order[:count]


def _shortcomings(chosen: Sequence[Cpu]) -> tuple[int, int, int]:
    """Return what speaks against a choice: nodes, threads that share a core, CPUs that are not isolated."""
    shared = len(chosen) - len(cpus_by_core(chosen))
    return len({cpu.node for cpu in chosen}), shared, sum(not cpu.isolated for cpu in chosen)


def _dealt(threads: Threads, chosen: Sequence[Cpu], sharing: Sharing) -> dict[str, frozenset[int]]:
    """Deal CPUs out so that, where cores have to be shared, vCPUs share them with vCPUs before an IOThread does."""
    siblings = cpus_by_core(chosen)
    # a stable sort: within "shared" and "alone" the order of preference stays
    cores = sorted(siblings.values(), key=lambda core: len(core) == 1)
    order = [cpu for core in cores for cpu in core]
    taken, left = order[: threads.vcpus], order[threads.vcpus :]
    left.sort(key=lambda cpu: len(siblings[cpu.core]) > 1)
    places = {
        name: frozenset({cpu.id})
        for name, cpu in zip((*threads.vcpu_names, *threads.iothreads), [*taken, *left], strict=False)
    }
    last = frozenset(cpu.id for cpu in taken) if sharing is Sharing.MAIN_LOOP else frozenset({left[-1].id})
    return {**places, MAIN_LOOP: last}


def _crowded(threads: Threads, topology: Topology) -> tuple[dict[str, frozenset[int]], Sharing]:
    """Place threads on too few CPUs."""
    order = _chosen(topology.cpus, len(topology.cpus))
    own, rest = order[: len(threads.iothreads)], _balanced(order[len(threads.iothreads) :])
    if own and threads.vcpus <= _VCPUS_PER_CPU * len(rest):
        places = {name: frozenset({cpu.id}) for name, cpu in zip(threads.iothreads, own, strict=True)}
        return {**dict.fromkeys((*threads.vcpu_names, MAIN_LOOP), _ids(rest)), **places}, Sharing.VCPUS
    return dict.fromkeys(threads.names, _ids(_balanced(order))), Sharing.ALL


def _balanced(cpus: Sequence[Cpu]) -> Sequence[Cpu]:
    """Return the CPUs between which the scheduler moves threads, or all where it does so between none.

    Threads that may run on several isolated CPUs crowd on one of them (``isolcpus=`` in admin-guide/kernel-parameters
    of the Linux kernel).
    """
    return [cpu for cpu in cpus if not cpu.isolated] or cpus


def _ids(cpus: Sequence[Cpu]) -> frozenset[int]:
    return frozenset(cpu.id for cpu in cpus)
