"""A request to a finished results folder: sources, builds, image, accelerator, schedule, runs.

Everything that can be wrong with the request is found before the first build; everything that can be wrong with the
host before the first boot.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import HostError, InputError
from lab.experiment.arms import ArmsRequest, arms_from_request
from lab.experiment.job import LoadedJob, ProfileTable, load_job
from lab.experiment.machines import fio_from_cell, machine_from_cell, mapping_warnings
from lab.experiment.question import Choices, choices_from_text, question_text, same_question
from lab.experiment.realise import Bench, realise
from lab.experiment.runner import pending_runs, run_schedule
from lab.experiment.schedule import cells_from_points, draw_schedule, points_from_factors
from lab.experiment.store import BUILDS, HOST, ResultsFolder
from lab.host.accelerator import probe_accelerator
from lab.host.accelerator_choice import AcceleratorChoice
from lab.host.facts import fingerprint, host_facts
from lab.host.packages import require_packages
from lab.host.tuning import LOCK_NAME
from lab.image.build import build_image
from lab.image.guest_image import GuestImage
from lab.progress import Progress
from lab.record import Arm, Cell, RunRecord
from lab.settings import project_dir

_LONGEST_CELL_ID = 200
"""Bytes; block, position and attempt are added, and a file name ends at 255."""
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
    :raise NotComparableError: the two builds differ in more than their source.
    """
    loaded = load_job(request.job)
    profile_name, profile = loaded.profile(request.profile)
    arms_request, known_verdict = with_demonstration(loaded, request.arms)
    cells, warnings = checked_cells(loaded, profile)
    for warning in warnings:
        progress.say(f"warning: {warning}")
    recipe = loaded.recipe()
    require_packages()
    with ExitStack() as stack:
        stack.enter_context(_exclusive_host())
        folder = None
        if request.results is not None:  # a folder that cannot be written is found before the builds
            folder = stack.enter_context(ResultsFolder(request.results))
        arms = arms_from_request(arms_request, progress=progress)
        image = build_image(recipe, progress=progress)
        choice = probe_accelerator(arms.baseline.qemu, arms.baseline.firmware, image, progress=progress)
        accelerator = _accelerator(request.accelerator, choice)
        host, builds = _host_json(choice, accelerator, image), arms.to_json()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        choices = Choices(
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
        )
        question = question_text(loaded, choices)
        if folder is None:
            path = _unfinished(question, host, builds) or project_dir() / "results" / choices.id
            folder = stack.enter_context(ResultsFolder(path))
        _begin_or_resume(folder, question, choices, host, builds, cells, profile, request, progress)
        arm_builds = {Arm.BASELINE: arms.baseline, Arm.CANDIDATE: arms.candidate}
        bench = Bench(loaded, profile, arm_builds, image, accelerator, str(host["fingerprint"]))
        records = run_schedule(
            folder,
            lambda run, attempt, evidence: realise(bench, run, attempt=attempt, evidence=evidence),
            expected_run_s=profile.runtime_s + profile.ramp_time_s + BOOT_AND_STOP_S,
            progress=progress,
        )
    return Conducted(folder.path, records, known_verdict)


def checked_cells(loaded: LoadedJob, profile: ProfileTable) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """Return the cells of a job, each proved to make a machine and a fio job, and what there is to warn about.

    :raise InputError: a level makes no machine, or two cells have one name.
    """
    cells = cells_from_points(points_from_factors(loaded.job.factors))
    names = [cell.id for cell in cells]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{loaded.path}: two cells are called '{twice}'", remedy="name each level once")
    longest = max(names, key=lambda name: len(name.encode()))
    if len(longest.encode()) > _LONGEST_CELL_ID:
        raise InputError(
            f"{loaded.path}: the name of a cell names a folder, and has {len(longest.encode())} bytes: {longest[:80]}",
            remedy=f"keep it below {_LONGEST_CELL_ID}; a mapping has a short form, see docs/mapping.md",
        )
    warnings: dict[str, None] = {}
    for cell in cells:
        try:
            machine = machine_from_cell(loaded.job, cell, "tcg")
            found = mapping_warnings(machine)
            fio_from_cell(loaded, profile, cell, 0)
        except InputError as err:
            raise InputError(f"{loaded.path}: {cell.point.id}: {err.message}", remedy=err.remedy) from err
        warnings |= dict.fromkeys(f"{cell.point.id}: {warning}" for warning in found)
    return cells, tuple(warnings)


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
    """Hold the host for one experiment, whoever runs it: two at once measure each other.

    The lock is a name in Linux's abstract socket name space (unix(7)): it is the host's, not a user's or a cache's, and
    the kernel gives it back when its holder dies.
    """
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind(LOCK_NAME)
        except OSError as err:
            raise HostError(
                "another experiment is under way on this host",
                remedy="wait for it; two at once would measure each other",
            ) from err
        yield


def _begin_or_resume(
    folder: ResultsFolder,
    question: str,
    choices: Choices,
    host: dict[str, Any],
    builds: dict[str, Any],
    cells: Sequence[Cell],
    profile: ProfileTable,
    request: Request,
    progress: Progress,
) -> None:
    """Write what is asked into an empty folder, or make sure that a begun one asks the same."""
    if not folder.exists:
        schedule = draw_schedule(cells, blocks=profile.blocks, seed=choices.seed)
        folder.begin(experiment=question, host=host, builds=builds, schedule=schedule)
        progress.say(f"results go to {folder.path}")
        return
    stored = folder.experiment_text()
    begun = choices_from_text(stored, str(folder.path))
    differences = [] if same_question(stored, question) else ["the question (experiment.toml)"]
    if request.seed not in (None, begun.seed):
        differences.append(f"the seed, which was {begun.seed}")
    differences += _differences(folder, host, builds)
    if differences:
        raise InputError(
            f"{folder.path} holds another experiment; what differs: {', '.join(differences)}",
            remedy="name another folder with --results, or leave the option out",
        )
    progress.say(f"going on with {folder.path}")


def _unfinished(question: str, host: dict[str, Any], builds: dict[str, Any]) -> Path | None:
    """Return the newest results folder of exactly this question whose runs are not all done."""
    root = project_dir() / "results"
    for path in sorted(root.glob("*/"), key=lambda folder: folder.name, reverse=True):
        folder = ResultsFolder(path)
        if not folder.exists:
            continue
        try:
            same = same_question(folder.experiment_text(), question) and not _differences(folder, host, builds)
            if same and pending_runs(folder.schedule(), folder.records()):
                return path
        except (InputError, ValueError):
            continue  # a damaged folder is somebody's to look at, not ours to go on with
    return None


def _differences(folder: ResultsFolder, host: dict[str, Any], builds: dict[str, Any]) -> list[str]:
    stored_host, stored_builds = folder.read_json(HOST), folder.read_json(BUILDS)
    found = [
        f"{key} of the host"
        for key in ("fingerprint", "accelerator", "guest_image")
        if stored_host.get(key) != host[key]
    ]
    for arm in Arm:
        stored = stored_builds.get(arm.value)
        for key, name in (("binary_sha256", "binary"), ("firmware_sha256", "firmware")):
            if not isinstance(stored, dict) or stored.get(key) != builds[arm.value][key]:
                found.append(f"the {arm.value} {name}")
    return found
