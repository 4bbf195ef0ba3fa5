"""What a series can change and the job files there are, to the jobs that are worth running, and to why.

Jobs are matched by what their machines are made of, not by name: a job file that is put into the folder is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import InputError
from lab.experiment.capabilities import argv_of_cell
from lab.experiment.cells import checked_cells
from lab.experiment.job import LoadedJob, load_job
from lab.experiment.without_guest import QTEST
from lab.machine.needs import loads_from_argv
from lab.series.scope import ScopeItem

_ACCELERATORS = frozenset({"accel:kvm", "accel:tcg"})
"""Which of the two a job runs on is the host's doing, so every job can have both."""
_FILES_SHOWN = 3


@dataclass(frozen=True)
class JobLoads:
    """A job file and what its machines make QEMU run.

    :param loads: words of lab/machine/needs.py, of all its cells together.
    :param seconds: what fio takes in its default profile.
    :param guest: whether it boots one; without, no accelerator is loaded either.
    """

    path: Path
    loads: frozenset[str]
    seconds: int
    guest: bool = True

    def concerned(self, scope: Iterable[ScopeItem]) -> tuple[ScopeItem, ...]:
        """Return the items of a scope that this job can see."""
        return tuple(item for item in scope if item.rule.concerns(self.loads))


@dataclass(frozen=True)
class Choice:
    """A job to run, and the items of the scope it is run for."""

    job: JobLoads
    items: tuple[ScopeItem, ...]

    def why(self) -> str:
        """Return the sentence that says why."""
        return "; ".join(f"{_files(item)}: {item.rule.reason}" for item in self.items)


def loads_of_job(loaded: LoadedJob) -> JobLoads:
    """Return what the machines of a job load.

    :raise InputError: a level makes no machine.
    """
    _, profile = loaded.profile(None)
    cells, _ = checked_cells(loaded, profile)
    loads = frozenset(load for cell in cells for load in loads_from_argv(argv_of_cell(loaded, cell, "tcg")))
    seconds = len(cells) * profile.blocks * (profile.runtime_s + profile.ramp_time_s)
    guest = loaded.job.tier != QTEST
    return JobLoads(loaded.path, loads | _ACCELERATORS if guest else loads - _ACCELERATORS, seconds, guest)


def jobs_in(folder: Path) -> tuple[tuple[JobLoads, ...], tuple[str, ...]]:
    """Return the jobs of a folder, and a sentence for each file in it that is none."""
    jobs, problems = [], []
    for path in sorted(folder.glob("*.toml")):
        try:
            jobs.append(loads_of_job(load_job(path)))
        except InputError as err:
            problems.append(f"{path.name} is passed over: {err.message.splitlines()[0]}")
    return tuple(jobs), tuple(problems)


def choose_jobs(scope: Sequence[ScopeItem], jobs: Sequence[JobLoads]) -> tuple[Choice, ...]:
    """Return as few jobs as see everything that a job can see: the one that sees most, of those the plainest machine.

    What a machine has beside the thing that was changed only hides the change. But a guest is what a user of QEMU has:
    a job without one is the plainest of all, and is taken only where no job with one sees as much.
    """

    def rank(job: JobLoads) -> tuple[int, bool, int, int, str]:
        return -len(job.concerned(left)), not job.guest, len(job.loads), job.seconds, job.path.name

    chosen: list[Choice] = []
    left = [item for item in scope if any(job.concerned([item]) for job in jobs)]
    while left:
        job = min(jobs, key=rank)
        chosen.append(Choice(job, job.concerned(left)))
        left = [item for item in left if item not in chosen[-1].items]
    return tuple(chosen)


def unseen_by_any(scope: Sequence[ScopeItem], jobs: Sequence[JobLoads]) -> tuple[ScopeItem, ...]:
    """Return the items that could be measured, but that no job there is loads."""
    return tuple(item for item in scope if item.rule.loads and not any(job.concerned([item]) for job in jobs))


def warning_of_scope(loaded: LoadedJob, scope: Sequence[ScopeItem]) -> str:
    """Return the warning that a series cannot change what a job measures; empty where it can.

    :raise InputError: a level of the job makes no machine.
    """
    if not scope or loads_of_job(loaded).concerned(scope):
        return ""
    reasons = "; ".join(f"{_files(item)}: {item.rule.reason}" for item in scope)
    return f"the series touches nothing that this job's machines run, so no change can be its doing ({reasons})"


def _files(item: ScopeItem) -> str:
    shown = ", ".join(item.files[:_FILES_SHOWN])
    return shown if len(item.files) <= _FILES_SHOWN else f"{shown} and {len(item.files) - _FILES_SHOWN} more"
