"""A request to a finished results folder: sources, builds, image, accelerator, schedule, runs.

Everything that can be wrong with the request is found before the first build; everything that can be wrong with the
host before the first boot.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.errors import HostError, InputError
from lab.experiment.arms import ArmsRequest, arms_from_request
from lab.experiment.job import LoadedJob, ProfileTable, load_job
from lab.experiment.machines import fio_from_cell, machine_from_cell
from lab.experiment.question import Choices, choices_from_text, question_text, same_question
from lab.experiment.realise import Bench, realise
from lab.experiment.runner import pending_runs, run_schedule
from lab.experiment.schedule import cells_from_points, draw_schedule, points_from_factors
from lab.experiment.store import BUILDS, HOST, ResultsFolder
from lab.host.accelerator import probe_accelerator
from lab.host.accelerator_choice import AcceleratorChoice
from lab.host.facts import fingerprint, host_facts
from lab.host.packages import require_packages
from lab.image.build import build_image
from lab.image.guest_image import GuestImage
from lab.progress import Progress
from lab.record import Arm, Cell, RunRecord
from lab.settings import cache_dir, project_dir

BOOT_AND_STOP_S = 4.5
"""What a run costs beside fio, for the first estimate only."""


@dataclass(frozen=True)
class Request:
    """What ``lab run`` was asked.

    :param results: the folder to write or to go on with; None lets the lab choose below ``results/``.
    :param arms: sources, base and series.
    :param accelerator: ``kvm`` or ``tcg`` to insist on one; None takes the best that works.
    :param seed: of the schedule; None draws one.
    :param command: what was typed, for the report's "run it again".
    """

    job: Path
    arms: ArmsRequest
    results: Path | None = None
    profile: str | None = None
    accelerator: str | None = None
    seed: int | None = None
    command: str = ""


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
    :raise HostError: this host lacks what is needed, or another experiment is under way on it.
    :raise FindingError: the series does not build.
    """
    loaded = load_job(request.job)
    profile_name, profile = loaded.profile(request.profile)
    arms_request, known_verdict = with_demonstration(loaded, request.arms)
    cells = checked_cells(loaded, profile)
    require_packages()
    with _exclusive_host():
        arms = arms_from_request(arms_request, progress=progress)
        image = build_image(loaded.recipe(), progress=progress)
        choice = probe_accelerator(arms.baseline.qemu, arms.baseline.firmware, image, progress=progress)
        accelerator = _accelerator(request.accelerator, choice)
        host, builds = _host_json(choice, accelerator, image), arms.to_json()
        seed = request.seed if request.seed is not None else random.SystemRandom().getrandbits(31)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        choices = Choices(
            id=request.results.name if request.results else f"{loaded.name}-{profile_name}-{stamp}",
            job=loaded.name,
            profile=profile_name,
            seed=seed,
            series=arms_request.series_name,
            image=image.key,
            accelerator=accelerator,
            known_verdict=known_verdict,
            command=request.command,
        )
        question = question_text(loaded, choices)
        path = request.results or _unfinished(question, host, builds) or project_dir() / "results" / choices.id
        arm_builds = {Arm.BASELINE: arms.baseline, Arm.CANDIDATE: arms.candidate}
        bench = Bench(loaded, profile, arm_builds, image, accelerator, str(host["fingerprint"]))
        with ResultsFolder(path) as folder:
            if folder.exists:
                _check_same(folder, question, host, builds)
                progress.say(f"going on with {path}")
            else:
                schedule = draw_schedule(cells, blocks=profile.blocks, seed=seed)
                folder.begin(experiment=question, host=host, builds=builds, schedule=schedule)
                progress.say(f"results go to {path}")
            records = run_schedule(
                folder,
                lambda run, attempt, evidence: realise(bench, run, attempt=attempt, evidence=evidence),
                expected_run_s=profile.runtime_s + profile.ramp_time_s + BOOT_AND_STOP_S,
                progress=progress,
            )
    return Conducted(path, records, known_verdict)


def checked_cells(loaded: LoadedJob, profile: ProfileTable) -> tuple[Cell, ...]:
    """Return the cells of a job, each proved to make a machine and a fio job: not in block 1, but now.

    :raise InputError: a level does not.
    """
    cells = cells_from_points(points_from_factors(loaded.job.factors))
    for cell in cells:
        machine_from_cell(loaded.job, cell, "tcg")
        fio_from_cell(loaded, profile, cell, 0)
    return cells


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


def _host_json(choice: AcceleratorChoice, accelerator: str, image: GuestImage) -> dict[str, Any]:
    """Return the content of host.json: what must be equal for runs to be pooled, and what a reader wants to know."""
    facts = host_facts()
    return {
        **facts.to_json(),
        "fingerprint": fingerprint(facts),
        "accelerator": accelerator,
        "accelerator_reason": choice.reason,
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


def cell_from_id(loaded: LoadedJob, cell_id: str | None) -> Cell:
    """Return the cell called ``cell_id``; the first one for None.

    :raise InputError: there is no such cell; the remedy lists those there are.
    """
    cells = cells_from_points(points_from_factors(loaded.job.factors))
    if cell_id is None:
        return cells[0]
    for cell in cells:
        if cell.id == cell_id:
            return cell
    raise InputError(f"{loaded.path} has no cell '{cell_id}'", remedy="cells are: " + ", ".join(c.id for c in cells))


@contextmanager
def _exclusive_host() -> Iterator[None]:
    """Hold the host for one experiment: two at once measure each other."""
    lock = FileLock(cache_dir("locks") / "host.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise HostError(
            "another experiment is under way on this host", remedy="wait for it; two at once would measure each other"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _unfinished(question: str, host: dict[str, Any], builds: dict[str, Any]) -> Path | None:
    """Return the newest results folder of exactly this question whose runs are not all done."""
    root = project_dir() / "results"
    for path in sorted(root.glob("*/"), key=lambda folder: folder.name, reverse=True):
        folder = ResultsFolder(path)
        if not folder.exists:
            continue
        try:
            if same_question(folder.experiment_text(), question) and not _differences(folder, host, builds):
                return path if pending_runs(folder.schedule(), folder.records()) else None
        except (InputError, ValueError):
            continue  # a damaged folder is somebody's to look at, not ours to go on with
    return None


def _check_same(folder: ResultsFolder, question: str, host: dict[str, Any], builds: dict[str, Any]) -> None:
    """Refuse to add runs to a folder that holds another question, another host or other binaries."""
    stored = folder.experiment_text()
    choices_from_text(stored, str(folder.path))
    differences = [] if same_question(stored, question) else ["the question (experiment.toml)"]
    differences += _differences(folder, host, builds)
    if differences:
        raise InputError(
            f"{folder.path} holds another experiment; what differs: {', '.join(differences)}",
            remedy="name another folder with --results, or leave the option out",
        )


def _differences(folder: ResultsFolder, host: dict[str, Any], builds: dict[str, Any]) -> list[str]:
    stored_host, stored_builds = folder.read_json(HOST), folder.read_json(BUILDS)
    found = [
        f"{key} of the host"
        for key in ("fingerprint", "accelerator", "guest_image")
        if stored_host.get(key) != host[key]
    ]
    found += [
        f"the {arm.value} binary"
        for arm in Arm
        if stored_builds.get(arm.value, {}).get("binary_sha256") != builds[arm.value]["binary_sha256"]
    ]
    return found
