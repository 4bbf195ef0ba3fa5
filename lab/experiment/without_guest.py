"""A cell of a job of tier ``qtest`` to a measured load without a guest: what it means, what it ignores, and the run.

The job file is the same as for a guest. What only a guest could make true is said before the first run where it merely
has no effect, and refused where it is varied or judged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from lab.build.build import Build
from lab.errors import InputError
from lab.experiment.job import LoadedJob, ProfileTable
from lab.experiment.job_tables import BACKEND_FACTORS, MACHINE_FACTORS
from lab.experiment.load import Measured, VoidError, prove_mapping
from lab.experiment.machines import fio_levels, machine_from_cell, mapping_warnings
from lab.host.cpu_plan import CpuPlan
from lab.host.cpu_plan_apply import Affinities, apply_plan, threads_of, verify_plan
from lab.image.guest_image import GuestImage
from lab.machine.mapping import MAIN_LOOP
from lab.machine.mapping_rules import MappedDevice, check
from lab.machine.observe import unexpected_thread
from lab.machine.spec import Controller
from lab.record import Cell
from lab.units import COUNTED
from lab.virtio.cost.workload import counted_workload
from lab.virtio.load.machine import LoadMachine, load_machine, the_controller
from lab.virtio.load.measure import Load, Span, put_under_load
from lab.virtio.load.workload import Workload, workload_from_fio
from lab.workload.fio_options import canonical_name

QTEST = "qtest"
NO_GUEST = GuestImage("none", Path(), Path(), "", "", {})
"""Stands where an experiment with guests has their image."""

METRICS = frozenset(
    {
        "iops",
        "bandwidth_mib_s",
        "cpu_ns_per_io",
        "iothread_cpu_ns_per_io",
        "main_loop_cpu_ns_per_io",
        "queue_fairness",
    }
)
_OPTIONS = frozenset({"rw", "bs", "iodepth", "numjobs"})
_TIMES = frozenset({"runtime", "ramp_time", "time_based"})
_OF_THE_GUEST = MACHINE_FACTORS - {
    "device",
    "controllers",
    "disks",
    "num_queues",
    "queue_size",
    "iothreads",
    "mapping",
    "poll_max_ns",
    "poll_grow",
    "poll_shrink",
    "aio_max_batch",
}
_UNCOUNTED = frozenset({"poll_max_ns", "poll_grow", "poll_shrink"})
"""Instructions are counted with polling off, and at the depth of the bursts."""
_MANY_AGAIN = 0.1
_QUEUE_SIZE = 256
"""What a virtio-scsi controller has unless it is told otherwise (hw/scsi/virtio-scsi.c, ``virtqueue_size``)."""


def check_without_guest(loaded: LoadedJob, cells: Sequence[Cell]) -> tuple[str, ...]:
    """Make sure that every cell of a job can be loaded without a guest, and say which of its keys have no effect then.

    :raise InputError: a cell cannot, or what only a guest could show is varied or judged.
    """
    job = loaded.job
    counted = is_counted(loaded)
    idle = _OF_THE_GUEST - ({"vcpus"} if job.machine.num_queues is None else set())
    idle |= _UNCOUNTED if counted else set()
    options = _OPTIONS - {"iodepth"} if counted else _OPTIONS
    for name in job.factors:
        if name in idle or not (name in MACHINE_FACTORS | BACKEND_FACTORS or canonical_name(name) in options):
            where = "where instructions are counted" if counted else "without a guest"
            raise InputError(f"{loaded.path}: factor '{name}' has no effect {where}", remedy="docs/qtest-tier.md")
    if job.scenario is not None:
        raise InputError(f"{loaded.path}: a [scenario] disturbs a guest, and tier {QTEST} has none")
    unknown = sorted(set(job.judge.metrics) - METRICS - {COUNTED})
    if counted and len(job.judge.metrics) > 1:
        raise InputError(
            f"{loaded.path}: {COUNTED} is counted under valgrind, where nothing else can be measured",
            remedy=f"judge {COUNTED} alone, and the rest in another job",
        )
    if unknown:
        raise InputError(
            f"{loaded.path}: without a guest there is no {unknown[0]} to judge",
            remedy=f"there are: {', '.join(sorted(METRICS))}",
        )
    for cell in cells:
        try:
            controller = the_controller(machine_from_cell(loaded, cell, QTEST))
            workload = workload_from_cell(loaded, cell, controller)
            size = queue_size_of(controller)
            deepest = max(depth for _, depth in workload.depths)
            if counted:
                counted_workload(workload, size)
            elif deepest > size:
                raise InputError(
                    f"{deepest} commands in flight do not fit into a virtqueue of {size}",
                    remedy="lower iodepth, or raise queue_size",
                )
        except InputError as err:
            raise InputError(f"{loaded.path}: {cell.point.id}: {err.message}", remedy=err.remedy) from err
    return _without_effect(loaded, idle, options)


def is_counted(loaded: LoadedJob) -> bool:
    """Tell whether a job's runs are counts of instructions, and no loads."""
    return COUNTED in loaded.job.judge.metrics


def queue_size_of(controller: Controller) -> int:
    """Return how many descriptors a virtqueue of a controller has."""
    return controller.queue_size or _QUEUE_SIZE


def workload_from_cell(loaded: LoadedJob, cell: Cell, controller: Controller) -> Workload:
    """Return what a cell's drivers ask for: fio's rw, bs, iodepth and numjobs, with the cell's levels put in.

    :raise InputError: it cannot be had without a guest.
    """
    fio = loaded.fio.with_options(**fio_levels(cell))
    return workload_from_fio(
        rw=fio.rw, bs=fio.bs, iodepth=fio.iodepth, numjobs=fio.numjobs, num_queues=controller.num_queues
    )


