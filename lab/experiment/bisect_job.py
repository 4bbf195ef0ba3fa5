"""Positions of a series to answers by measuring: each step of a bisection is an experiment like any other.

    results/bisect-JOB-PROFILE-KEY/
    |- bisect.json       what is asked: job, profile, base, patches
    |- whole/            the whole series against its base, a results folder like every other
    |- whole-more/       three times as many blocks more, where the first were not enough
    |- first-2/          the base and two patches against the base
    `- confirm-2-3/      the third patch against the second

What is known is in these folders alone. A bisection that was killed is called again: finished experiments are read,
the one under way goes on, and the same questions follow from the same answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lab.build.arms import Arms
from lab.build.patches import PatchBuilds
from lab.errors import FindingError, InputError, NotComparableError
from lab.experiment.bisect import Answer, Kind, Step
from lab.experiment.conduct import Conducted, Request
from lab.experiment.job import LoadedJob
from lab.experiment.runner import pending_runs
from lab.experiment.store import BUILDS, ResultsFolder
from lab.files import MIB, read_text_input, write_atomically
from lab.progress import Progress
from lab.record import Arm, Point

QUESTION = "bisect.json"
FORMAT = 1
MORE = 3
"""The second stage has so many times the blocks of the first, and both are judged together; there is no third."""


@dataclass(frozen=True)
class Reading:
    """What the results of a step say.

    :param points: of the whole series: where to look from now on; none means everywhere.
    """

    answer: Answer
    reason: str
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    points: tuple[Point, ...] = ()


Read = Callable[[Kind, Sequence[Path], Sequence[Path]], Reading]
"""Judges results: what the step is for, the folders of the whole series, the folders of the step."""


class JobJudge:
    """Asks by running a job; a :class:`lab.experiment.bisect.Judge`.

    :param request: what every step has in common: job, profile, accelerator.
    :param folder: gets a results folder for each stage of each step.
    :param blocks: of the first stage, at a time.
    :param read: judges results; it is not ours to judge, experiments only measure.
    :param run: runs or resumes an experiment: :func:`lab.experiment.conduct.conduct`.
    """

    def __init__(
        self,
        request: Request,
        builds: PatchBuilds,
        folder: Path,
        *,
        blocks: int,
        read: Read,
        progress: Progress,
        run: Callable[[Request, Progress], Conducted],
    ) -> None:
        self._request, self._builds, self._folder = request, builds, folder
        self._blocks, self._read, self._progress, self._run = blocks, read, progress, run
        self._whole: tuple[Path, ...] = ()
        self._points: tuple[Point, ...] = ()

    def judge(self, kind: Kind, low: int, high: int) -> Step:
        """Return the answer for what lies between two positions, measured where it is not stored yet.

        :raise FindingError: the whole series does not build.
        :raise NotComparableError: the build of the whole series differs from the base's in more than its source.
        :raise LabError: whatever :func:`lab.experiment.conduct.conduct` raises.
        """
        untestable = self._untestable(kind, high)
        if untestable is not None:
            return Step(kind, low, high, Answer.UNTESTABLE, untestable)
        try:
            arms = self._builds.arms(low, high)
        except NotComparableError as err:
            if kind is Kind.WHOLE:
                raise
            return Step(kind, low, high, Answer.UNTESTABLE, err.message)
        name = _name(kind, low, high)
        request = replace(self._request, built=arms, points=self._points)
        folders: tuple[Path, ...] = ()
        for suffix, blocks in (("", self._blocks), ("-more", MORE * self._blocks)):
            folder = self._folder / f"{name}{suffix}"
            if not _is_done(folder, arms):
                self._run(replace(request, results=folder, blocks=blocks), self._progress)
            folders = (*folders, folder)
            reading = self._read(kind, self._whole or folders, folders)
            if reading.answer is not Answer.UNDECIDED:
                break
        if kind is Kind.WHOLE:
            self._whole, self._points = folders, reading.points
        return Step(kind, low, high, reading.answer, reading.reason, reading.text, reading.data, folders)

    def _untestable(self, kind: Kind, position: int) -> str | None:
        """Return why a position cannot be tested, None where it can.

        :raise FindingError: it is the end of the series.
        """
        patch = self._builds.at(position)
        if patch.build is not None:
            return None
        reason = f"patch {patch.index} does not build: {patch.evidence or patch.error}"
        if kind is Kind.WHOLE:
            raise FindingError(
                f"the whole series cannot be measured: {reason}",
                remedy="lab build --each-patch says which patches build",
            )
        return reason


def question_of(loaded: LoadedJob, profile: str, accelerator: str | None, builds: PatchBuilds) -> dict[str, Any]:
    """Return what makes a bisection by a job what it is: the content of bisect.json.

    :param accelerator: the one that is insisted on; None takes what works, and each step's host.json says which.
    """
    text = loaded.text + loaded.fio.to_text()
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    asked = {"job": loaded.name, "job_sha256": sha256, "profile": profile, "accelerator": accelerator}
    return asked | series_question(builds)


def series_question(builds: PatchBuilds) -> dict[str, Any]:
    """Return the part of bisect.json that says what is searched."""
    series = builds.series
    return {
        "format": FORMAT,
        "base_commit": builds.source.commit,
        "title": series.title,
        "revision": series.revision,
        "patches": [
            {"index": patch.index, "subject": patch.subject, "patch_id": patch.patch_id} for patch in series.patches
        ],
    }


def name_of(question: dict[str, Any]) -> str:
    """Return the name of the folder of a bisection: the same question is the same folder, so that it goes on there."""
    key = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:8]
    what = f"{question['job']}-{question['profile']}" if "job" in question else "tmf"
    return f"bisect-{what}-{key}"


def begin(folder: Path, question: dict[str, Any]) -> bool:
    """Write what is asked into a folder, or make sure that it is what was asked there before.

    :return: whether the folder was begun before.
    :raise InputError: it holds another bisection, or something else.
    """
    path = folder / QUESTION
    if path.is_file():
        try:
            stored = json.loads(read_text_input(path, limit_bytes=MIB))
        except ValueError as err:
            raise InputError(f"{path} cannot be read: {err}", remedy="name another folder with --results") from err
        if stored != question:
            raise InputError(
                f"{folder} holds another bisection: of '{stored.get('title') if isinstance(stored, dict) else '?'}'",
                remedy="name another folder with --results, or leave the option out",
            )
        return True
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} holds something else already", remedy="name another folder with --results")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(question, indent=2) + "\n")
    return False


def _is_done(folder: Path, arms: Arms) -> bool:
    """Tell whether exactly these builds were measured to the end: then nothing has to be booted, nor the host be free.

    Anything else is the experiment's to go on with, or to refuse.
    """
    stored = ResultsFolder(folder)
    if not stored.exists or pending_runs(stored.schedule(), stored.records()):
        return False
    builds, wanted = stored.read_json(BUILDS), arms.to_json()
    found = (builds.get(arm.value) for arm in Arm)
    return all(
        isinstance(one, dict) and one.get("binary_sha256") == wanted[arm.value]["binary_sha256"]
        for arm, one in zip(Arm, found, strict=True)
    )


def _name(kind: Kind, low: int, high: int) -> str:
    if kind is Kind.WHOLE:
        return "whole"
    return f"first-{high}" if kind is Kind.SEARCH else f"confirm-{low}-{high}"
