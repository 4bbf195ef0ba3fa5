"""One scenario on one binary: boot, load, disturb, verify; a verdict with evidence, whatever happens.

A guest that falls silent is looked at before it is judged: *late* is not *never*. A QEMU that sleeps although something
is owed hangs, and so does one that keeps a CPU busy and gets nowhere; one that was not given CPU time decides nothing.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from lab.errors import BootError, CrashError, DeadlineError, GuestError, HostError, MonitorError, StageError
from lab.image.guest_image import GuestImage
from lab.machine.backend import FileBackend
from lab.machine.command_line import GuestBoot
from lab.machine.guest import CONSOLE_LOG, Guest, booted, disk_device, fallback_warning, mapping_difference
from lab.machine.guest_shell import RunKey
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.process import tail_of
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, iothread_ids
from lab.scenario.catalogue import Scenario
from lab.scenario.kernel_log import broken_lines, stall_lines
from lab.scenario.load import DISK_MIB, Load
from lab.scenario.service import Mark, Reading, ServiceGap, gaps_of
from lab.scenario.stage import ScenarioError, Site, Stage
from lab.virtio.tmf.watchdog import Stall, WatchedProcess, wait_or_stall

_BOOT_S = 90.0
_VCPUS = 2
_MEMORY_MIB = 512
_IOTHREADS = 2
_LOOK_S = 20.0
_SETTLE_S = 1.5


class Verdict(StrEnum):
    """What became of a scenario."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class ScenarioResult:
    """One scenario on one binary.

    :param reason: one sentence where it did not pass.
    :param times: how often it was done.
    :param evidence: folder with command line, logs, fio's output.
    :param trace: completed requests, a reading every 100 ms.
    :param warnings: what a reader should know beside the verdict.
    """

    name: str
    verdict: Verdict
    reason: str
    times: int
    seconds: float
    evidence: Path
    completed: int = 0
    gaps: tuple[ServiceGap, ...] = ()
    marks: tuple[Mark, ...] = ()
    trace: tuple[Reading, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object, its trace included."""
        return {
            "scenario": self.name,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "times": self.times,
            "seconds": round(self.seconds, 2),
            "evidence": str(self.evidence),
            "completed": self.completed,
            "gaps": [gap.to_json() for gap in self.gaps],
            "marks": [{"event": mark.name, "at_s": round(mark.at_s, 3)} for mark in self.marks],
            "trace": [[round(reading.at_s, 3), reading.iops] for reading in self.trace],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Ground:
    """What scenarios are performed on.

    :param qemu: the binary.
    :param firmware: folders for ``-L``.
    :param device: of the disk that is loaded.
    """

    qemu: Path
    firmware: tuple[Path, ...]
    image: GuestImage
    accelerator: str
    device: Device = Device.VIRTIO_SCSI


def perform(scenario: Scenario, ground: Ground, *, times: int, evidence: Path) -> ScenarioResult:
    """Perform a scenario in a fresh guest.

    :param times: how often, in the same guest, where the scenario can be repeated.
    :param evidence: an empty folder; images that were made are removed from it, logs stay.
    :return: the result, whatever happened to the guest.
    :raise HostError: this host cannot write the evidence.
    """
    start = time.monotonic()
    times = times if scenario.repeatable else 1
    seen = _Seen()
    verdict, reason = Verdict.PASSED, ""
    try:
        _perform(scenario, ground, times, evidence, seen)
    except StageError as err:
        verdict, reason = seen.judge(err)
    except OSError as err:
        raise HostError(f"the evidence of {scenario.name} cannot be written: {err}") from err
    finally:
        shutil.rmtree(evidence / "scratch", ignore_errors=True)
    stalls = stall_lines(tail_of(evidence / CONSOLE_LOG))
    return ScenarioResult(
        scenario.name,
        verdict,
        reason,
        times,
        time.monotonic() - start,
        evidence,
        seen.completed,
        gaps_of(seen.trace, seen.marks),
        tuple(seen.marks),
        seen.trace,
        tuple(f"the guest's CPUs did not run for a while: {line}" for line in stalls),
    )


class _Seen:
    """What has been found out so far; kept apart so that a scenario that failed keeps it."""

    def __init__(self) -> None:
        self.completed = 0
        self.trace: tuple[Reading, ...] = ()
        self.marks: Sequence[Mark] = ()
        self.hang: str | None = None

    def judge(self, err: StageError) -> tuple[Verdict, str]:
        """Return verdict and reason for what ended a scenario."""
        if isinstance(err, BootError):
            return Verdict.UNDECIDED, err.message
        if isinstance(err, DeadlineError | GuestError | MonitorError) and not isinstance(err, CrashError):
            return (Verdict.FAILED, f"{self.hang}: {err.message}") if self.hang else (Verdict.UNDECIDED, err.message)
        return Verdict.FAILED, err.message


def _perform(scenario: Scenario, ground: Ground, times: int, evidence: Path, seen: _Seen) -> None:
    scratch = evidence / "scratch"
    scratch.mkdir()
    disk_file = scratch / "disk0.raw"
    disk_file.touch()
    os.truncate(disk_file, DISK_MIB << 20)
    spec = _spec(ground, disk_file)
    key = RunKey.new()
    boot = GuestBoot(ground.image.kernel, ground.image.initrd, ground.image.cmdline)
    keyed = GuestBoot(boot.kernel, boot.initrd, f"{boot.arguments} lab.key={key.public}")
    site = Site(ground.qemu, ground.firmware, keyed, key, disk_file, scratch, evidence)
    with (
        ExitStack() as stack,
        booted(ground.qemu, ground.firmware, spec, boot, evidence=evidence, timeout_s=_BOOT_S, key=key) as guest,
    ):
        stage = Stage(guest, Load(guest.shell, disk_device(ground.device, 0), evidence), site, stack)
        seen.marks = stage.marks
        try:
            _prove(guest)
            stage.load.prepare()
            stage.load.start()
            for number in range(times):
                scenario.perform(stage, number)
            if not stage.guest_ended:
                stage.settle(_SETTLE_S)
                result = stage.load.stop()
                seen.completed, seen.trace = result.completed, result.trace
                _prove(stage.guest)
                _check_kernel_log(stage)
        except StageError as err:
            cause = stage.guest.why(err)
            seen.hang = _hang_of(stage.guest, cause)
            raise cause from err


def _spec(ground: Ground, disk_file: Path) -> MachineSpec:
    """Return a small machine whose PCI bus takes new devices: the root bus of ``pc`` does, that of ``q35`` does not."""
    ids = iothread_ids(_IOTHREADS)
    controller = Controller(
        "ctl0",
        ground.device,
        _VCPUS,
        (Disk("disk0", FileBackend(disk_file, made_by_lab=True, size_bytes=DISK_MIB << 20)),),
        IOThreadMapping.round_robin(ids),
    )
    return MachineSpec(
        accelerator=ground.accelerator,
        vcpus=_VCPUS,
        memory_mib=_MEMORY_MIB,
        iothreads=tuple(IOThread(name) for name in ids),
        controllers=(controller,),
        machine_type="pc",
    )


def _prove(guest: Guest) -> None:
    """Make sure that the mapping is what was asked for, before and after.

    :raise ScenarioError: it is another one, or QEMU runs on without IOThreads.
    """
    for controller in guest.spec.controllers:
        difference = mapping_difference(guest, controller)
        if difference is not None:
            raise ScenarioError(f"{controller.id} does not have the mapping that was asked for: {difference}")
    fallback = fallback_warning(guest.evidence)
    if fallback is not None:
        raise ScenarioError(f"QEMU runs on without IOThreads: {fallback}")


def _check_kernel_log(stage: Stage) -> None:
    """Make sure that the guest's kernel had nothing to complain about.

    :raise ScenarioError: it had; the message holds its first words.
    """
    for folder in {stage.site.evidence, stage.guest.evidence}:
        broken = broken_lines(tail_of(folder / CONSOLE_LOG))
        if broken:
            raise ScenarioError(f"the guest's kernel complained: {broken[0]}", evidence=folder / CONSOLE_LOG)


def _hang_of(guest: Guest, err: StageError) -> str | None:
    """Look at a QEMU whose guest or monitor fell silent, and say how it hangs; None where it may be slow only.

    A guest without KVM keeps its CPUs busy by itself, so a busy QEMU proves nothing, unless its main loop does not
    answer either.
    """
    if isinstance(err, ScenarioError) or not isinstance(err, DeadlineError | GuestError | MonitorError):
        return None
    stall = wait_or_stall(WatchedProcess(guest.process), lambda: False, patience_s=0.5, limit_s=_LOOK_S)
    if stall in (Stall.ASLEEP, Stall.EXITED):
        return stall.value
    try:
        guest.monitor.execute("query-status", timeout_s=_LOOK_S)
    except StageError:
        return "QEMU's main loop does not answer" if stall is Stall.SPINNING else None
    return None
