"""A job file (TOML) to a checked question: what is measured, what is varied, how often.

The file is untrusted: unknown keys are errors with the nearest word, paths may not leave the folder of the job file,
and nothing in it reaches a shell.
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lab.errors import InputError
from lab.files import MIB, read_text_input
from lab.image.recipe import Recipe, load_recipe
from lab.machine.mapping import Device
from lab.record import Level
from lab.settings import project_dir
from lab.units import METRICS
from lab.workload.fio_job import FioJob, check_option_name, read_fio_job
from lab.workload.fio_options import canonical_name

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class BackendTable(_Table):
    """``[machine.backend]``: where requests end."""

    driver: Literal["null-co", "null-aio"] = "null-co"
    size_gib: int = Field(default=8, ge=1, le=1 << 20)
    latency_ns: int = Field(default=0, ge=0, le=10**10)
    read_zeroes: bool = False


class MachineTable(_Table):
    """``[machine]``: the guest and its storage. Every plain key may also be a factor."""

    device: Device = Field(default=Device.VIRTIO_SCSI, strict=False)
    vcpus: int = Field(default=4, ge=1, le=256)
    memory_mib: int = Field(default=1024, ge=256, le=1 << 22)
    num_queues: int | None = Field(default=None, ge=1, le=1024)
    queue_size: int | None = Field(default=None, ge=2, le=1024)
    iothreads: int = Field(default=1, ge=0, le=64)
    mapping: str = "round-robin"
    poll_max_ns: int | None = Field(default=None, ge=0, le=10**9)
    cpu_model: str = Field(default="auto", pattern=r"^[A-Za-z0-9_.,+=-]+$")
    kernel_arguments: str = Field(default="", pattern=r"^[\x20-\x7e]*$")
    backend: BackendTable = BackendTable()


class JudgeTable(_Table):
    """``[judge]``: what decides the verdict."""

    metrics: tuple[str, ...] = Field(default=("iops",), min_length=1, strict=False)
    smallest_effect: float = Field(default=0.02, ge=1e-6, lt=1)
    alpha: float = Field(default=0.05, ge=1e-6, lt=0.5)

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in METRICS:
                raise ValueError(f"there is no metric '{name}'{_nearest(name, METRICS)}")
        return names


class ReferenceTable(_Table):
    """``[reference]``: a published table drawn beside ours."""

    table: Name
    factor: str


class DemonstrationTable(_Table):
    """``[demonstration]``: the series that is used when none is given, and the verdict it must get."""

    series: str
    known_verdict: Literal["REGRESSED", "IMPROVED", "NO_CHANGE_DETECTED"]


class ProfileTable(_Table):
    """``[profile.NAME]``: how much time is spent.

    :param blocks: every cell once per block; below 6 no verdict is possible at alpha 0.05 (docs/method.md).
    :param runtime_s: fio's ``runtime``.
    :param ramp_time_s: fio's ``ramp_time``, not measured.
    """

    blocks: int = Field(ge=1, le=1000)
    runtime_s: int = Field(ge=1, le=86400)
    ramp_time_s: int = Field(default=0, ge=0, le=3600)


class Job(_Table):
    """A whole job file."""

    title: str = Field(min_length=1, max_length=120)
    question: str = ""
    fio: str
    image: Name = "default"
    default_profile: Name = "quick"
    machine: MachineTable = MachineTable()
    factors: dict[str, tuple[Level, ...]] = Field(default_factory=dict, strict=False)
    judge: JudgeTable = JudgeTable()
    reference: ReferenceTable | None = None
    demonstration: DemonstrationTable | None = None
    profile: dict[Name, ProfileTable] = Field(min_length=1)

    @field_validator("factors", mode="before")
    @classmethod
    def _levels(cls, value: Any) -> dict[str, tuple[Level, ...]]:
        if not isinstance(value, dict):
            raise ValueError("factors is a table of name = [level, ...]")  # noqa: TRY004 - pydantic wants ValueError
        names = [canonical_name(name) for name in value]
        if len(set(names)) < len(names):
            raise ValueError("two factors are two names of one option of fio")
        if math.prod(len(levels) for levels in value.values() if isinstance(levels, list)) > _MOST_POINTS:
            raise ValueError(f"the factors make more than {_MOST_POINTS} points")
        return {name: _checked_levels(name, levels) for name, levels in value.items()}

    @model_validator(mode="after")
    def _default_profile_exists(self) -> Job:
        if self.default_profile not in self.profile:
            known = ", ".join(self.profile)
            raise ValueError(f"default_profile '{self.default_profile}' is not one of: {known}")
        return self


MACHINE_FACTORS = frozenset(MachineTable.model_fields) - {"backend", "device"}
_MOST_MISTAKES = 10
_MOST_POINTS = 1000
BACKEND_FACTORS = frozenset({"latency_ns", "read_zeroes"})
_NOT_VARIED = {
    "runtime": "the profile says how long is measured",
    "ramp_time": "the profile says how long is not measured",
    "time_based": "the profile says how long is measured",
    "randseed": "each run has a seed of its own, from the schedule",
}


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
            hint = _nearest(wanted, self.job.profile)
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


def load_job(path: Path) -> LoadedJob:
    """Read and check a job file and the fio job it names.

    :raise InputError: it cannot be read, is not TOML, or something in it is wrong; the message has file and line.
    """
    text = read_text_input(path, limit_bytes=MIB)
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as err:  # TOMLDecodeError is a ValueError, and so is a number of 5000 digits
        raise InputError(f"{path}: {err}", remedy="the file must be TOML, see jobs/ for examples") from err
    try:
        job = Job.model_validate(tree)
    except ValidationError as err:
        told = "\n".join(itertools.islice(_sentences(path, text, err), _MOST_MISTAKES))
        raise InputError(told, remedy="docs/jobs.md names every key") from err
    return LoadedJob(path, text, job, read_fio_job(_inside(path, job.fio)))


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


def _checked_levels(name: str, levels: Any) -> tuple[Level, ...]:
    if not isinstance(levels, list) or not levels:
        raise ValueError(f"factor '{name}' needs a list of levels, for example {name} = [1, 2, 4]")
    if any(level in levels[:place] for place, level in enumerate(levels)):  # 1 and true are one level to Python
        raise ValueError(f"factor '{name}' names a level twice")
    if name in MACHINE_FACTORS or name in BACKEND_FACTORS:
        table: type[_Table] = MachineTable if name in MACHINE_FACTORS else BackendTable
        for level in levels:
            table.model_validate({name: level})
        return tuple(levels)
    if canonical_name(name) in _NOT_VARIED:
        raise ValueError(f"'{name}' is no factor: {_NOT_VARIED[canonical_name(name)]}")
    try:
        check_option_name(name)
    except InputError as err:
        known = ", ".join(sorted(MACHINE_FACTORS | BACKEND_FACTORS))
        hint = _nearest(name, MACHINE_FACTORS | BACKEND_FACTORS)
        raise ValueError(f"'{name}' is no factor{hint}: machine factors are {known}; {err.message}") from err
    for level in levels:
        if not isinstance(level, str | int | float | bool) or not str(level).isprintable() or not _is_finite(level):
            raise ValueError(f"level {level!r} of '{name}' is not a finite number, a string or a truth value")
    return tuple(levels)


def _is_finite(level: Level) -> bool:
    return isinstance(level, str) or level == 0 or 1e-18 <= abs(level) < 1e18  # as analysis/results.py reads them


def _nearest(word: str, known: Mapping[str, object] | frozenset[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _sentences(path: Path, text: str, err: ValidationError) -> Iterator[str]:
    for problem in err.errors():
        keys = [str(part) for part in problem["loc"] if isinstance(part, str)]
        line = _line_of(text, keys)
        name = ".".join(keys) or "the file"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"there is no such key{_nearest(keys[-1], _known_keys(keys[:-1]))}"
        elif problem["type"] == "missing":
            message = "this key is missing"
        yield f"{path}:{line}: {name}: {message}"


def _known_keys(parents: list[str]) -> frozenset[str]:
    tables: dict[str, type[_Table]] = {
        "": Job,
        "machine": MachineTable,
        "backend": BackendTable,
        "judge": JudgeTable,
        "reference": ReferenceTable,
        "demonstration": DemonstrationTable,
        "profile": ProfileTable,
    }
    table = next((tables[key] for key in reversed(parents) if key in tables), Job)
    return frozenset(table.model_fields)


def _line_of(text: str, keys: list[str]) -> int:
    """Return the line of a key: tomllib keeps no positions, so the deepest key is looked for below its table."""
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            table = [part.strip(" \"'") for part in header.group(1).split(".")]
            depth = len(table) if keys[: len(table)] == table else 0
            if depth:
                best = number
        elif depth < len(keys) and re.match(rf"\s*[\"']?{re.escape(keys[depth])}[\"']?\s*[=.]", line):
            return number
    return best
