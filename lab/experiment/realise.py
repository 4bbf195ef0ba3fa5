"""A scheduled run to a record: boot the cell, prove it is what was asked for, load it, read it.

Whatever goes wrong becomes a recorded outcome with its reason and evidence; only Ctrl-C and bugs of the lab pass
through, and those leave no record.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
from lab.experiment.job import LoadedJob, ProfileTable
from lab.experiment.machines import fio_from_cell, machine_from_cell, mapping_warnings
from lab.host.noise import HostNoise, noise_between, read_cpu_times
from lab.image.guest_image import GuestImage
from lab.machine.command_line import GuestBoot
from lab.machine.cost import Reading, metrics_from_cost, readings_during, steady_cost
from lab.machine.guest import Guest, booted, disk_device, fallback_warning, mapping_difference
from lab.machine.guest_shell import ShellResult
from lab.record import Arm, Outcome, RunRecord, ScheduledRun
from lab.workload.fio_job import TRACE_LOG, FioJob
from lab.workload.fio_output import parse_fio_output
from lab.workload.fio_trace import parse_iops_log

BOOT_TIMEOUT_S = 60.0
_FIO_GRACE_S = 45.0
_ANSWER_S = 10.0
_DISK_S = 10
_LEAST_IOTHREAD_NS = 100
"""CPU time per request below which an IOThread served nothing; a request costs it a microsecond or more."""
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
    :raise HostError: this host cannot write the evidence; the run leaves no record.
    """
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    start = time.monotonic()
    before = read_cpu_times()
    measured = _Measured()
    outcome, reason = Outcome.OK, ""
    try:
        _run(bench, scheduled, evidence, measured)
    except StageError as err:
        outcome, reason = _outcome_of(err), err.message
    except OSError as err:
        raise HostError(
            f"the evidence of {scheduled.id} cannot be written: {err}", remedy="see that the disk is not full"
        ) from err
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


def _run(bench: Bench, scheduled: ScheduledRun, evidence: Path, measured: _Measured) -> None:
    cell = scheduled.cell
    spec = machine_from_cell(bench.loaded.job, cell, bench.accelerator)
    fio = fio_from_cell(bench.loaded, bench.profile, cell, scheduled.seed)
    measured.facts.update(vcpus=spec.vcpus, iothreads=len(spec.iothreads))
    measured.warnings += mapping_warnings(spec)
    build = bench.builds[cell.arm]
    boot = GuestBoot(bench.image.kernel, bench.image.initrd, bench.image.cmdline)
    with booted(build.qemu, build.firmware, spec, boot, evidence=evidence, timeout_s=BOOT_TIMEOUT_S) as guest:
        measured.metrics["boot_s"] = guest.boot_s
        try:
            _prove(guest)
            _load(guest, fio, evidence, measured)
            guest.check_alive()
            _prove(guest)
        except VoidError:
            raise
        except StageError as err:
            cause = guest.why(err)
            if cause is err:
                raise
            raise cause from err


def _prove(guest: Guest) -> None:
    """Void the run unless every controller has the mapping that was asked for and QEMU did not fall back."""
    for controller in guest.spec.controllers:
        difference = mapping_difference(guest, controller)
        if difference is not None:
            raise VoidError(f"{controller.id} does not have the IOThreads that were asked for: {difference}")
    fallback = fallback_warning(guest.evidence)
    if fallback is not None:
        raise VoidError(f"QEMU runs on without IOThreads: {fallback}")


def _load(guest: Guest, fio: FioJob, evidence: Path, measured: _Measured) -> None:
    device = disk_device(guest.spec.controllers[0].model, 0)
    _wait_for_disk(guest, device)
    fio = fio.in_guest(device, vcpus=guest.spec.vcpus)
    text = fio.to_text()
    (evidence / "fio.job").write_text(text, encoding="utf-8")
    guest.shell.run(f"mkdir -p {_GUEST_DIR}", timeout_s=20)
    guest.shell.put(text.encode(), f"{_GUEST_DIR}/job.fio")
    with readings_during(guest) as readings:
        said = _fio(guest, fio.duration_s + _FIO_GRACE_S)
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
    _add_cost(guest, fio, readings, evidence, measured)


def _wait_for_disk(guest: Guest, device: str) -> None:
    """Wait until the guest has found its disk, which it does on its own time.

    :raise WorkloadError: the guest answers, but there is no disk.
    """
    look = f"for i in $(seq {_DISK_S * 10}); do test -b {device} && exit 0; sleep 0.1; done; exit 1"
    if guest.shell.run(look, timeout_s=_DISK_S * 3, check=False).exited != 0:
        raise WorkloadError(f"{device} did not appear in the guest within {_DISK_S} s")


def _fio(guest: Guest, timeout_s: float) -> ShellResult:
    """Run fio in the guest.

    :raise GuestError: it did not end, and the guest does not answer either: the guest hangs.
    :raise WorkloadError: it did not end, but the guest answers: its disk hangs.
    """
    try:
        return guest.shell.run(f"cd {_GUEST_DIR} && fio --output-format=json job.fio", timeout_s=timeout_s, check=False)
    except DeadlineError as late:
        try:
            guest.shell.run("true", timeout_s=_ANSWER_S)
        except StageError as err:
            raise GuestError(f"the guest hung while fio ran: {late.message}") from err
        message = (
            f"fio did not end {_FIO_GRACE_S:g} s after its time was over, though the guest answers: its disk hangs"
        )
        raise WorkloadError(message) from late


def _add_cost(guest: Guest, fio: FioJob, readings: Sequence[Reading], evidence: Path, measured: _Measured) -> None:
    """Add CPU time per I/O, and void the run if the IOThreads that were asked for did nothing."""
    cost = steady_cost(readings, guest.threads, ramp_time_s=fio.ramp_time_s, runtime_s=fio.runtime_s)
    if cost is None:
        measured.warnings.append("no CPU time per I/O: fewer than two readings of the steady part of the run")
        return
    measured.metrics.update(metrics_from_cost(cost))
    threads = {
        "threads": {str(tid): name for tid, name in guest.threads.names.items()},
        "window_s": round(cost.seconds, 3),
        "requests": cost.requests,
        "cpu_ns": dict(cost.cpu.by_name_ns),
    }
    (evidence / "threads.json").write_text(json.dumps(threads, indent=2) + "\n", encoding="utf-8")
    served = any(c.iothread is not None or c.mapping is not None for c in guest.spec.controllers)
    if served and cost.cpu.iothreads_ns / cost.requests < _LEAST_IOTHREAD_NS:
        raise VoidError(
            "the IOThreads that were asked for spent no CPU time on the requests: another thread served them"
        )


def _outcome_of(err: StageError) -> Outcome:
    """Name the outcome of an error that ended a run."""
    outcomes: tuple[tuple[type[StageError] | tuple[type[StageError], ...], Outcome], ...] = (
        (VoidError, Outcome.VOID),
        (CrashError, Outcome.QEMU_CRASHED),
        (BootError, Outcome.BOOT_FAILED),
        ((GuestError, DeadlineError, MonitorError), Outcome.GUEST_HUNG),
        (WorkloadError, Outcome.WORKLOAD_FAILED),
    )
    return next((outcome for kind, outcome in outcomes if isinstance(err, kind)), Outcome.INFRASTRUCTURE)


def _noise_facts(noise: HostNoise) -> dict[str, float]:
    return {"foreign_cpu_share": round(noise.foreign_share, 4), "steal_share": round(noise.steal_share, 4)}
