"""A request to a finished results folder: sources, builds, image, accelerator, schedule, runs.

Everything that can be wrong with the request is found before the first build; everything that can be wrong with the
host before the first boot.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lab.build.arms import Arms
from lab.build.build import Build
from lab.errors import HostError, InputError
from lab.experiment.arms import ArmsRequest, arms_from_request, series_from_request
from lab.experiment.cells import checked_cells
from lab.experiment.host_state import check_tuning, host_settings
from lab.experiment.job import LoadedJob, ProfileTable, load_job
from lab.experiment.job_host import Pin
from lab.experiment.machines import machine_from_cell
from lab.experiment.placement import plan_for_job
from lab.experiment.preflight import checked_arms
from lab.experiment.proofs import Proofs, prove_cells
from lab.experiment.question import Choices, question_text
from lab.experiment.realise import Bench, realise
from lab.experiment.resume import Asked, begin_or_resume, unfinished
from lab.experiment.runner import run_schedule
from lab.experiment.storage import prepare_storage
from lab.experiment.store import ResultsFolder
from lab.experiment.without_guest import NO_GUEST, QTEST, is_counted
from lab.host.accelerator import probe_accelerator
from lab.host.accelerator_choice import AcceleratorChoice
from lab.host.cpu_plan_show import plan_to_json
from lab.host.exclusive import host_lock
from lab.host.facts import fingerprint, host_facts
from lab.host.packages import require_packages
from lab.host.requirements import VALGRIND
from lab.image.build import build_image
from lab.image.guest_image import GuestImage
from lab.image.recipe import Recipe
from lab.progress import Progress
from lab.record import Arm, Cell, Point, RunRecord, ScheduledRun
from lab.settings import project_dir

_BOOT_AND_STOP_S, _START_AND_STOP_S, _COUNT_S = 4.5, 0.5, 6.0
"""What a run takes beside fio, and beside a load without a guest; what a count of instructions takes in all."""


@dataclass(frozen=True)
class Request:
    """What ``lab run`` was asked.

    :param results: the folder to write or to go on with; None lets the lab choose below ``results/``.
    :param arms: sources, base and series.
    :param accelerator: ``kvm`` or ``tcg`` to insist on one; None takes the best that works.
    :param seed: of the schedule; None draws one.
    :param pin: how threads are put on CPUs; None leaves it to the job.
    :param tune: set the host up for measuring, and put everything back after the last run.
    :param wait: wait for whoever holds this host, rather than refuse.
    :param command: what was typed, for the report's "run it again".
    :param prove: prove the mapping of every cell before anything is measured.
    :param built: the two builds, where the caller made them already (a step of a bisection).
    :param points: only these; none means all of the job.
    :param blocks: how many, instead of the profile's.
    :param control: what a campaign of ``lab calibrate`` compares the base with; empty for an experiment.
    :param candidate_latency_ns: slows the candidate's backend down on purpose, for a calibration.
    """

    job: Path
    arms: ArmsRequest
    results: Path | None = None
    profile: str | None = None
    accelerator: str | None = None
    seed: int | None = None
    command: str = ""
    prove: bool = False
    pin: Pin | None = None
    tune: bool = False
    wait: bool = False
    built: Arms | None = None
    points: tuple[Point, ...] = ()
    blocks: int | None = None
    control: str = ""
    candidate_latency_ns: int = 0

    def chosen(self, cells: Sequence[Cell]) -> tuple[Cell, ...]:
        """Return the cells of the points that were asked for."""
        return tuple(cell for cell in cells if not self.points or cell.point in self.points)


@dataclass(frozen=True)
class Conducted:
    """An experiment whose runs are all done.

    :param known_verdict: what a demonstration must get, empty for any other experiment.
    """

    folder: Path
    records: tuple[RunRecord, ...]
    known_verdict: str


def conduct(request: Request, progress: Progress) -> Conducted:
    """Run or resume an experiment.

    :raise InputError: the job, the series or the folder is wrong.
    :raise HostError: this host lacks what is needed, cannot be tuned or put back, or is in use by another experiment.
    :raise FindingError: the series does not build.
    :raise NotComparableError: the two builds differ in more than their source.
    """
    loaded = load_job(request.job)
    profile_name, profile = loaded.profile(request.profile)
    arms_request, known_verdict = _arms_of(request, loaded)
    _check_accelerator(request, loaded)
    cells, warnings = checked_cells(loaded, profile)
    for warning in warnings:
        progress.say(f"warning: {warning}")
    plan = plan_for_job(loaded, cells, pin=request.pin)
    recipe = loaded.recipe()
    require_packages()
    if is_counted(loaded):
        require_packages(wanted=(VALGRIND,))
    # Read before the host is waited for, which may take hours: a wrong name is told at once.
    series = None if request.built else series_from_request(arms_request)
    with ExitStack() as stack:
        stack.enter_context(host_lock("run an experiment", waiting=progress if request.wait else None))
        check_tuning(tune=request.tune, progress=progress)
        folder = None
        if request.results is not None:  # a folder that cannot be written is found before the builds
            folder = stack.enter_context(ResultsFolder(request.results))
        arms = request.built or arms_from_request(arms_request, progress=progress, series=series)
        accelerator, reason, image = _ground(request, loaded, recipe, arms.baseline, progress)
        arms = checked_arms(loaded, request.chosen(cells), arms, accelerator, progress)
        machines = [machine_from_cell(loaded, cell, accelerator) for cell in request.chosen(cells)]
        prepare_storage(machines, arms.baseline.qemu_img, progress)
        settings = stack.enter_context(host_settings(plan, tune=request.tune, progress=progress))
        host = _host_json(reason, accelerator, image) | {"settings": settings.to_json(), "cpu_plan": plan_to_json(plan)}
        choices = _choices(request, loaded, profile_name, image, accelerator)
        asked = Asked(question_text(loaded, choices), choices, host, arms.to_json())
        if folder is None:
            results = project_dir() / "results"
            folder = stack.enter_context(ResultsFolder(unfinished(asked, results) or results / choices.id))
        begin_or_resume(folder, asked, request.chosen(cells), seed=request.seed, progress=progress)
        bench = Bench(
            loaded,
            profile,
            {Arm.BASELINE: arms.baseline, Arm.CANDIDATE: arms.candidate},
            image,
            accelerator,
            str(host["fingerprint"]),
            plan,
            candidate_latency_ns=request.candidate_latency_ns,
        )
        prove = request.prove and accelerator != QTEST  # without a guest each run proves its own
        proofs = prove_cells(bench, request.chosen(cells), folder, progress) if prove else Proofs()
        records = run_schedule(
            folder,
            proofs.guarding(partial(_realise, bench), bench),
            expected_run_s=expected_run_s(loaded, profile),
            progress=progress,
        )
    return Conducted(folder.path, records, known_verdict)


def expected_run_s(loaded: LoadedJob, profile: ProfileTable) -> float:
    """Return the seconds that a run takes, for the first estimate only."""
    if is_counted(loaded):
        return _COUNT_S
    beside = _START_AND_STOP_S if loaded.job.tier == QTEST else _BOOT_AND_STOP_S
    return profile.runtime_s + profile.ramp_time_s + beside


def _ground(
    request: Request, loaded: LoadedJob, recipe: Recipe, baseline: Build, progress: Progress
) -> tuple[str, str, GuestImage]:
    """Return the accelerator, why it is that one, and the guest image; the tier qtest needs neither of them."""
    if loaded.job.tier == QTEST:
        return QTEST, "the job's tier needs no guest", NO_GUEST
    image = build_image(recipe, progress=progress)
    choice = probe_accelerator(baseline.qemu, baseline.firmware, image, progress=progress)
    return _accelerator(request.accelerator, choice), choice.reason, image


def _realise(bench: Bench, run: ScheduledRun, attempt: int, evidence: Path) -> RunRecord:
    return realise(bench, run, attempt=attempt, evidence=evidence)


def _choices(request: Request, loaded: LoadedJob, profile_name: str, image: GuestImage, accelerator: str) -> Choices:
    """Return what is asked beside the job file."""
    arms_request, known_verdict = _arms_of(request, loaded)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return Choices(
        id=request.results.name if request.results else f"{loaded.name}-{profile_name}-{stamp}",
        job=loaded.name,
        profile=profile_name,
        seed=request.seed if request.seed is not None else random.SystemRandom().getrandbits(31),
        series=arms_request.series_name,
        image=image.key,
        accelerator=accelerator,
        fio=loaded.fio.to_text(),
        known_verdict=known_verdict,
        command=request.command,
        control=request.control,
        candidate_latency_ns=request.candidate_latency_ns,
        blocks=request.blocks or loaded.profile(profile_name)[1].blocks,
    )


def _arms_of(request: Request, loaded: LoadedJob) -> tuple[ArmsRequest, str]:
    """Return what is built and the verdict it must get; a campaign of a calibration compares no series."""
    return (request.arms, "") if request.control else with_demonstration(loaded, request.arms)


def _check_accelerator(request: Request, loaded: LoadedJob) -> None:
    if loaded.job.tier == QTEST and request.accelerator is not None:
        raise InputError(
            f"{loaded.path}: accelerator {request.accelerator} was asked for, but tier {QTEST} boots no guest",
            remedy="leave --accelerator out, or take a job of the tier guest",
        )


def _accelerator(wanted: str | None, choice: AcceleratorChoice) -> str:
    """Return the accelerator to use: the one insisted on, if it boots a guest here, else the best that does."""
    if wanted is None:
        return choice.accelerator
    if wanted not in choice.tiers:
        raise HostError(
            f"accelerator {wanted} was asked for, but it boots no guest on this host: {choice.reason}",
            remedy="'lab doctor' says what was tried; without --accelerator the lab takes what works",
        )
    return wanted


def _host_json(reason: str, accelerator: str, image: GuestImage) -> dict[str, Any]:
    """Return the content of host.json: what must be equal for runs to be pooled, and what a reader wants to know."""
    facts = host_facts()
    return {
        **facts.to_json(),
        "fingerprint": fingerprint(facts),
        "accelerator": accelerator,
        "accelerator_reason": reason,
        "guest_image": image.key,
        "guest_kernel": image.kernel_version,
        "guest_programs": dict(image.programs),
    }


def with_demonstration(loaded: LoadedJob, arms: ArmsRequest) -> tuple[ArmsRequest, str]:
    """Return the arms to build and the verdict they must get: the job's own demonstration where no series is named.

    :raise InputError: no series is named and the job has none.
    """
    if arms.names_a_series:
        return arms, ""
    demonstration = loaded.job.demonstration
    if demonstration is None or arms.tree is not None:
        raise InputError("no series is named", remedy="add --series FILE, or --tree DIR --range BASE..TOPIC")
    return arms.with_series(loaded.sibling(demonstration.series)), demonstration.known_verdict
