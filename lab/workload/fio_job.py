"""A fio job file to a checked job, and to the text that goes into a guest.

The files are plain fio: ``fio jobs/fio/randread-4k.fio`` runs them without the lab. A file is untrusted: what would
run anything but I/O is refused, although it would run in the guest only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lab.errors import InputError
from lab.files import MIB, read_text_input
from lab.workload.fio_options import (
    REFUSED,
    canonical_name,
    check_engine,
    check_option_name,
    seconds_from_fio_time,
)
from lab.workload.fio_trace import TRACE_INTERVAL_MS

__all__ = ["TRACE_LOG", "FioJob", "check_option_name", "fio_job_from_text", "read_fio_job"]

TRACE_LOG = "fio_iops.{worker}.log"
"""The file in fio's working folder with a worker's IOPS of each second (lab/workload/fio_trace.py), counted from 1."""
_MIXED = ("rw", "readwrite", "randrw")

Options = Mapping[str, str | None]


@dataclass(frozen=True)
class FioJob:
    """One fio job: the section that describes it and the [global] one above it.

    A job file with several sections has no single rw, bs or iodepth to report, so there is one. Several workers of
    the same kind are ``numjobs``.

    :param source: where it comes from, for messages.
    :param name: of the section.
    :param general: options of [global], (name, value); the value of a flag is None.
    :param own: options of the section, which win.
    """

    source: str
    name: str
    general: tuple[tuple[str, str | None], ...]
    own: tuple[tuple[str, str | None], ...]

    @property
    def rw(self) -> str:
        """``rw`` as written."""
        return self._value("rw", "read")

    @property
    def bs(self) -> str:
        """``bs`` as written."""
        return self._value("bs", "4k")

    @property
    def runtime(self) -> str:
        """``runtime`` as written."""
        return self._value("runtime", "0")

    @property
    def ramp_time(self) -> str:
        """``ramp_time`` as written."""
        return self._value("ramp_time", "0")

    @property
    def iodepth(self) -> int:
        """``iodepth``, of each of the ``numjobs`` workers."""
        return self._count("iodepth")

    @property
    def numjobs(self) -> int:
        """``numjobs``."""
        return self._count("numjobs")

    @property
    def runtime_s(self) -> float:
        """``runtime`` in seconds."""
        return seconds_from_fio_time(self.runtime)

    @property
    def ramp_time_s(self) -> float:
        """``ramp_time`` in seconds."""
        return seconds_from_fio_time(self.ramp_time)

    @property
    def duration_s(self) -> float:
        """Seconds from fio's start to its end, without what it takes to start: ``ramp_time`` plus ``runtime``."""
        return self.ramp_time_s + self.runtime_s

    def with_options(self, **options: str | float | bool) -> FioJob:
        """Return the job with options set or replaced.

        :raise InputError: an option that cannot be varied, or a value that makes the job one that is refused.
        """
        for name in options:
            check_option_name(name)
        return self._with({canonical_name(name): _text(value) for name, value in options.items()}).checked()

    def in_guest(self, device: str, *, vcpus: int) -> FioJob:
        """Return the job as it goes into a guest: all of its disk, a worker per vCPU, one result, a trace.

        Worker k runs on vCPU k: each vCPU has a virtqueue of its own, so workers that move would load the queues, and
        with them the IOThreads, unevenly. A job that says ``cpus_allowed`` itself is left alone. ``size`` is that of
        the file fio makes where there is no lab, and goes.

        :param device: path of the disk in the guest.
        """
        settings = {
            "filename": device,
            "group_reporting": "1",
            "exitall_on_error": "1",  # a worker that failed makes the run worthless: do not wait for the others
            "write_iops_log": TRACE_LOG.partition("_iops")[0],
            "log_avg_msec": str(TRACE_INTERVAL_MS),
            "per_job_logs": "1",
        }
        if self._option("cpus_allowed") is None:
            settings |= {"cpus_allowed": f"0-{vcpus - 1}" if vcpus > 1 else "0", "cpus_allowed_policy": "split"}
        if self.rw.partition(":")[0] in _MIXED:
            settings["unified_rw_reporting"] = "both"  # percentiles of both directions together
        job = self._with(settings)
        return replace(job, general=_without(job.general, "size"), own=_without(job.own, "size"))

    def to_text(self) -> str:
        """Return the job as a file that fio reads."""
        return "\n".join([*_section("global", self.general), "", *_section(self.name, self.own), ""])

    def checked(self) -> FioJob:
        """Return the job if the lab can use it.

        :raise InputError: it is refused; the message says which option and why.
        """
        for name, value in (*self.general, *self.own):
            if name == "ioengine":
                check_engine(value or "")
        if not self._is_on("time_based") or self.runtime_s <= 0:
            raise self._refusal("time_based and runtime", "without both a run ends when fio has covered the disk once")
        if not self._is_on("direct"):
            raise self._refusal("direct=1", "otherwise the guest's page cache is measured")
        if self._option("max_latency") is None:
            raise self._refusal("max_latency, for example 30s", "otherwise fio waits for ever for a disk that died")
        seconds_from_fio_time(self.ramp_time)
        self._count("iodepth")
        self._count("numjobs")
        return self

    def _refusal(self, option: str, reason: str) -> InputError:
        return InputError(f"{self.source}: the job does not set {option}", remedy=f"add it: {reason}")

    def _option(self, name: str) -> tuple[str | None] | None:
        """Return the value in a tuple, or None where the option is not set: the value of a flag is None itself."""
        merged = {**dict(self.general), **dict(self.own)}
        return (merged[name],) if name in merged else None

    def _value(self, name: str, default: str) -> str:
        found = self._option(name)
        return default if found is None or found[0] is None else found[0]

    def _is_on(self, name: str) -> bool:
        found = self._option(name)
        return found is not None and found[0] in (None, "1")

    def _count(self, name: str) -> int:
        text = self._value(name, "1")
        if not re.fullmatch(r"[1-9]\d{0,6}", text):
            raise InputError(f"{self.source}: {name}={text} is not a whole number from 1")
        return int(text)

    def _with(self, settings: Options) -> FioJob:
        """Set options where they stand, or in the section of the job."""
        own, general = dict(self.own), dict(self.general)
        for name, value in settings.items():
            if name in general and name not in own:
                general[name] = value
            else:
                own[name] = value
        return replace(self, general=tuple(general.items()), own=tuple(own.items()))


