"""One scenario on one binary, in a small machine of its own: a verdict with evidence, whatever happens."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import HostError, StageError
from lab.image.guest_image import GuestImage
from lab.machine.backend import FileBackend
from lab.machine.command_line import GuestBoot
from lab.machine.guest import CONSOLE_LOG, booted
from lab.machine.guest_shell import RunKey
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.process import tail_of
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, disk_device, iothread_ids
from lab.scenario.catalogue import Scenario
from lab.scenario.kernel_log import stall_lines, warning_lines
from lab.scenario.load import DISK_MIB, Load
from lab.scenario.metrics import even_readings
from lab.scenario.play import play
from lab.scenario.service import Mark, Reading, ServiceGap
from lab.scenario.site import Site, image_folder, keyed, new_image
from lab.scenario.stage import Stage
from lab.scenario.verdict import Seen
from lab.virtio.verdict import Verdict

_BOOT_S = 90.0
_VCPUS = 2
_MEMORY_MIB = 512
_IOTHREADS = 2


@dataclass(frozen=True)
class ScenarioResult:
    """One scenario on one binary.

    :param reason: one sentence where it did not pass.
    :param times: how often it was done.
    :param evidence: folder with command line, logs, fio's output.
    :param seconds: all of it, boot and verification included.
    :param trace: completed requests, a reading every 100 ms.
    :param warnings: what a reader should know beside the verdict.
    :param scenario_s: what was done took this long on the host's clock, pauses for the load left out.
    :param paused_s: the guest's CPUs were stopped for this long.
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
    scenario_s: float = 0.0
    paused_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object, its trace included, with a reading where nothing completed."""
        return {
            "scenario": self.name,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "times": self.times,
            "seconds": round(self.seconds, 2),
            "evidence": str(self.evidence),
            "scenario_s": round(self.scenario_s, 3),
            "paused_s": round(self.paused_s, 3),
            "completed": self.completed,
            "gaps": [gap.to_json() for gap in self.gaps],
            "marks": [{"event": mark.name, "at_s": round(mark.at_s, 3)} for mark in self.marks],
            "trace": [[round(reading.at_s, 3), reading.iops] for reading in even_readings(self.trace)],
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
    :param evidence: an empty folder; gets logs and traces, never an image.
    :return: the result, whatever happened to the guest.
    :raise HostError: this host cannot write the evidence.
    """
    start = time.monotonic()
    seen = Seen()
    verdict, reason = Verdict.PASSED, ""
    try:
        _perform(scenario, ground, times, evidence, seen)
    except StageError as err:
        verdict, reason = seen.judge(err)
    except OSError as err:
        raise HostError(f"the evidence of {scenario.name} cannot be written: {err}") from err
    return ScenarioResult(
        name=scenario.name,
        verdict=verdict,
        reason=reason,
        times=scenario.turns(times),
        seconds=time.monotonic() - start,
        evidence=evidence,
        completed=seen.completed,
        gaps=seen.gaps(),
        marks=tuple(seen.marks),
        trace=seen.trace,
        warnings=warnings_of(seen, evidence),
        scenario_s=seen.seconds,
        paused_s=seen.paused_s,
    )


def warnings_of(seen: Seen, evidence: Path) -> tuple[str, ...]:
    """Return what a reader should know beside the verdict.

    :param evidence: with the console that the guest was booted with.
    """
    console = tail_of(evidence / CONSOLE_LOG)
    found = [f"the guest's CPUs did not run for a while: {line}" for line in stall_lines(console)]
    found += [f"the guest's kernel warns and goes on: {line}" for line in warning_lines(console)]
    if seen.clock is not None and seen.clock_is_wrong:
        found.append(
            f"the guest's clock ran {seen.clock.rate:.2f} times as fast as the host's, so nothing is said of durations"
        )
    return tuple(found)


def _perform(scenario: Scenario, ground: Ground, times: int, evidence: Path, seen: Seen) -> None:
    key = RunKey.new()
    boot = GuestBoot(ground.image.kernel, ground.image.initrd, ground.image.cmdline)
    with ExitStack() as stack:
        scratch = stack.enter_context(image_folder())
        disk_file = new_image(scratch, DISK_MIB << 20)
        spec = _spec(ground, disk_file)
        guest = stack.enter_context(
            booted(ground.qemu, ground.firmware, spec, boot, evidence=evidence, timeout_s=_BOOT_S, key=key)
        )
        site = Site(ground.qemu, ground.firmware, keyed(boot, key), key, disk_file, scratch, evidence)
        load = Load(guest.shell, disk_device(ground.device, 0), evidence)
        play(scenario, Stage(guest, load, site, stack), seen, times=times)


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
