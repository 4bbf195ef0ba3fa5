"""``lab bisect``: the patch of a series that causes a regression or breaks an answer, never by one run per side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from lab.analysis.combine import pooled
from lab.analysis.compare import Comparison, compare_results
from lab.analysis.export import json_from_comparison
from lab.analysis.results import read_results
from lab.analysis.symptom import Presence, presence_in_part, presence_in_patch, presence_in_whole, symptom_of
from lab.build.patches import PatchBuilds
from lab.cli.bisect_show import exit_code_of, json_from_bisection, text_from_bisection
from lab.cli.cells import WAIT
from lab.cli.output import print_json, print_text, progress_for
from lab.cli.series import RANGE, REVISION
from lab.cli.types import PATH, TEXT
from lab.command import text_from_argv
from lab.errors import InputError
from lab.experiment.arms import ArmsRequest, series_from_request, source_from_request
from lab.experiment.bisect import Answer, Judge, Kind, bisect, most_steps
from lab.experiment.bisect_job import JobJudge, Reading, begin, name_of, question_of, series_question
from lab.experiment.bisect_tmf import TmfJudge
from lab.experiment.cells import checked_cells
from lab.experiment.conduct import Request, conduct, expected_run_s, with_demonstration
from lab.experiment.job import load_job
from lab.host.exclusive import check_host_is_free
from lab.progress import Progress
from lab.report.sentences import verdict_sentence
from lab.report.tables import FULL_HEADER, full_row, text_table
from lab.settings import project_dir
from lab.units import text_from_seconds
from lab.virtio.tmf.case import TmfCase, matrix_cases
from lab.virtio.tmf.controller import NAMES, mappings_of
from lab.virtio.tmf.matrix import run_matrix
from lab.virtio.verdict import Verdict as TmfVerdict

_ANSWERS = {
    Presence.SHOWN: Answer.SHOWN,
    Presence.ABSENT: Answer.ABSENT,
    Presence.UNDECIDED: Answer.UNDECIDED,
    Presence.UNMEASURABLE: Answer.UNTESTABLE,
}


@click.command("bisect")
@click.argument("job", type=PATH, required=False)
@click.option("--tmf", metavar="PATTERN", type=TEXT, help="Instead of a job: cases of lab tmf, '*' for all.")
@click.option("--tree", type=PATH, help="Clone, source or tarball; the distribution's if left out.")
@click.option("--base", type=TEXT, help="Commit of --tree; what the series names as base-commit, or HEAD.")
@click.option("--series", type=PATH, help="Patch series, as for lab series show.")
@RANGE
@REVISION
@click.option("--profile", type=TEXT, help="Profile of the job file. [the job's default]")
@click.option("--results", type=PATH, help="Folder of the bisection. [results/bisect-JOB-PROFILE-KEY]")
@click.option("--accelerator", type=click.Choice(["kvm", "tcg"]), help="Insist on one. [what works]")
@WAIT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def bisect_command(
    job: Path | None,
    tmf: str | None,
    profile: str | None,
    results: Path | None,
    accelerator: str | None,
    wait: bool,
    as_json: bool,
    quiet: bool,
    **named: Any,
) -> int:
    """Find the patch of a series that causes a regression of a job, or breaks the answer to a TMF.

    First the whole series has to show it; then halves of what is left are measured, each an experiment of its own; at
    last the patch that was found is measured against the one before it. Called again, it goes on where it stopped.

    Exit codes: 1 the patch was found, 0 there is nothing to find, 4 could not decide (what is left is named).

    \b
    Example:
      lab bisect jobs/virtio-scsi-iothreads.toml --tree ~/src/qemu --base v10.0.0 --series my.mbox --profile full
    """
    progress = progress_for(quiet=quiet)
    command = text_from_argv(("lab", *sys.argv[1:]))
    arms = ArmsRequest(named["tree"], named["base"], named["series"], named["range_"], named["revision"])
    chosen = Request(Path(), arms, results, profile, accelerator, command=command, wait=wait)
    if tmf is not None and job is None and profile is None and accelerator is None and not wait:
        builds, folder, judge = _by_tmf(chosen, tmf, progress)
    elif job is not None and tmf is None:
        builds, folder, judge = _by_job(replace(chosen, job=job), progress)
    else:
        raise InputError(
            "either a JOB is measured, with its options, or --tmf says which cases are tried",
            remedy="see --help for an example",
        )

    def before_step(kind: Kind, low: int, high: int) -> None:
        progress.say(f"{kind}: {_between(low, high, len(builds))}")

    found = bisect(judge, len(builds), before_step=before_step)
    if as_json:
        print_json(json_from_bisection(found, builds, folder))
    else:
        print_text(text_from_bisection(found, builds, folder, command))
    return int(exit_code_of(found.outcome))


def _by_job(request: Request, progress: Progress) -> tuple[PatchBuilds, Path, Judge]:
    """Return builds, folder and judge for a job."""
    loaded = load_job(request.job)
    name, profile = loaded.profile(request.profile)
    arms = with_demonstration(loaded, request.arms)[0]
    cells, _ = checked_cells(loaded, profile)
    builds = _builds(arms, progress)
    folder = _begun(question_of(loaded, name, request.accelerator, builds), request.results, progress)
    if not (folder / Kind.WHOLE).exists():  # looked at before the first build; what is stored needs no free host
        check_host_is_free("bisect", waiting=progress if request.wait else None)
    _say_how_long(expected_run_s(loaded, profile) * profile.blocks * len(cells), len(builds), progress)
    step = replace(request, arms=arms, profile=name, results=None)
    judge = JobJudge(step, builds, folder, blocks=profile.blocks, read=reading_of, progress=progress, run=conduct)
    return builds, folder, judge


def _by_tmf(request: Request, pattern: str, progress: Progress) -> tuple[PatchBuilds, Path, Judge]:
    """Return builds, folder and judge for the matrix of task management functions.

    :raise InputError: no case has such an id, whatever the binary: said before anything is built.
    """
    if not any(fnmatchcase(case.id, pattern) for case in matrix_cases(NAMES)):
        raise InputError(
            f"no case of lab tmf fits '{pattern}'",
            remedy="an id is MAPPING/FUNCTION/TAG/LUN/QUEUE: '*/ABORT_TASK/*', say, takes all cases of a function",
        )
    builds = _builds(request.arms, progress)
    folder = _begun({"tmf": pattern, **series_question(builds)}, request.results, progress)

    def cases(qemu: Path) -> tuple[TmfCase, ...]:
        return tuple(case for case in matrix_cases(mappings_of(qemu)) if fnmatchcase(case.id, pattern))

    def run(qemu: Path, asked: Sequence[TmfCase], evidence: Path) -> tuple[TmfVerdict, ...]:
        results = run_matrix(qemu, asked, evidence=evidence, progress=progress, title=evidence.name)
        return tuple(result.judgement.verdict for result in results)

    return builds, folder, TmfJudge(builds, folder, cases=cases, run=run, progress=progress)


def _builds(arms: ArmsRequest, progress: Progress) -> PatchBuilds:
    series = series_from_request(arms)
    return PatchBuilds(source_from_request(arms, series, progress=progress), series, progress=progress)


def _begun(question: dict[str, Any], results: Path | None, progress: Progress) -> Path:
    folder = results or project_dir() / "results" / name_of(question)
    progress.say(f"{'going on in' if begin(folder, question) else 'steps go to'} {folder}")
    return folder


def reading_of(kind: Kind, whole: Sequence[Path], step: Sequence[Path]) -> Reading:
    """Judge the stored results of a step.

    :param whole: folders of the whole series, which say what is looked for.
    :param step: folders of the step; several are pooled, as was planned before the first of them.
    :raise InputError: a folder cannot be read.
    :raise NotComparableError: the folders of one step were measured under unlike conditions.
    """
    comparison = _compared(step)
    symptom = symptom_of(_compared(whole))
    if kind is Kind.WHOLE:
        presence = presence_in_whole(comparison)
    else:
        assert symptom is not None
        presence = (presence_in_part if kind is Kind.SEARCH else presence_in_patch)(comparison, symptom)
    rows = [full_row(point) for point in comparison.judged]
    lines = [text_table(FULL_HEADER, rows), *(f"finding: {text}" for text in comparison.findings)]
    return Reading(
        answer=_ANSWERS[presence],
        reason=verdict_sentence(comparison),
        text="\n".join(lines),
        data=json_from_comparison(comparison),
        points=symptom.points if symptom is not None else (),
    )


def _compared(folders: Sequence[Path]) -> Comparison:
    several = [read_results(folder) for folder in folders]
    return compare_results(several[0] if len(several) == 1 else pooled(several))


def _say_how_long(step_s: float, patches: int, progress: Progress) -> None:
    steps = most_steps(patches)
    progress.say(
        f"{steps} steps of about {text_from_seconds(step_s)} at most for {patches} patches, "
        f"{text_from_seconds(steps * step_s)} in all; four times as long for a step that is not clear at once"
    )


def _between(low: int, high: int, patches: int) -> str:
    if low == 0:
        return f"patches 1 to {high} of {patches} against the base" if high > 1 else "patch 1 against the base"
    return f"patch {high} against patch {low}" if high - low == 1 else f"patches {low + 1} to {high} against {low}"
