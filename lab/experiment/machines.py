"""A cell of a job to the machine that realises it and the fio job that loads it. Pure, but for names of files."""

from __future__ import annotations

from pathlib import Path

from lab.errors import InputError
from lab.experiment.disks import Surroundings, controllers_from_table
from lab.experiment.job import LoadedJob
from lab.experiment.job_tables import (
    BACKEND_FACTORS,
    MACHINE_FACTORS,
    BackendTable,
    Job,
    MachineTable,
    ProfileTable,
)
from lab.machine.mapping import iothreads_named
from lab.machine.mapping_rules import MappedDevice, check
from lab.machine.spec import TCG_CPU_MODEL, GuestMemory, IOThread, MachineSpec, Topology, iothread_ids
from lab.record import Cell, Level
from lab.settings import cache_dir
from lab.workload.fio_job import FioJob

_HUGEPAGE_KIB = {"off": None, "2M": 2 << 10, "1G": 1 << 20}
_READING = ("read", "randread")
_MOST_NODES = 1024


def machine_from_cell(loaded: LoadedJob, cell: Cell, accelerator: str) -> MachineSpec:
    """Return the machine of a cell: the job's ``[machine]`` with the cell's levels put in.

    :raise InputError: keys that do not go together, a mapping that is none, or a workload that writes where the job
        does not allow it.
    """
    table = _machine_table(loaded.job, dict(cell.point.levels))
    ids = iothread_ids(table.iothreads)
    around = Surroundings(file_of=loaded.sibling, made_file=_made_file, writes=_writes(loaded, cell))
    polling = {name: getattr(table, name) for name in ("poll_max_ns", "poll_grow", "poll_shrink", "aio_max_batch")}
    return MachineSpec(
        accelerator=accelerator,
        vcpus=table.vcpus,
        memory_mib=table.memory_mib,
        iothreads=tuple(IOThread(name, **polling) for name in ids),
        controllers=controllers_from_table(table, ids, around),
        machine_type=table.machine_type,
        cpu_model=_cpu_model(table.cpu_model, accelerator),
        kernel_arguments=table.kernel_arguments,
        topology=Topology(table.sockets, table.cores, table.threads),
        memory=_memory(table),
        scheduler=table.scheduler,
        haltpoll=table.haltpoll,
    )


def mapping_warnings(spec: MachineSpec) -> tuple[str, ...]:
    """Return what QEMU would take in silence about the mappings of a machine.

    :raise InputError: QEMU would refuse one; the message is QEMU's own. A mapping that serves nothing is refused here
        too: it would be measured under the name of its IOThreads.
    """
    found: list[str] = []
    threads = tuple(thread.id for thread in spec.iothreads)
    named = {controller.id: iothreads_named(controller.mapping, controller.iothread) for controller in spec.controllers}
    for controller in spec.controllers:
        if controller.queue_size is not None and (controller.queue_size.bit_count() != 1 or controller.queue_size <= 2):
            raise InputError(f"queue_size {controller.queue_size} is not a power of two above 2")
        if controller.mapping is not None and not controller.mapping.items:
            raise InputError("an empty mapping serves nothing", remedy='write mapping = "none" for the main loop')
        device = MappedDevice(controller.model, controller.num_queues, iothread=controller.iothread)
        busy_elsewhere = {name for other, names in named.items() if other != controller.id for name in names}
        known = [name for name in threads if name in named[controller.id] or name not in busy_elsewhere]
        result = check(controller.mapping, device, iothreads=known, vcpus=spec.vcpus)
        if result.errors:
            raise InputError(
                f"QEMU refuses the mapping of {controller.id}: {result.errors[0]}", remedy="docs/mapping.md"
            )
        found += [f"{controller.id}: {warning}" for warning in result.warnings]
    return tuple(found)


def fio_from_cell(loaded: LoadedJob, profile: ProfileTable, cell: Cell, seed: int) -> FioJob:
    """Return the fio job of a cell: the job's file with the profile's times, the cell's levels and the run's seed."""
    times: dict[str, Level] = {
        "runtime": f"{profile.runtime_s}s",
        "ramp_time": f"{profile.ramp_time_s}s",
        "time_based": 1,
    }
    return loaded.fio.with_options(**times, **fio_levels(cell), randseed=seed)


def fio_levels(cell: Cell) -> dict[str, Level]:
    """Return the levels of a cell that are options of fio, by name."""
    return {name: level for name, level in cell.point.levels if name not in MACHINE_FACTORS | BACKEND_FACTORS}


def _writes(loaded: LoadedJob, cell: Cell) -> bool:
    """Tell whether the workload of a cell writes; what is not known to read only is taken to write."""
    fio = loaded.fio.with_options(**fio_levels(cell))
    return fio.rw.partition(":")[0] not in _READING


def _made_file(name: str) -> Path:
    return cache_dir("disks") / name


def _cpu_model(name: str, accelerator: str) -> str:
    """Return what ``-cpu`` gets: ``auto`` is the host's own CPU with KVM, and what boots fastest without."""
    if name != "auto":
        return name
    return "host" if accelerator == "kvm" else TCG_CPU_MODEL


def _memory(table: MachineTable) -> GuestMemory:
    return GuestMemory(
        hugepage_kib=_HUGEPAGE_KIB[table.hugepages],
        prealloc=table.memory_prealloc,
        share=table.memory_share,
        folder=None if table.memory_folder is None else Path(table.memory_folder),
        host_nodes=_nodes(table.numa_nodes),
        policy=table.numa_policy,
    )


def _nodes(text: str | None) -> tuple[int, ...]:
    """Return the nodes that ``0-1,3`` means.

    :raise InputError: a range that goes down, or a node that Linux cannot have.
    """
    nodes: set[int] = set()
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        if not int(first) <= int(last or first) < _MOST_NODES:
            raise InputError(f"'{part}' of numa_nodes is not a range of nodes", remedy="write for example 0 or 0-1,3")
        nodes |= set(range(int(first), int(last or first) + 1))
    return tuple(sorted(nodes))


def _machine_table(job: Job, levels: dict[str, Level]) -> MachineTable:
    machine = {name: level for name, level in levels.items() if name in MACHINE_FACTORS}
    backend = {name: level for name, level in levels.items() if name in BACKEND_FACTORS}
    # Only what was said: a table that says a default itself stands above what it would else be taken from.
    values = {name: getattr(job.machine, name) for name in job.machine.model_fields_set} | machine
    said = {name: getattr(job.machine.backend, name) for name in job.machine.backend.model_fields_set}
    values["backend"] = BackendTable.model_validate(said | backend)
    return MachineTable.model_validate(values)
