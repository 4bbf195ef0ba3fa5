"""A cell of a job to the machine that realises it and the fio job that loads it. Pure."""

from __future__ import annotations

from lab.errors import InputError
from lab.experiment.job import (
    BACKEND_FACTORS,
    MACHINE_FACTORS,
    BackendTable,
    Job,
    LoadedJob,
    MachineTable,
    ProfileTable,
)
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.mapping_rules import MappedDevice, check
from lab.machine.spec import TCG_CPU_MODEL, Controller, Disk, IOThread, MachineSpec, NullBackend, iothread_ids
from lab.record import Cell, Level
from lab.workload.fio_job import FioJob

_GIB = 1 << 30


def machine_from_cell(job: Job, cell: Cell, accelerator: str) -> MachineSpec:
    """Return the machine of a cell: the job's ``[machine]`` with the cell's levels put in.

    :raise InputError: the mapping is not one.
    """
    table = _machine_table(job, dict(cell.point.levels))
    ids = iothread_ids(table.iothreads)
    backend = NullBackend(
        driver=table.backend.driver,
        size_bytes=table.backend.size_gib * _GIB,
        latency_ns=table.backend.latency_ns,
        read_zeroes=table.backend.read_zeroes,
    )
    mapping, iothread = _threads_from_text(table.mapping, ids, table.device)
    prefix = "blk" if table.device is Device.VIRTIO_BLK else "scsi"
    controller = Controller(
        id=f"{prefix}0",
        model=table.device,
        num_queues=table.num_queues or table.vcpus,
        queue_size=table.queue_size,
        disks=(Disk("disk0", backend),),
        mapping=mapping,
        iothread=iothread,
    )
    return MachineSpec(
        accelerator=accelerator,
        vcpus=table.vcpus,
        memory_mib=table.memory_mib,
        iothreads=tuple(IOThread(name, poll_max_ns=table.poll_max_ns) for name in ids),
        controllers=(controller,),
        cpu_model=_cpu_model(table.cpu_model, accelerator),
        kernel_arguments=table.kernel_arguments,
    )


def mapping_warnings(spec: MachineSpec) -> tuple[str, ...]:
    """Return what QEMU would take in silence about the mappings of a machine.

    :raise InputError: QEMU would refuse one; the message is QEMU's own. A mapping that serves nothing is refused here
        too: it would be measured under the name of its IOThreads.
    """
    found: list[str] = []
    for controller in spec.controllers:
        if controller.queue_size is not None and controller.queue_size.bit_count() != 1:
            raise InputError(f"queue_size {controller.queue_size} is not a power of two")
        if controller.mapping is not None and not controller.mapping.items:
            raise InputError("an empty mapping serves nothing", remedy='write mapping = "none" for the main loop')
        device = MappedDevice(controller.model, controller.num_queues, iothread=controller.iothread)
        threads = tuple(thread.id for thread in spec.iothreads)
        result = check(controller.mapping, device, iothreads=threads, vcpus=spec.vcpus)
        if result.errors:
            raise InputError(
                f"QEMU refuses the mapping of {controller.id}: {result.errors[0]}", remedy="docs/mapping.md"
            )
        found += [f"{controller.id}: {warning}" for warning in result.warnings]
    return tuple(found)


def fio_from_cell(loaded: LoadedJob, profile: ProfileTable, cell: Cell, seed: int) -> FioJob:
    """Return the fio job of a cell: the job's file with the profile's times, the cell's levels and the run's seed."""
    levels = {name: level for name, level in cell.point.levels if name not in MACHINE_FACTORS | BACKEND_FACTORS}
    times: dict[str, Level] = {
        "runtime": f"{profile.runtime_s}s",
        "ramp_time": f"{profile.ramp_time_s}s",
        "time_based": 1,
    }
    return loaded.fio.with_options(**times, **levels, randseed=seed)


def _cpu_model(name: str, accelerator: str) -> str:
    """Return what ``-cpu`` gets: ``auto`` is the host's own CPU with KVM, and what boots fastest without."""
    if name != "auto":
        return name
    return "host" if accelerator == "kvm" else TCG_CPU_MODEL


def _machine_table(job: Job, levels: dict[str, Level]) -> MachineTable:
    machine = {name: level for name, level in levels.items() if name in MACHINE_FACTORS}
    backend = {name: level for name, level in levels.items() if name in BACKEND_FACTORS}
    values = job.machine.model_dump() | machine
    values["backend"] = BackendTable.model_validate(job.machine.backend.model_dump() | backend)
    return MachineTable.model_validate(values)


def _threads_from_text(text: str, ids: tuple[str, ...], device: Device) -> tuple[IOThreadMapping | None, str | None]:
    """Return the mapping and the ``iothread`` property that a job's ``mapping`` asks for.

    ``round-robin`` spreads the queues over all IOThreads, ``iothread`` gives them all to the first one, ``none`` leaves
    them to the main loop; anything else is the short form of docs/mapping.md.
    """
    if text == "none" or (not ids and text in ("round-robin", "iothread")):
        return None, None
    if text == "iothread":
        return None, ids[0]
    if text == "round-robin":
        return IOThreadMapping.round_robin(ids), None
    return IOThreadMapping.from_text(text, device=device), None
