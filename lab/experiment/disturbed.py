"""A run of a job with a ``[scenario]``: a cell is loaded, disturbed and verified, and what that cost is measured.

The disk is a new sparse file for each run: scenarios grow it, mirror it away and put overlays on it, and the next run
must not find what the last one left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from lab.build.build import Build
from lab.errors import CrashError, InputError, StageError
from lab.experiment.job_tables import Job, ScenarioTable
from lab.experiment.load import Measured, VoidError, wait_for_disk
from lab.image.guest_image import GuestImage
from lab.machine.backend import FileBackend, ImageFormat
from lab.machine.command_line import GuestBoot
from lab.machine.guest import Guest, booted
from lab.machine.guest_settings import settle_guest
from lab.machine.guest_shell import RunKey
from lab.machine.mapping import iothreads_named
from lab.machine.spec import MachineSpec
from lab.scenario.catalogue import SCENARIOS, Scenario
from lab.scenario.load import Load
from lab.scenario.metrics import TRACE, even_trace, events_from_seen, gap_warnings, metrics_from_seen
from lab.scenario.perform import warnings_of
from lab.scenario.play import play
from lab.scenario.site import Site, image_folder, keyed, new_image
from lab.scenario.stage import Stage
from lab.scenario.verdict import Seen
from lab.virtio.verdict import Verdict
from lab.workload.fio_job import FioJob

_READS = ("read", "randread")


class ScenarioFailedError(StageError):
    """The machine did not take the scenario: a finding."""


@dataclass(frozen=True)
class Performance:
    """One run of a job with a scenario.

    :param fio: the cell's; it says how the disk is read, and with its times how long before and afterwards.
    :param evidence: an empty folder.
    :param boot_s: how long a boot may take, in seconds.
    :param placed: puts the guest's threads where the plan wants them.
    :param kept: makes sure that they are still there.
    :param watched: what watches the host meanwhile.
    """

    table: ScenarioTable
    build: Build
    image: GuestImage
    spec: MachineSpec
    fio: FioJob
    evidence: Path
    boot_s: float
    placed: Callable[[Guest], None]
    kept: Callable[[Guest], None]
    watched: Callable[[], AbstractContextManager[None]]


def check_stage(job: Job, spec: MachineSpec, fio: FioJob) -> None:
    """Make sure that the machine of a cell takes the job's scenario; a job without one takes anything.

    :raise InputError: it does not; the message says what it needs.
    """
    if job.scenario is None:
        return
    scenario = SCENARIOS[job.scenario.name]
    needs = next(_lacking(scenario, spec, fio), None)
    if needs is not None:
        raise InputError(f"scenario {scenario.name} needs {needs}", remedy="docs/scenarios.md")


def run_disturbed(run: Performance, measured: Measured) -> None:
    """Boot a cell, perform its scenario, and add what it cost to what was measured.

    :raise ScenarioFailedError: the machine did not take it.
    :raise VoidError: the numbers do not count: the guest's clock was wrong, or there is no second to compare with.
    :raise StageError: nothing can be said: the guest did not boot, or fell silent.
    :raise OSError: the evidence cannot be written.
    """
    scenario = SCENARIOS[run.table.name]
    seen = Seen()
    measured.facts.update(scenario=scenario.name, scenario_times=run.table.times)
    try:
        _play(run, scenario, seen, measured)
    except VoidError:
        raise
    except StageError as err:
        verdict, reason = seen.judge(err)
        if verdict is not Verdict.FAILED or isinstance(err, CrashError):
            raise
        raise ScenarioFailedError(reason, evidence=err.evidence) from err
    finally:
        measured.warnings += warnings_of(seen, run.evidence)
    _add_numbers(scenario, seen, run.evidence, measured)


def _lacking(scenario: Scenario, spec: MachineSpec, fio: FioJob) -> Iterator[str]:
    """Yield what a scenario needs and a machine does not have."""
    if len(spec.disks) != 1:
        yield f"one controller with one disk, not {len(spec.disks)} disks"
        return
    (controller,) = spec.controllers
    (disk,) = controller.disks
    if controller.model not in scenario.devices:
        yield f'device = "{scenario.devices[0].value}"'
    backend = disk.backend
    if not (isinstance(backend, FileBackend) and backend.made_by_lab and backend.format is ImageFormat.RAW):
        yield 'driver = "raw" without a path: each run gets an image of its own, which is written'
    if disk.filters:
        yield "a disk without throttle and blkdebug filters"
    if scenario.plugs_pci and not (spec.machine_type == "pc" or spec.machine_type.startswith("pc-i440fx")):
        yield 'machine_type = "pc": the root bus of q35 takes no new devices'
    if scenario.needs_iothread and not iothreads_named(controller.mapping, controller.iothread):
        yield "a disk that is served by an IOThread"
    if fio.rw not in _READS or fio.numjobs != 1:
        yield f"a fio job with one worker that reads, not {fio.numjobs} of rw={fio.rw}: the lab writes beside it"


def _play(run: Performance, scenario: Scenario, seen: Seen, measured: Measured) -> None:
    key = RunKey.new()
    boot = GuestBoot(run.image.kernel, run.image.initrd, run.image.cmdline)
    with ExitStack() as stack:
        scratch = stack.enter_context(image_folder())
        (disk,) = run.spec.disks
        assert isinstance(disk.backend, FileBackend)  # as check_stage made sure
        disk_file = new_image(scratch, disk.backend.size_bytes)
        spec = _with_image(run.spec, disk_file)
        qemu, firmware = run.build.qemu, run.build.firmware
        guest = stack.enter_context(
            booted(qemu, firmware, spec, boot, evidence=run.evidence, timeout_s=run.boot_s, key=key)
        )
        measured.metrics["boot_s"] = guest.boot_s
        run.placed(guest)
        (device,) = spec.guest_devices
        wait_for_disk(guest, device)
        measured.facts.update(settle_guest(guest.shell, spec))
        reads = {**dict(run.fio.general), **dict(run.fio.own)}
        load = Load(guest.shell, device, run.evidence, reads=reads)
        site = Site(qemu, firmware, keyed(boot, key), key, disk_file, scratch, run.evidence)
        stage = Stage(guest, load, site, stack)
        times, ramp_s, watch_s = run.table.times, run.fio.ramp_time_s, run.fio.runtime_s
        with run.watched():
            play(scenario, stage, seen, times=times, ramp_s=ramp_s, watch_s=watch_s)
        if stage.guest_ended:
            return
        if stage.guest.process is guest.process:
            run.kept(guest)
        else:
            measured.warnings.append("the QEMU that the guest was migrated to is not pinned")


def _add_numbers(scenario: Scenario, seen: Seen, evidence: Path, measured: Measured) -> None:
    """Add metrics, trace and marks.

    :raise VoidError: a scenario that has a gap shows none.
    """
    if seen.clock_is_wrong and seen.clock is not None:
        raise VoidError(
            f"the guest's clock ran {seen.clock.rate:.2f} times as fast as the host's: nothing can be said of the gaps"
        )
    gaps = seen.gaps()
    if scenario.has_gaps and len(gaps) < len(seen.marks):
        raise VoidError("the trace does not show every disturbance with a second before it, so the gap is not known")
    measured.metrics.update(metrics_from_seen(seen))
    measured.warnings += gap_warnings(gaps)
    trace = even_trace(seen.trace)
    if trace:
        measured.traces[TRACE] = trace
    if seen.clock is not None:
        measured.facts["guest_clock_rate"] = round(seen.clock.rate, 4)
    measured.facts.update(
        events=events_from_seen(seen),
        gaps=[gap.to_json() for gap in gaps],
        requests_completed=seen.completed,
        requests_failed=0,  # a single one fails the scenario
    )
    (evidence / "gaps.json").write_text(json.dumps(measured.facts["gaps"], indent=2) + "\n", encoding="utf-8")


def _with_image(spec: MachineSpec, path: Path) -> MachineSpec:
    (controller,) = spec.controllers
    (disk,) = controller.disks
    assert isinstance(disk.backend, FileBackend)
    backend = replace(disk.backend, path=path)
    return replace(spec, controllers=(replace(controller, disks=(replace(disk, backend=backend),)),))
