"""A job file (TOML) to a checked question: what is measured, what is varied, how often.

The file is untrusted: unknown keys are errors with the nearest word, paths may not leave the folder of the job file,
and nothing in it reaches a shell.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lab.errors import InputError
from lab.experiment.job_mistakes import Mistake, mistakes_from_error
from lab.experiment.job_tables import Job, ProfileTable
from lab.experiment.nearest import nearest
from lab.files import read_text_input
from lab.image.recipe import Recipe, load_recipe
from lab.settings import project_dir
from lab.workload.fio_job import FioJob, read_fio_job

__all__ = ["Job", "JobError", "LoadedJob", "ProfileTable", "load_job"]

_MOST_MISTAKES = 10
_LARGEST_BYTES = 1 << 16
_DEEP_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""")
"""A dotted key without end: tomllib takes 13 s for one of 20 000 parts."""


class LoadedJob:
    """A checked job with the files it names.

    :param name: the stem of the file, used in the name of the results folder.
    :param text: the file, verbatim.
    """

    def __init__(self, path: Path, text: str, job: Job, fio: FioJob) -> None:
        self.path = path
        self.name = path.stem
        self.text = text
        self.job = job
        self.fio = fio

    def profile(self, name: str | None) -> tuple[str, ProfileTable]:
        """Return the name and table of a profile, the default one for None.

        :raise InputError: there is no such profile.
        """
        wanted = name or self.job.default_profile
        try:
            return wanted, self.job.profile[wanted]
        except KeyError:
            hint = nearest(wanted, self.job.profile)
            raise InputError(
                f"{self.path}: there is no profile '{wanted}'{hint}",
                remedy=f"profiles are: {', '.join(self.job.profile)}",
            ) from None

    def recipe(self) -> Recipe:
        """Return the recipe of the guest image.

        :raise InputError: there is none of that name, or it is wrong.
        """
        return load_recipe(project_dir() / "guest-images" / f"{self.job.image}.toml")

    def sibling(self, relative: str) -> Path:
        """Return a path that the job names, which must lie below the job file's folder.

        :raise InputError: it leaves the folder, or is not there.
        """
        return _inside(self.path, relative)


class JobError(InputError):
    """Something in a job file is wrong.

    :param mistakes: each with its line; the first ones where there are many.
    """

    def __init__(self, path: Path, mistakes: tuple[Mistake, ...]) -> None:
        told = "\n".join(f"{path}:{mistake.line}: {mistake.key}: {mistake.message}" for mistake in mistakes)
        super().__init__(told, remedy="docs/jobs.md names every key")
        self.mistakes = mistakes


def load_job(path: Path) -> LoadedJob:
    """Read and check a job file and the fio job it names.

    :raise JobError: something in it is wrong; the message has file and line.
    :raise InputError: it cannot be read or is not TOML, or its fio job is wrong.
    """
    text = read_text_input(path, limit_bytes=_LARGEST_BYTES)
    tree = _tree(path, text)
    try:
        job = Job.model_validate(tree)
    except ValidationError as err:
        mistakes = tuple(itertools.islice(mistakes_from_error(text, err), _MOST_MISTAKES))
        raise JobError(path, mistakes) from err
    return LoadedJob(path, text, job, read_fio_job(_inside(path, job.fio)))


def _tree(path: Path, text: str) -> dict[str, Any]:
    deep = _DEEP_KEY.search(text)
    if deep is not None:
        line = text.count("\n", 0, deep.start()) + 1
        raise InputError(f"{path}:{line}: more than 100 names with dots between them are no key")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as err:  # TOMLDecodeError is a ValueError, and so is a number of 5000 digits
        raise InputError(f"{path}: {err}", remedy="the file must be TOML, see jobs/ for examples") from err


def _inside(job_file: Path, relative: str) -> Path:
    folder = job_file.resolve().parent
    try:
        target = (folder / relative).resolve()
        found = target.exists()
    except (OSError, ValueError) as err:  # a name that is too long, or holds a NUL
        raise InputError(f"{job_file}: '{relative}' is not a path: {err}") from err
    if not target.is_relative_to(folder):
        raise InputError(f"{job_file}: '{relative}' leaves the folder of the job file")
    if not found:
        raise InputError(f"{job_file}: '{relative}' does not exist")
    return target
