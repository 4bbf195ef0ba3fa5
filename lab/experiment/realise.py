"""A scheduled run to a record: boot the cell, prove it is what was asked for, load it, read it.

Whatever goes wrong becomes a recorded outcome with its reason and evidence; only Ctrl-C and bugs of the lab pass
through, and those leave no record.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path

from lab.build.build import Build
from lab.errors import (
    BootError,
    CrashError,
    DeadlineError,
    GuestError,
    HostError,
    MonitorError,
    StageError,
    WorkloadError,
)
from lab.experiment.counted import count_without_guest
from lab.experiment.disturbed import Performance, ScenarioFailedError, run_disturbed
from lab.experiment.job import LoadedJob, ProfileTable
from lab.experiment.load import Measured, VoidError, load, prove_mapping
from lab.experiment.machines import fio_from_cell, machine_from_cell, mapping_warnings
from lab.experiment.placement import narrowed_for
from lab.experiment.slowdown import slowed_cell
from lab.experiment.storage import storage_held
from lab.experiment.without_guest import QTEST, is_counted, load_without_guest
from lab.host.cpu_plan import CpuPlan
from lab.host.cpu_plan_apply import Affinities, KernelAffinities, apply_plan, intruders, threads_of, verify_plan
from lab.host.cpu_plan_show import plan_to_json
from lab.host.passport import Limits
from lab.host.passport_reading import NoiseWatch
from lab.image.guest_image import GuestImage
from lab.machine.command_line import GuestBoot
from lab.machine.guest import Guest, booted
from lab.machine.spec import MachineSpec
from lab.record import Arm, Cell, Outcome, RunRecord, ScheduledRun
from lab.units import is_measurable

BOOT_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Bench:
    """What all runs of an experiment share.

    :param builds: the binary of each arm.
    :param host: fingerprint of this host.
    :param plan: where the threads of the largest cell run.
    :param affinities: moves threads and tells where they are.
    :param watch: watches the host from now on; takes the planned CPUs and their siblings.
    :param candidate_latency_ns: slows the candidate's backend down on purpose, for a calibration.
    """

    loaded: LoadedJob
    profile: ProfileTable
    builds: Mapping[Arm, Build]
    image: GuestImage
    accelerator: str
    host: str
    plan: CpuPlan
    affinities: Affinities = field(default_factory=KernelAffinities)
    watch: Callable[[frozenset[int], frozenset[int]], NoiseWatch] = NoiseWatch
    candidate_latency_ns: int = 0


@dataclass(frozen=True)
class _Run:
    """One scheduled run.

    :param plan: the part of the experiment's plan for this cell.
    """

    bench: Bench
    scheduled: ScheduledRun
    spec: MachineSpec
    plan: CpuPlan
    watch: NoiseWatch
    evidence: Path


def realise(bench: Bench, scheduled: ScheduledRun, *, attempt: int, evidence: Path) -> RunRecord:
    """Boot, prove, load and read one cell.

    :param evidence: an empty folder; everything the run leaves behind goes there.
    :return: the record, whatever the outcome; it has not been stored yet.
    :raise HostError: this host cannot write the evidence, or a device that is written to has come into use; the run
        leaves no record.
    """
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    start = time.monotonic()
    cell = slowed_cell(bench.loaded.job, scheduled.cell, bench.candidate_latency_ns)
    spec = machine_from_cell(bench.loaded, cell, bench.accelerator)
    plan = narrowed_for(bench.plan, spec)
    watch = bench.watch(plan.planned, plan.neighbours)
    measured = Measured()
    outcome, reason = Outcome.OK, ""
    try:
        if bench.accelerator == QTEST:
            _run_without_guest(_Run(bench, scheduled, spec, plan, watch, evidence), cell, measured)
        else:
            _run(_Run(bench, scheduled, spec, plan, watch, evidence), measured)
    except StageError as err:
        outcome, reason = outcome_of(err), err.message
    except OSError as err:
        raise HostError(
            f"the evidence of {scheduled.id} cannot be written: {err}", remedy="see that the disk is not full"
        ) from err
    odd = None if outcome is not Outcome.OK else _odd_number(measured)
    if odd is not None:
        outcome, reason = Outcome.WORKLOAD_FAILED, f"{odd}, which no run can have measured"
    duration_s = time.monotonic() - start
    passport, limits = watch.passport(), Limits.for_plan(exclusive=plan.exclusive)
    noise = passport.void_reason(limits)
    if outcome is Outcome.OK and noise is not None:
        outcome, reason = Outcome.VOID, noise
    return RunRecord(
        scheduled=scheduled,
        attempt=attempt,
        outcome=outcome,
        started_at=started_at,
        duration_s=duration_s,
        host=bench.host,
        accelerator=bench.accelerator,
        metrics=measured.metrics if outcome is Outcome.OK else {},
        traces=measured.traces if outcome is Outcome.OK else {},
        reason=reason,
        warnings=(*measured.warnings, *passport.warnings(limits)),
        facts={**measured.facts, **passport.to_json()},
    )


def _odd_number(measured: Measured) -> str | None:
    """Return a number that the results folder could not be read with again; much of what is measured a guest says."""
    numbers = chain(measured.metrics.items(), *(zip(repeat(name), said) for name, said in measured.traces.items()))
    return next((f"{name} is {number:g}" for name, number in numbers if not is_measurable(number)), None)


def _run(run: _Run, measured: Measured) -> None:
    bench, spec = run.bench, run.spec
    fio = fio_from_cell(bench.loaded, bench.profile, run.scheduled.cell, run.scheduled.seed)
    measured.facts.update(vcpus=spec.vcpus, iothreads=len(spec.iothreads), cpu_plan=str(run.plan.sharing))
    measured.warnings += mapping_warnings(spec)
    build = bench.builds[run.scheduled.cell.arm]
    scenario = bench.loaded.job.scenario
    if scenario is not None:
        run_disturbed(
            Performance(
                table=scenario,
                build=build,
                image=bench.image,
                spec=spec,
                fio=fio,
                evidence=run.evidence,
                boot_s=BOOT_TIMEOUT_S,
                placed=lambda guest: _pin(guest, run),
                kept=lambda guest: _check_places(guest, run),
                watched=run.watch.during,
            ),
            measured,
        )
        return
    boot = GuestBoot(bench.image.kernel, bench.image.initrd, bench.image.cmdline)
    with (
        storage_held(spec),
        booted(build.qemu, build.firmware, spec, boot, evidence=run.evidence, timeout_s=BOOT_TIMEOUT_S) as guest,
    ):
        measured.metrics["boot_s"] = guest.boot_s
        try:
            _pin(guest, run)
            prove_mapping(guest, guest.evidence)
            with run.watch.during():
                load(guest, fio, run.evidence, measured)
            guest.check_alive()
            measured.warnings += _intruders(guest, run)
            prove_mapping(guest, guest.evidence)
            _check_places(guest, run)
        except VoidError:
            raise
        except StageError as err:
            cause = guest.why(err)
            if cause is err:
                raise
            raise cause from err


def _run_without_guest(run: _Run, cell: Cell, measured: Measured) -> None:
    """Load a cell's machine without a guest.

    :param cell: what is realised; a calibration may have slowed it down.
    """
    with storage_held(run.spec):
        if is_counted(run.bench.loaded):
            count_without_guest(
                run.bench.loaded,
                run.bench.builds[cell.arm],
                cell,
                during=run.watch.during,
                evidence=run.evidence,
                measured=measured,
            )
            return
        load_without_guest(
            run.bench.loaded,
            run.bench.profile,
            run.bench.builds[cell.arm],
            cell,
            seed=run.scheduled.seed,
            pin=(run.plan, run.bench.affinities),
            during=run.watch.during,
            evidence=run.evidence,
            measured=measured,
        )
    measured.facts.update(cpu_plan=str(run.plan.sharing))


def _pin(guest: Guest, run: _Run) -> None:
    """Put the guest's threads where the plan wants them, and make sure that they are there.

    :raise PinningError: the host refuses; nothing has been measured yet.
    """
    if not run.plan.is_pinned:
        return
    threads = guest.threads
    apply_plan(run.plan, threads.names, process_threads=threads_of(threads.pid), affinities=run.bench.affinities)
    placed = {"thread_ids": {name: tid for tid, name in threads.names.items()}, **plan_to_json(run.plan)}
    (run.evidence / "cpu-plan.json").write_text(json.dumps(placed, indent=2) + "\n", encoding="utf-8")
    _check_places(guest, run)


def _check_places(guest: Guest, run: _Run) -> None:
    """Void the run unless the kernel says that each thread may run where the plan put it, and nowhere else."""
    differences = verify_plan(run.plan, guest.threads.names, affinities=run.bench.affinities)
    if differences:
        raise VoidError(f"the CPU plan was not kept: {differences[0]}")


def _intruders(guest: Guest, run: _Run) -> tuple[str, ...]:
    """Return warnings on CPUs that the plan gave to an IOThread alone and that QEMU's own workers shared."""
    threads = guest.threads
    return intruders(run.plan, threads.names, threads_of(threads.pid), affinities=run.bench.affinities)


def outcome_of(err: StageError) -> Outcome:
    """Name the outcome of an error that ended a run."""
    outcomes: tuple[tuple[type[StageError] | tuple[type[StageError], ...], Outcome], ...] = (
        (VoidError, Outcome.VOID),
        (ScenarioFailedError, Outcome.SCENARIO_FAILED),
        (CrashError, Outcome.QEMU_CRASHED),
        (BootError, Outcome.BOOT_FAILED),
        ((GuestError, DeadlineError, MonitorError), Outcome.GUEST_HUNG),
        (WorkloadError, Outcome.WORKLOAD_FAILED),
    )
    return next((outcome for kind, outcome in outcomes if isinstance(err, kind)), Outcome.INFRASTRUCTURE)
