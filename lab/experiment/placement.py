"""A job's machines and this host's CPUs to one plan for the whole experiment. Pure but for what it is handed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from lab.errors import InputError
from lab.experiment.job import LoadedJob
from lab.experiment.job_host import HostTable, Pin
from lab.experiment.machines import machine_from_cell
from lab.host.cpu_plan import CpuPlan, Threads
from lab.host.cpu_plan_choice import plan_cpus, plan_from_pins, plan_nothing
from lab.host.topology import BlockDevice, Topology, read_block_device, read_topology
from lab.machine.backend import HostDeviceBackend
from lab.machine.spec import MachineSpec
from lab.record import Cell


def plan_for_job(
    loaded: LoadedJob, cells: Iterable[Cell], *, pin: Pin | None = None, root: Path = Path("/")
) -> CpuPlan:
    """Return where the threads of a job's guests run on this host.

    :param cells: of the job; each was proved to make a machine.
    :param pin: overrides the job's word or places.
    :raise InputError: the job places a thread or names a device that is not there, or two threads on one CPU unasked.
    :raise HostError: this host has too few CPUs for a strict plan, or does not show them.
    """
    machines = [machine_from_cell(loaded, cell, "tcg") for cell in cells]
    table = loaded.job.host
    if pin is not None:
        table = HostTable(pin=pin, device=table.device)
    try:
        device = _device(table.device, machines, root)
        return plan_from_table(read_topology(root), threads_of_all(machines), table, device)
    except InputError as err:
        raise InputError(f"{loaded.path}: host: {err.message}", remedy=err.remedy) from err


def plan_from_table(
    topology: Topology, threads: Threads, table: HostTable, device: BlockDevice | None = None
) -> CpuPlan:
    """Return the plan that ``[host]`` asks for.

    ``auto`` does not pin where threads would have to share: a thread that waits for a CPU while another one idles is
    slower than one that the scheduler moves (numbers in docs/decisions/0011-cpu-plan-in-runs.md).

    :param device: the host's block device that is measured, if one is.
    :raise InputError: a thread or CPU that is not there, or an overlap that was not asked for.
    :raise HostError: with ``strict``, this host has too few CPUs.
    """
    if not isinstance(table.pin, Pin):
        return plan_from_pins(topology, threads, table.pin, overlap=table.overlap, device=device)
    if table.pin is Pin.NONE:
        return plan_nothing(topology, threads)
    plan = plan_cpus(topology, threads, device=device, strict=table.pin is Pin.STRICT)
    return plan_nothing(topology, threads) if table.pin is Pin.AUTO and not plan.exclusive else plan


def threads_of_all(machines: Sequence[MachineSpec]) -> Threads:
    """Return the threads of the largest machine: most vCPUs, and every IOThread that any of them has."""
    names = dict.fromkeys(thread.id for machine in machines for thread in machine.iothreads)
    return Threads(max(machine.vcpus for machine in machines), tuple(names))


def _device(name: str | None, machines: Sequence[MachineSpec], root: Path) -> BlockDevice | None:
    """Return the block device of the host that a job names, or that one of its machines has for a disk.

    :raise InputError: there is no such device.
    """
    if name is None:
        disks = (disk for machine in machines for controller in machine.controllers for disk in controller.disks)
        paths = (disk.backend.path for disk in disks if isinstance(disk.backend, HostDeviceBackend))
        path = next(paths, None)
        if path is None:
            return None
        name = (root / path.relative_to("/")).resolve().name  # /dev/disk/by-id is a link
    return read_block_device(name, root)


def narrowed_for(plan: CpuPlan, machine: MachineSpec) -> CpuPlan:
    """Return the part of the plan for one machine."""
    return plan.narrowed(machine.vcpus, [thread.id for thread in machine.iothreads])
