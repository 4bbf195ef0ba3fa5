"""A running guest and an fio job to fio's numbers and the CPU time they cost."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from lab.errors import DeadlineError, GuestError, InputError, StageError, WorkloadError
from lab.machine.cost import Reading, metrics_from_cost, readings_during, steady_cost
from lab.machine.fairness import jain_index, served_by_queue
from lab.machine.guest import Guest, mapping_objection
from lab.machine.guest_clock import ClockRate, rate_between, read_clocks
from lab.machine.guest_settings import settle_guest
from lab.machine.guest_shell import ShellResult
from lab.machine.observe import expected_threads, unexpected_thread
from lab.machine.spec import MachineSpec
from lab.virtio.load.machine import LoadMachine
from lab.workload.fio_job import TRACE_LOG, FioJob
from lab.workload.fio_output import parse_fio_output
from lab.workload.fio_trace import iops_by_worker, parse_iops_log

_FAIRNESS = "queue_fairness"
_FIO_GRACE_S = 45.0
_ANSWER_S = 10.0
_DISK_S = 10
_ODD_CLOCK = 0.005
_VOID_CLOCK = 0.02
"""By how much the guest's clock may be off before a run is flagged, and before it does not count: the usual smallest
effect of a job, and half a hundredth."""
_GUEST_DIR = "/tmp/lab"  # noqa: S108 - a path in the guest, which has one user


class VoidError(StageError):
    """The run did not realise its cell: its numbers do not count."""


class Measured:
    """What a run has found out so far; kept apart so that a failed run keeps its facts."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.traces: dict[str, tuple[float, ...]] = {}
        self.warnings: list[str] = []
        self.facts: dict[str, object] = {}


def prove_mapping(machine: Guest | LoadMachine, evidence: Path) -> None:
    """Void the run unless every controller has the mapping that was asked for and QEMU did not fall back.

    :param evidence: the folder of the machine's logs.
    :raise VoidError: one has another mapping, or QEMU runs on without IOThreads.
    :raise MonitorError: QEMU does not answer.
    """
    objection = mapping_objection(machine, machine.spec.controllers, evidence)
    if objection is not None:
        raise VoidError(objection)


def load(guest: Guest, fio: FioJob, evidence: Path, measured: Measured) -> None:
    """Run fio in the guest and add its numbers, its trace and the CPU time per I/O to what was measured.

    :param evidence: gets fio's job, output and log, and who spent the CPU time.
    :raise WorkloadError: fio failed or did not end, its disk is not there, or its output holds no result.
    :raise GuestError: the guest hung, or a command in it failed.
    :raise DeadlineError: another command than fio did not end in time.
    :raise VoidError: the IOThreads that were asked for served nothing.
    """
    devices = guest.spec.guest_devices
    for device in devices:
        wait_for_disk(guest, device)
    measured.facts.update(settle_guest(guest.shell, guest.spec))
    fio = fio.in_guest(":".join(devices), vcpus=guest.spec.vcpus)
    text = fio.to_text()
    (evidence / "fio.job").write_text(text, encoding="utf-8")
    guest.shell.run(f"mkdir -p {_GUEST_DIR}", timeout_s=20)
    guest.shell.put(text.encode(), f"{_GUEST_DIR}/job.fio")
    before = read_clocks(guest.shell)
    with readings_during(guest) as readings:
        said = _fio(guest, fio.duration_s + _FIO_GRACE_S)
    after = read_clocks(guest.shell)
    (evidence / "fio.json").write_text(said.stdout, encoding="utf-8")
    if said.stderr.strip():
        (evidence / "fio.stderr").write_text(said.stderr, encoding="utf-8")
    if said.exited != 0:
        tail = "\n".join((said.stderr or said.stdout).strip().splitlines()[-5:])
        raise WorkloadError(f"fio ended with exit status {said.exited}: {tail}", evidence=evidence / "fio.json")
    result = parse_fio_output(said.stdout, evidence=evidence / "fio.json")
    one = f"{_GUEST_DIR}/{TRACE_LOG.format(worker='$worker')}"
    each = f"for worker in $(seq {fio.numjobs}); do cat {one} || exit 1; echo; done"
    log = guest.shell.run(each, timeout_s=20).stdout
    (evidence / "fio-iops.log").write_text(log, encoding="utf-8")
    measured.metrics.update(result.metrics())
    measured.traces["iops"] = parse_iops_log(log)
    measured.facts["fio_version"] = result.version
    _add_fairness(guest.spec, fio, log, measured)
    _check_clock(rate_between(before, after), measured)
    _add_cost(guest, fio, readings, evidence, measured)


