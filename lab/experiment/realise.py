"""A scheduled run to a record: boot the cell, prove it is what was asked for, load it, read it.

Whatever goes wrong becomes a recorded outcome with its reason and evidence; only Ctrl-C and bugs of the lab pass
through, and those leave no record.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab.build.build import Build
from lab.errors import (
    BootError,
    DeadlineError,
    GuestError,
    MonitorError,
    StageError,
    WorkloadError,
)
from lab.experiment.job import LoadedJob, ProfileTable
from lab.experiment.machines import fio_from_cell, machine_from_cell
from lab.host.noise import HostNoise, noise_between, read_cpu_times
from lab.image.guest_image import GuestImage
from lab.machine.command_line import GuestBoot
from lab.machine.cost import metrics_from_cost, readings_during, steady_cost
from lab.machine.guest import Guest, booted, disk_device, fallback_warning, mapping_difference
from lab.record import Arm, Outcome, RunRecord, ScheduledRun
from lab.workload.fio_job import TRACE_LOG, FioJob
from lab.workload.fio_output import parse_fio_output
from lab.workload.fio_trace import parse_iops_log

BOOT_TIMEOUT_S = 60.0
_FIO_GRACE_S = 45.0
_GUEST_DIR = "/tmp/lab"  # noqa: S108 - a path in the guest, which has one user


@dataclass(frozen=True)
class Bench:
    """What all runs of an experiment share.

    :param builds: the binary of each arm.
    :param host: fingerprint of this host.
    """

    loaded: LoadedJob
    profile: ProfileTable
    builds: Mapping[Arm, Build]
    image: GuestImage
    accelerator: str
    host: str


class VoidError(StageError):
    """The run did not realise its cell: its numbers do not count."""


def realise(bench: Bench, scheduled: ScheduledRun, *, attempt: int, evidence: Path) -> RunRecord:
    """Boot, prove, load and read one cell.

    :param evidence: an empty folder; everything the run leaves behind goes there.
    :return: the record, whatever the outcome; it has not been stored yet.
    """
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    start = time.monotonic()
    before = read_cpu_times()
    measured = _Measured()
    outcome, reason = Outcome.OK, ""
    try:
        _run(bench, scheduled, evidence, measured)
    except VoidError as err:
        outcome, reason = Outcome.VOID, err.message
    except StageError as err:
        outcome, reason = _outcome_of(err, measured), err.message
    duration_s = time.monotonic() - start
    noise = noise_between(before, read_cpu_times())
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
        warnings=(*measured.warnings, *noise.warnings()),
        facts={**measured.facts, **_noise_facts(noise)},
    )


class _Measured:
    """What a run has found out so far; kept apart so that a failed run keeps its facts."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.traces: dict[str, tuple[float, ...]] = {}
        self.warnings: list[str] = []
        self.facts: dict[str, object] = {}
        self.crashed = False


def _run(bench: Bench, scheduled: ScheduledRun, evidence: Path, measured: _Measured) -> None:
    cell = scheduled.cell
    spec = machine_from_cell(bench.loaded.job, cell, bench.accelerator)
    fio = fio_from_cell(bench.loaded, bench.profile, cell, scheduled.seed)
    measured.facts.update(vcpus=spec.vcpus, iothreads=len(spec.iothreads))
    build = bench.builds[cell.arm]
    boot = GuestBoot(bench.image.kernel, bench.image.initrd, bench.image.cmdline)
    with booted(build.qemu, build.firmware, spec, boot, evidence=evidence, timeout_s=BOOT_TIMEOUT_S) as guest:
        measured.metrics["boot_s"] = guest.boot_s
        try:
            _prove(guest)
            _load(guest, fio, evidence, measured)
            guest.check_alive()
            _prove(guest)
        except StageError:
            measured.crashed = guest.process.exit_code() is not None
            raise


def _prove(guest: Guest) -> None:
    """Void the run unless every controller has the mapping that was asked for and QEMU did not fall back."""
    for controller in guest.spec.controllers:
        difference = mapping_difference(guest, controller)
        if difference is not None:
            raise VoidError(f"{controller.id} does not have the mapping that was asked for: {difference}")
    fallback = fallback_warning(guest.evidence)
    if fallback is not None:
        raise VoidError(f"QEMU runs on without IOThreads: {fallback}")


def _load(guest: Guest, fio: FioJob, evidence: Path, measured: _Measured) -> None:
    device = disk_device(guest.spec.controllers[0].model, 0)
    fio = fio.in_guest(device, vcpus=guest.spec.vcpus)
    text = fio.to_text()
    (evidence / "fio.job").write_text(text, encoding="utf-8")
    guest.shell.run(f"mkdir -p {_GUEST_DIR} && test -b {device}", timeout_s=20)
    guest.shell.put(text.encode(), f"{_GUEST_DIR}/job.fio")
    command = f"cd {_GUEST_DIR} && fio --output-format=json job.fio"
    timeout_s = fio.duration_s + _FIO_GRACE_S
    with readings_during(guest) as readings:
        try:
            said = guest.shell.run(command, timeout_s=timeout_s, check=False)
        except DeadlineError as err:
            raise WorkloadError(
                f"fio did not end {_FIO_GRACE_S:g} s after its time was over", evidence=evidence
            ) from err
    (evidence / "fio.json").write_text(said.stdout, encoding="utf-8")
    if said.stderr.strip():
        (evidence / "fio.stderr").write_text(said.stderr, encoding="utf-8")
    if said.exited != 0:
        tail = "\n".join((said.stderr or said.stdout).strip().splitlines()[-5:])
        raise WorkloadError(f"fio ended with exit status {said.exited}: {tail}", evidence=evidence / "fio.json")
    result = parse_fio_output(said.stdout, evidence=evidence / "fio.json")
    log = guest.shell.run(f"cat {_GUEST_DIR}/{TRACE_LOG}", timeout_s=20).stdout
    (evidence / "fio-iops.log").write_text(log, encoding="utf-8")
    measured.metrics.update(result.metrics())
    measured.traces["iops"] = parse_iops_log(log)
    measured.facts["fio_version"] = result.version
    cost = steady_cost(readings, guest.threads, ramp_time_s=fio.ramp_time_s, runtime_s=fio.runtime_s)
    if cost is None:
        measured.warnings.append("no CPU time per I/O: fewer than two readings of the steady part of the run")
    else:
        measured.metrics.update(metrics_from_cost(cost))
        measured.facts["cpu_ns_by_thread"] = dict(cost.cpu.by_name_ns)


def _outcome_of(err: StageError, measured: _Measured) -> Outcome:
    """Name the outcome: a QEMU that ended by itself outweighs what the lab noticed first."""
    if measured.crashed:
        return Outcome.QEMU_CRASHED
    if isinstance(err, BootError):
        return Outcome.BOOT_FAILED
    if isinstance(err, GuestError | DeadlineError | MonitorError):
        return Outcome.GUEST_HUNG
    if isinstance(err, WorkloadError):
        return Outcome.WORKLOAD_FAILED
    return Outcome.INFRASTRUCTURE


def _noise_facts(noise: HostNoise) -> dict[str, float]:
    return {"foreign_cpu_share": round(noise.foreign_share, 4), "steal_share": round(noise.steal_share, 4)}
