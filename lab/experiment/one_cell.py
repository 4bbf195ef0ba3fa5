"""A job and the name of a cell to everything that boots it: builds, image, accelerator, machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.build.arms import Arms
from lab.build.build import Build
from lab.errors import InputError
from lab.experiment.arms import ArmsRequest, arms_from_request, base_from_request
from lab.experiment.cells import cell_from_id
from lab.experiment.conduct import with_demonstration
from lab.experiment.job import LoadedJob, load_job
from lab.experiment.machines import machine_from_cell
from lab.experiment.storage import prepare_storage
from lab.experiment.without_guest import QTEST
from lab.host.accelerator import probe_accelerator
from lab.image.build import build_image
from lab.image.guest_image import GuestImage
from lab.machine.spec import MachineSpec
from lab.progress import Progress
from lab.record import Arm, Cell


@dataclass(frozen=True)
class OneCell:
    """A cell with what it is made of.

    :param build: of the cell's arm.
    """

    cell: Cell
    build: Build
    image: GuestImage
    spec: MachineSpec


def one_cell(
    job: Path, cell_id: str | None, arms: ArmsRequest, *, accelerator: str | None, progress: Progress
) -> OneCell:
    """Build what a cell needs, or take it from the cache.

    :param cell_id: as ``lab plan`` names it; None takes the first.
    :param arms: what is built; without a series the base for a cell of the baseline, else the job's own demonstration.
    :param accelerator: None takes the best that works.
    :raise InputError: the job, the cell, the tree or the series is wrong.
    :raise FindingError: the series does not build.
    :raise HostError: this host cannot build QEMU or boot a guest.
    :raise NotComparableError: the two builds differ in more than their source.
    """
    loaded = load_job(job)
    if loaded.job.tier == QTEST:
        raise InputError(f"{job}: tier {QTEST} boots no guest", remedy="take a job of the tier guest")
    cell = cell_from_id(loaded, cell_id)
    recipe = loaded.recipe()
    built = _arms(loaded, cell, arms, progress)
    image = build_image(recipe, progress=progress)
    if accelerator is None:
        baseline = built.baseline
        accelerator = probe_accelerator(baseline.qemu, baseline.firmware, image, progress=progress).accelerator
    build = built.baseline if cell.arm is Arm.BASELINE else built.candidate
    spec = machine_from_cell(loaded, cell, accelerator)
    prepare_storage((spec,), built.baseline.qemu_img, progress)
    return OneCell(cell, build, image, spec)


def _arms(loaded: LoadedJob, cell: Cell, arms: ArmsRequest, progress: Progress) -> Arms:
    """Build what the cell runs: a baseline cell needs no series, so none has to be named for it."""
    if cell.arm is Arm.BASELINE and not arms.names_a_series:
        return base_from_request(arms, progress=progress)
    return arms_from_request(with_demonstration(loaded, arms)[0], progress=progress)
