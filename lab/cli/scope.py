"""What a series can change, for people and for machines, and the jobs that ``lab run --auto`` takes for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lab.errors import ExitCode, InputError, NotComparableError
from lab.experiment.arms import ArmsRequest, series_from_request
from lab.experiment.scope import Choice, JobLoads, choose_jobs, jobs_in, unseen_by_any
from lab.machine.mapping import Device
from lab.progress import Progress
from lab.series.scope import ScopeItem, scenarios_of, scope_from_files
from lab.series.series import Series
from lab.settings import project_dir

TMF = "tmf"
"""The scenario that is a verb of its own."""
_WITHOUT_GUEST = (TMF, "race", "cost")
"""Verbs that drive virtio-scsi themselves: what task management meets, races meet, too, and each command costs."""
_BLK = f"device:{Device.VIRTIO_BLK.value}"
_FILES_SHOWN = 8
_GRAVITY = (ExitCode.DONE, ExitCode.UNDECIDED, ExitCode.FINDING)


def scope_json(series: Series) -> list[dict[str, Any]]:
    """Return ``scope`` of ``lab series show --json``: each item with the jobs that can see it."""
    jobs, _ = jobs_in(_jobs_folder())
    return [
        {**item.to_json(), "jobs": [_name(job.path) for job in jobs if job.concerned([item])]}
        for item in scope_from_files(series.files)
    ]


def options_that_name(arms: ArmsRequest) -> str:
    """Return the options that name the series again, quoted for a shell: a call without them is about another one."""
    words = (("--tree", arms.tree), ("--base", arms.base), ("--series", arms.series), ("--range", arms.range))
    given = (*words, ("--revision", arms.revision))
    return shlex.join(str(word) for option, value in given if value is not None for word in (option, value))


def text_from_scope(series: Series, named: str = "") -> str:
    """Return what is worth running for a series and why, for people.

    :param named: the options that name the series, for the calls that are shown.
    """
    scope = scope_from_files(series.files)
    jobs, problems = jobs_in(_jobs_folder())
    lines = ["what it can change:"]
    for item in scope:
        names = ", ".join(item.files[:_FILES_SHOWN])
        more = f" and {len(item.files) - _FILES_SHOWN} more" if len(item.files) > _FILES_SHOWN else ""
        lines += [f"  {names}{more}: {item.rule.reason}", *(f"      {line}" for line in _worth(item, jobs))]
    chosen = choose_jobs(scope, jobs)
    lines.append("worth running:")
    lines += [f"  {' '.join(('lab run', _name(choice.job.path), named)).rstrip()}" for choice in chosen]
    lines += [f"  {command}" for command in _commands(scope, named)]
    if not chosen and not scenarios_of(scope):
        lines.append("  nothing: no machine of the lab runs what it touches")
    return "\n".join([*lines, *(f"warning: {problem}" for problem in problems)])


def _worth(item: ScopeItem, jobs: Sequence[JobLoads]) -> list[str]:
    found = [_name(job.path) for job in jobs if job.concerned([item])]
    lines = [f"measured by {', '.join(found)}"] if found else []
    if item.rule.loads and not found:
        lines.append(f"no job there is loads it: a job needs one of {', '.join(sorted(item.rule.loads))}")
    if item.rule.scenarios:
        lines.append(f"scenarios: {', '.join(item.rule.scenarios)}")
    return lines


def _commands(scope: Sequence[ScopeItem], named: str = "") -> list[str]:
    """Return the calls that play the scenarios of a scope."""
    names = scenarios_of(scope)
    played = " ".join(name for name in names if name != TMF)
    loads = {load for item in scope for load in item.rule.loads if load.startswith("device:")}
    device = " --device virtio-blk" if loads == {_BLK} else ""
    scenario = f"lab scenario {played}{device} {named}".rstrip()
    unaided = [f"lab {verb} {named}".rstrip() for verb in _WITHOUT_GUEST if TMF in names]
    return [*unaided, *([scenario] if played else [])]


def asked_jobs(job: Path | None, *, auto: bool, arms: ArmsRequest, progress: Progress) -> tuple[Path, ...]:
    """Return the job that was named, or with ``--auto`` those that run what the series touches.

    :raise InputError: both or neither were asked for, or the series is not good.
    :raise NotComparableError: no job there is runs what the series touches.
    """
    if auto:
        if job is not None:
            raise InputError(f"--auto chooses jobs, and {job} is one", remedy="leave one of them out")
        return jobs_for_series(series_from_request(arms), progress, options_that_name(arms))
    if job is None:
        raise InputError("no job is named", remedy="name a file of jobs/, or add --auto to have some chosen")
    return (job,)


def gravest(codes: Iterable[int]) -> int:
    """Return the exit code of several experiments: one finding outweighs any doubt, and a doubt outweighs success."""
    return max(codes, key=_GRAVITY.index)


def jobs_for_series(series: Series, progress: Progress, named: str = "") -> tuple[Path, ...]:
    """Return the jobs that ``lab run --auto`` runs, each announced with the reason.

    :param named: the options that name the series, for the calls that are shown where no job is taken.

    :raise NotComparableError: no job there is can see what the series touches.
    """
    scope = scope_from_files(series.files)
    jobs, problems = jobs_in(_jobs_folder())
    chosen = choose_jobs(scope, jobs)
    for line in (*(f"warning: {problem}" for problem in problems), *_announcements(chosen)):
        progress.say(line)
    for item in unseen_by_any(scope, jobs):
        wanted = ", ".join(sorted(item.rule.loads))
        progress.say(f"warning: no job there is loads {item.files[0]} ({item.rule.reason}): it needs one of {wanted}")
    if not chosen:
        reasons = "; ".join(f"{item.files[0]}: {item.rule.reason}" for item in scope)
        played = _commands(scope, named)
        raise NotComparableError(
            f"no job can measure '{series.title}', so nothing was run: {reasons}",
            remedy=f"worth running: {'; '.join(played)}" if played else "name a job to run it all the same",
        )
    return tuple(choice.job.path for choice in chosen)


def _announcements(chosen: Sequence[Choice]) -> list[str]:
    return [f"--auto takes {_name(choice.job.path)} because of {choice.why()}" for choice in chosen]


def _jobs_folder() -> Path:
    return project_dir() / "jobs"


def _name(path: Path) -> str:
    return str(path.relative_to(project_dir())) if path.is_relative_to(project_dir()) else str(path)