def read_fio_job(path: Path) -> FioJob:
    """Read and check a job file.

    :raise InputError: it cannot be read, is not a job file, or is refused.
    """
    return fio_job_from_text(read_text_input(path, limit_bytes=MIB), source=str(path))


def fio_job_from_text(text: str, *, source: str) -> FioJob:
    """Parse and check the text of a job file.

    :param source: where it comes from, for messages.
    :raise InputError: it is not a job file, or is refused.
    """
    general: dict[str, str | None] = {}
    own: dict[str, str | None] = {}
    names: list[str] = []
    for number, line in _lines(text):
        if line.startswith("["):
            names.append(_section_name(line, f"{source}:{number}"))
            if names[-1].startswith("global") and _jobs(names):  # fio tests the first six characters (init.c)
                raise InputError(
                    f"{source}:{number}: [global] below the job has no effect", remedy="move it to the top"
                )
            continue
        if not names:
            raise InputError(f"{source}:{number}: '{line}' stands before any [section]")
        name, value = _option_from_line(line, f"{source}:{number}")
        (own if _jobs(names) else general)[name] = value
    jobs = _jobs(names)
    if len(jobs) != 1:
        raise InputError(
            f"{source}: {len(jobs)} job sections instead of one",
            remedy="use numjobs for several workers, and a file for each kind of job",
        )
    return FioJob(source, jobs[0], tuple(general.items()), tuple(own.items())).checked()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something, with their numbers."""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith(("#", ";")):
            yield number, stripped


def _option_from_line(line: str, where: str) -> tuple[str, str | None]:
    name, equals, value = (part.strip() for part in line.partition("="))
    word = name.partition(" ")[0]  # fio's include takes its file after a space
    if word in REFUSED:
        raise InputError(f"{where}: fio option '{word}' is refused: {REFUSED[word]}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise InputError(f"{where}: '{line}' is not an option of fio")
    return canonical_name(name), _checked_value(value, where) if equals else None


def _without(options: tuple[tuple[str, str | None], ...], name: str) -> tuple[tuple[str, str | None], ...]:
    return tuple(option for option in options if option[0] != name)


def _section_name(line: str, where: str) -> str:
    match = re.fullmatch(r"\[([^\[\]]+)\]", line)
    if match is None:
        raise InputError(f"{where}: '{line}' is not a [section]")
    return match.group(1).strip()


def _jobs(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith("global")]


def _checked_value(value: str, where: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e]*", value):
        raise InputError(f"{where}: the value {value!r} holds something other than printable ASCII")
    return value


def _text(value: str | float | bool) -> str:
    return _checked_value(str(int(value)) if isinstance(value, bool) else str(value), "a fio option")


def _section(name: str, options: tuple[tuple[str, str | None], ...]) -> list[str]:
    return [f"[{name}]", *(key if value is None else f"{key}={value}" for key, value in options)]
