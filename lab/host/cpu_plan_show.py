"""A CPU plan to what people and scripts read: a diagram, JSON. Pure."""

from __future__ import annotations

from typing import Any

from lab.host.cpu_plan import MAIN_LOOP, CpuPlan
from lab.host.topology import Cpu, cpus_by_core
from lab.units import text_from_cpus


def text_from_plan(plan: CpuPlan) -> str:
    """Return a small diagram: a line for each core with its CPUs and who is on them, then what cannot be claimed."""
    cells = {cpu.id: _cell(cpu, plan) for cpu in plan.topology.cpus}
    width = max(map(len, cells.values()))
    lines: list[str] = []
    for node in plan.topology.nodes:
        lines.append(f"NUMA node {node}")
        cores = cpus_by_core([cpu for cpu in plan.topology.cpus if cpu.node == node]).values()
        lines += ["  " + "  ".join(f"{cells[cpu.id]:{width}}" for cpu in siblings).rstrip() for siblings in cores]
    if plan.device is not None and plan.device.irqs and plan.is_pinned:
        where = f"CPUs {text_from_cpus(plan.irq_cpus)}" if plan.irq_cpus else "no CPU left"
        lines.append(f"interrupts {text_from_cpus(plan.device.irqs)} of {plan.device.name}: {where}")
    if not plan.is_pinned:
        lines.append(f"not pinned: {len(plan.threads.names)} threads of the guest, {len(cells)} CPUs")
    lines += [f"cannot be claimed: {sentence}" for sentence in plan.cannot_claim()]
    return "\n".join(lines)


def plan_to_json(plan: CpuPlan) -> dict[str, Any]:
    """Return the plan as scripts and run records have it."""
    return {
        "sharing": str(plan.sharing),
        "exclusive": plan.exclusive,
        "threads": {name: sorted(cpus) for name, cpus in plan.cpus.items()},
        "numa_nodes": list(plan.nodes),
        "isolated": all(cpu.isolated for cpu in plan.places) if plan.is_pinned else False,
        "irqs": list(plan.device.irqs) if plan.device is not None else [],
        "irq_cpus": sorted(plan.irq_cpus),
        "cannot_claim": list(plan.cannot_claim()),
    }


def _cell(cpu: Cpu, plan: CpuPlan) -> str:
    """Return who is on a CPU; brackets around its number mean that it is isolated."""
    number = f"[{cpu.id}]" if cpu.isolated else f"{cpu.id} "
    vcpus = [at for at, name in enumerate(plan.threads.vcpu_names) if cpu.id in plan.cpus.get(name, ())]
    rest = [name for name in (*plan.threads.iothreads, MAIN_LOOP) if cpu.id in plan.cpus.get(name, ())]
    names = [f"vcpu{text_from_cpus(vcpus)}", *rest] if vcpus else rest
    return f"CPU {number:>5} {', '.join(names) or '-'}"