def _check_clock(clock: ClockRate, measured: Measured) -> None:
    """Void the run if a second of the guest was none, for fio counts by the guest's seconds.

    :raise VoidError: the guest's clock was wrong by more than a fiftieth.
    """
    measured.facts["guest_clock_rate"] = round(clock.rate, 4)
    if clock.is_off(_VOID_CLOCK):
        raise VoidError(
            f"the guest's clock ran {clock.rate:.2f} times as fast as the host's: fio's numbers per second are wrong;"
            " a busy host makes Linux measure its clock wrong while it boots"
        )
    if clock.is_off(_ODD_CLOCK):
        measured.warnings.append("the guest's clock ran at another rate than the host's: numbers per second are off")


def wait_for_disk(guest: Guest, device: str) -> None:
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


def _add_cost(guest: Guest, fio: FioJob, readings: Sequence[Reading], evidence: Path, measured: Measured) -> None:
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
    mapped, loaded = expected_threads(guest.spec, _pinned_workers(fio, guest.spec.vcpus))
    strange = unexpected_thread(cost, [thread.id for thread in guest.spec.iothreads], mapped, loaded)
    if strange is not None:
        raise VoidError(strange)


def check_fairness(metrics: Collection[str], spec: MachineSpec, fio: FioJob) -> None:
    """Make sure that a cell has the fairness that its job judges.

    :param metrics: names of what is judged.
    :raise InputError: it is not known there which worker fills which virtqueue, or only one virtqueue is filled.
    """
    if _FAIRNESS not in metrics:
        return
    workers = _pinned_workers(fio.in_guest("disk", vcpus=spec.vcpus), spec.vcpus)
    if len(_served(spec, [1.0] * workers)) < 2:
        raise InputError(
            f"there is no {_FAIRNESS} to judge: it needs a single controller, two virtqueues or more that workers "
            "fill, and a fio job that does not say cpus_allowed",
            remedy="raise numjobs or num_queues, or judge something else",
        )


def _add_fairness(spec: MachineSpec, fio: FioJob, log: str, measured: Measured) -> None:
    """Add how evenly the virtqueues were served, where it is known which worker fills which.

    :raise WorkloadError: the log holds something else than the workers' lines.
    """
    workers = _pinned_workers(fio, spec.vcpus)
    if not workers:
        return
    fairness = jain_index(_served(spec, iops_by_worker(log, workers)).values())
    if fairness is not None:
        measured.metrics[_FAIRNESS] = fairness


def _served(spec: MachineSpec, by_worker: Sequence[float]) -> dict[int, float]:
    """Return what each virtqueue completed; nothing with several controllers, of which a worker fills all."""
    if len(spec.controllers) != 1:
        return {}
    return served_by_queue(by_worker, spec.controllers[0].num_queues, spec.vcpus)


def _pinned_workers(fio: FioJob, vcpus: int) -> int:
    """Return how many workers fill the queues of vCPU 0, 1 and so on; 0 where the job itself says where they run."""
    options = {**dict(fio.general), **dict(fio.own)}
    ours = options.get("cpus_allowed_policy") == "split" and options.get("cpus_allowed") in ("0", f"0-{vcpus - 1}")
    return fio.numjobs if ours else 0