def load_without_guest(
    loaded: LoadedJob,
    profile: ProfileTable,
    build: Build,
    cell: Cell,
    *,
    seed: int,
    pin: tuple[CpuPlan, Affinities],
    during: Callable[[], AbstractContextManager[None]],
    evidence: Path,
    measured: Measured,
) -> None:
    """Start a cell's machine, prove its mapping, load it, and add what came of it to what was measured.

    :param pin: where threads run; the driver of command virtqueue N stands where the plan puts vCPU N.
    :param during: held while the load runs.
    :raise StageError: the run failed; what kind it is, is its outcome.
    """
    spec = machine_from_cell(loaded, cell, QTEST)
    workload = workload_from_cell(loaded, cell, the_controller(spec))
    measured.facts.update(vcpus=len(workload.depths), iothreads=len(spec.iothreads))
    measured.warnings += mapping_warnings(spec)
    with load_machine(build.qemu, spec, workload, evidence) as machine:
        prove_mapping(machine, evidence)
        places: dict[int, str] = {}

        def place(drivers: Mapping[str, int]) -> None:
            places.update({pid: name for name, pid in drivers.items()})
            _pin(machine, places, pin)

        with during():
            span = Span(profile.ramp_time_s, profile.runtime_s)
            load = put_under_load(machine, workload, span, seed=seed, evidence=evidence, place=place)
        prove_mapping(machine, evidence)
        _verify(machine, places, pin)
        _note(load, workload, machine, evidence, measured)


def _note(load: Load, workload: Workload, machine: LoadMachine, evidence: Path, measured: Measured) -> None:
    """Keep what came of a load; void it where the IOThreads that were asked for did not serve it.

    :raise VoidError: another thread served it.
    """
    threads = {
        "threads": {str(tid): name for tid, name in machine.threads.names.items()},
        "window_s": round(load.cost.seconds, 3),
        "requests": load.cost.requests,
        "cpu_ns": dict(load.cost.cpu.by_name_ns),
        "requests_by_queue": {str(queue): count for queue, count in load.by_queue.items()},
        "completed": load.completed,
        "batches": load.batches,
        "kicks": load.kicks,
        "kicks_again": load.kicks_again,
    }
    (evidence / "threads.json").write_text(json.dumps(threads, indent=2) + "\n", encoding="utf-8")
    spec = machine.spec
    controller = the_controller(spec)
    names = tuple(thread.id for thread in spec.iothreads)
    device = MappedDevice(controller.model, controller.num_queues, iothread=controller.iothread)
    queues = check(controller.mapping, device, iothreads=names).queues
    mapped = frozenset(queues.values()) - {MAIN_LOOP}
    loaded = frozenset(queues[str(queue)] for queue, _ in workload.depths) - {MAIN_LOOP}
    strange = unexpected_thread(load.cost, names, mapped, loaded)
    if strange is not None:
        raise VoidError(strange)
    measured.metrics.update(load.metrics(workload.request_bytes))
    measured.traces["iops"] = load.trace
    measured.facts["commands_per_kick"] = round(load.completed / max(1, load.kicks), 1)
    if load.kicks_again > _MANY_AGAIN * load.kicks:
        measured.warnings.append(
            f"{load.kicks_again} of {load.kicks} kicks were sent because nothing came back for 10 ms: "
            "the host was busy, the disk is slow, or QEMU missed a notification"
        )


def _pin(machine: LoadMachine, drivers: Mapping[int, str], pin: tuple[CpuPlan, Affinities]) -> None:
    """Put QEMU's threads and the drivers where the plan wants them.

    :raise PinningError: the host refuses.
    """
    names = _named(machine, drivers)
    plan = _of_these(pin[0], names)
    apply_plan(plan, names, process_threads=threads_of(machine.process.pid), affinities=pin[1])


def _verify(machine: LoadMachine, drivers: Mapping[int, str], pin: tuple[CpuPlan, Affinities]) -> None:
    """Void the run unless every thread is where it was put.

    :raise VoidError: one is not.
    """
    names = _named(machine, drivers)
    differences = verify_plan(_of_these(pin[0], names), names, affinities=pin[1])
    if differences:
        raise VoidError(f"the CPU plan was not kept: {differences[0]}")


def _named(machine: LoadMachine, drivers: Mapping[int, str]) -> dict[int, str]:
    """Return the threads that a plan may place: a driver takes the place of a vCPU, which has nothing to do."""
    threads = machine.threads
    return {tid: name for tid, name in threads.names.items() if tid not in threads.vcpus} | dict(drivers)


def _of_these(plan: CpuPlan, names: Mapping[int, str]) -> CpuPlan:
    present = frozenset(names.values())
    return replace(plan, cpus={name: cpus for name, cpus in plan.cpus.items() if name in present})


def _without_effect(loaded: LoadedJob, idle: frozenset[str], options: frozenset[str]) -> tuple[str, ...]:
    """Return a sentence that names the keys and options without effect; none where all have one."""
    said = sorted(loaded.job.machine.model_fields_set & idle)
    given = {canonical_name(name) for name, _ in (*loaded.fio.general, *loaded.fio.own)}
    unused = sorted(given - options - _TIMES)
    parts = [f"of [machine] {', '.join(said)}"] if said else []
    parts += ["of a profile runtime_s, ramp_time_s"] if is_counted(loaded) else []
    parts += [f"of fio's options {', '.join(unused)}"] if unused else []
    return (f"tier qtest boots no guest, so these have no effect: {'; '.join(parts)}",) if parts else ()
