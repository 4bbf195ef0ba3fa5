"""A build to whether it works at all: a guest boots with it, has the IOThreads that were asked for, and fio verifies.

The shortest real run there is. Nothing is measured: the disk is a small file with data in it, because a null backend
has none to verify, and fio writes it once, in random order, and reads every block back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.build.build import Build
from lab.build.patches import PatchBuild
from lab.errors import StageError, WorkloadError
from lab.experiment.job import LoadedJob
from lab.experiment.load import prove_mapping, wait_for_disk
from lab.experiment.machines import machine_from_cell
from lab.experiment.realise import BOOT_TIMEOUT_S, outcome_of
from lab.image.guest_image import GuestImage
from lab.machine.backend import Aio, Cache, FileBackend
from lab.machine.command_line import GuestBoot
from lab.machine.guest import Guest, booted
from lab.machine.spec import Disk, MachineSpec, disk_device
from lab.progress import Progress
from lab.record import Cell, Outcome
from lab.workload.fio_output import parse_fio_output

DISK_MIB = 16
_FIO_TIMEOUT_S = 60.0
_FIO_FILE = "/tmp/smoke.fio"  # noqa: S108 - a path in the guest, which has one user
_FIO_JOB = """\
[smoke]
filename={device}
ioengine=libaio
direct=1
iodepth=16
rw=randwrite
bs=4k
size={size_mib}m
verify=crc32c
verify_fatal=1
max_latency=20s
"""

Boot = Callable[..., Any]


@dataclass(frozen=True)
class Smoke:
    """What every build of a series is tried with.

    :param evidence: gets a folder for each build.
    """

    loaded: LoadedJob
    cell: Cell
    image: GuestImage
    accelerator: str
    evidence: Path


@dataclass(frozen=True)
class SmokeResult:
    """What became of trying one patch of a series.

    :param index: number of the patch; 0 is the base.
    :param outcome: None where it was not tried, because it does not build.
    :param reason: one sentence where the outcome is not ok.
    :param evidence: the folder with its logs.
    """

    index: int
    outcome: Outcome | None
    reason: str = ""
    evidence: Path | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any] | None:
        """Return the JSON object of one try; None where there was none."""
        if self.outcome is None:
            return None
        return {
            "outcome": self.outcome.value,
            "reason": self.reason or None,
            "evidence": str(self.evidence),
            "seconds": round(self.seconds, 2),
        }


def smoke_each(
    smoke: Smoke, patches: Sequence[PatchBuild], *, progress: Progress, boot: Boot = booted
) -> tuple[SmokeResult, ...]:
    """Try every build, in order; one that fails does not stop those after it.

    :param boot: starts the guest; tests give another one.
    """
    results = []
    with progress.stage(f"booting {len(patches)} builds", len(patches)) as stage:
        for done, patch in enumerate(patches):
            stage.update(done, note=f"patch {patch.index}")
            if patch.build is None:
                results.append(SmokeResult(patch.index, None))
                continue
            folder = smoke.evidence / f"patch-{patch.index}"
            folder.mkdir(parents=True, exist_ok=True)
            result = smoke_build(smoke, patch.build, folder, boot=boot)
            results.append(replace(result, index=patch.index))
            stage.update(done + 1)
    return tuple(results)


def smoke_build(smoke: Smoke, build: Build, evidence: Path, *, boot: Boot = booted) -> SmokeResult:
    """Boot a build, prove its mapping and let fio verify a small disk.

    :param evidence: an empty folder for its logs.
    """
    start = time.monotonic()
    disk = evidence / "disk.img"
    outcome, reason = Outcome.OK, ""
    try:
        with disk.open("wb") as sink:
            sink.truncate(DISK_MIB << 20)
        spec = _spec(smoke, disk)
        kernel = GuestBoot(smoke.image.kernel, smoke.image.initrd, smoke.image.cmdline)
        with boot(build.qemu, build.firmware, spec, kernel, evidence=evidence, timeout_s=BOOT_TIMEOUT_S) as guest:
            _try(guest)
    except StageError as err:
        outcome, reason = outcome_of(err), err.message
    finally:
        disk.unlink(missing_ok=True)
    return SmokeResult(0, outcome, reason, evidence, time.monotonic() - start)


def _spec(smoke: Smoke, disk: Path) -> MachineSpec:
    """Return the machine of the cell with the small file as its disk.

    ``aio=threads`` with the host's page cache: what can be opened on every file system.
    """
    spec = machine_from_cell(smoke.loaded, smoke.cell, smoke.accelerator)
    backend = FileBackend(disk, aio=Aio.THREADS, cache=Cache.WRITEBACK)
    first = replace(spec.controllers[0], disks=(Disk(spec.controllers[0].disks[0].id, backend),))
    return replace(spec, controllers=(first,))


def _try(guest: Guest) -> None:
    """Do what a working build survives.

    :raise StageError: it did not; which kind says how.
    """
    try:
        prove_mapping(guest, guest.evidence)
        _verify(guest)
        guest.check_alive()
        prove_mapping(guest, guest.evidence)
    except StageError as err:
        cause = guest.why(err)
        if cause is err:
            raise
        raise cause from err


def _verify(guest: Guest) -> None:
    device = disk_device(guest.spec.controllers[0].model, 0)
    wait_for_disk(guest, device)
    job = _FIO_JOB.format(device=device, size_mib=DISK_MIB)
    (guest.evidence / "fio.job").write_text(job, encoding="utf-8")
    guest.shell.put(job.encode(), _FIO_FILE)
    said = guest.shell.run(f"cd /tmp && fio --output-format=json {_FIO_FILE}", timeout_s=_FIO_TIMEOUT_S, check=False)
    (guest.evidence / "fio.json").write_text(said.stdout, encoding="utf-8")
    if said.exited != 0:
        tail = "\n".join((said.stderr or said.stdout).strip().splitlines()[-5:])
        raise WorkloadError(f"fio ended with exit status {said.exited}: {tail}", evidence=guest.evidence / "fio.json")
    result = parse_fio_output(said.stdout, evidence=guest.evidence / "fio.json")
    if result.read is None or result.read.total_ios == 0:
        raise WorkloadError("fio wrote but read nothing back", evidence=guest.evidence / "fio.json")
