"""What is asked to a results folder that holds exactly this: a new one, or one that was begun and goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import InputError
from lab.experiment.question import Choices, choices_from_text, same_question
from lab.experiment.runner import pending_runs
from lab.experiment.schedule import draw_schedule
from lab.experiment.store import BUILDS, HOST, ResultsFolder
from lab.progress import Progress
from lab.record import Arm, Cell


@dataclass(frozen=True)
class Asked:
    """What a results folder is begun with.

    :param question: the text of experiment.toml.
    :param choices: what the question says beside the job.
    :param host: the content of host.json.
    :param builds: the content of builds.json.
    """

    question: str
    choices: Choices
    host: Mapping[str, Any]
    builds: Mapping[str, Any]


def begin_or_resume(
    folder: ResultsFolder, asked: Asked, cells: Sequence[Cell], *, seed: int | None, progress: Progress
) -> None:
    """Write what is asked into an empty folder, or make sure that a begun one asks the same.

    :param seed: the one that was insisted on, if any.
    :raise InputError: the folder holds another experiment, or is damaged.
    """
    if not folder.exists:
        schedule = draw_schedule(cells, blocks=asked.choices.blocks, seed=asked.choices.seed)
        folder.begin(experiment=asked.question, host=asked.host, builds=asked.builds, schedule=schedule)
        progress.say(f"results go to {folder.path}")
        return
    stored = folder.experiment_text()
    begun = choices_from_text(stored, str(folder.path))
    differences = [] if same_question(stored, asked.question) else ["the question (experiment.toml)"]
    if seed not in (None, begun.seed):
        differences.append(f"the seed, which was {begun.seed}")
    differences += _differences(folder, asked)
    if differences:
        raise InputError(
            f"{folder.path} holds another experiment; what differs: {', '.join(differences)}",
            remedy="name another folder with --results, or leave the option out",
        )
    progress.say(f"going on with {folder.path}")


def unfinished(asked: Asked, root: Path) -> Path | None:
    """Return the newest results folder below ``root`` of exactly this question whose runs are not all done."""
    for path in sorted(root.glob("*/"), key=lambda folder: folder.name, reverse=True):
        folder = ResultsFolder(path)
        if not folder.exists:
            continue
        try:
            same = same_question(folder.experiment_text(), asked.question) and not _differences(folder, asked)
            if same and pending_runs(folder.schedule(), folder.records()):
                return path
        except (InputError, ValueError):
            continue  # a damaged folder is somebody's to look at, not ours to go on with
    return None


def _differences(folder: ResultsFolder, asked: Asked) -> list[str]:
    stored_host, stored_builds = folder.read_json(HOST), folder.read_json(BUILDS)
    found = [
        f"{key} of the host"
        for key in ("fingerprint", "accelerator", "guest_image")
        if stored_host.get(key) != asked.host[key]
    ]
    for arm in Arm:
        stored = stored_builds.get(arm.value)
        for key, name in (("binary_sha256", "binary"), ("firmware_sha256", "firmware")):
            if not isinstance(stored, dict) or stored.get(key) != asked.builds[arm.value][key]:
                found.append(f"the {arm.value} {name}")
    return [*found, *_moved(stored_host, asked.host)]


def _moved(stored: Mapping[str, Any], host: Mapping[str, Any]) -> Iterator[str]:
    """Yield what changed about how the host is set and where threads run; a folder that says nothing is believed."""
    plan, settings = stored.get("cpu_plan"), stored.get("settings")
    if isinstance(plan, dict) and plan.get("threads") != host["cpu_plan"]["threads"]:
        yield "the CPU plan"
    knobs = settings.get("knobs") if isinstance(settings, dict) else None
    if isinstance(knobs, dict):
        changed = [name for name, value in host["settings"]["knobs"].items() if knobs.get(name) != value]
        if changed:
            yield f"settings of the host ({', '.join(changed)})"
