"""What fio printed (``--output-format=json``) to the numbers of a run.

fio prints warnings and errors before its JSON and sometimes after it, on the same stream; the object is looked for.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.errors import WorkloadError
from lab.units import LARGEST_VALUE

_MIB = 1 << 20
_BEGINNING = re.compile(r'\{\s*"fio version"')
_NOT_A_NUMBER = re.compile(r"(?<=[:\[,\s])-?(?:nan|inf)(?=\s*[,}\]])", re.IGNORECASE)
_QUOTED_LINES = 5

_Measured = Annotated[float, Field(ge=0, lt=LARGEST_VALUE)]
_Count = Annotated[int, Field(ge=0, lt=1 << 64)]
_Errno = Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)]


@dataclass(frozen=True)
class Figures:
    """The numbers of reads, of writes, or of both together, over all workers.

    :param clat_p50_ns: percentiles are None where fio was told not to collect them, and where they would have to be
        put together from several workers or directions, which cannot be done.
    """

    iops: float
    bandwidth_mib_s: float
    total_ios: int
    clat_mean_ns: float | None
    clat_p50_ns: float | None
    clat_p99_ns: float | None
    clat_p999_ns: float | None


@dataclass(frozen=True)
class FioResult(Figures):
    """The numbers of one run of fio: both directions together, and each.

    :param version: as fio names itself, ``fio-3.33``.
    :param usr_cpu_percent: of one CPU, averaged over the workers.
    :param runtime_ms: of the direction that ran longest, without ``ramp_time``.
    :param errors: I/O errors that ``continue_on_error`` let pass.
    :param junk: what else was printed.
    """

    version: str
    read: Figures | None
    write: Figures | None
    usr_cpu_percent: float
    sys_cpu_percent: float
    runtime_ms: int
    errors: int
    junk: str

    def metrics(self) -> dict[str, float]:
        """Return the metrics of lab/units.py that fio measured, those it did not left out."""
        names = ("iops", "bandwidth_mib_s", "clat_mean_ns", "clat_p50_ns", "clat_p99_ns", "clat_p999_ns")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


class _Latency(BaseModel):
    samples: _Count = Field(default=0, alias="N")
    mean: _Measured | None = None
    percentile: dict[str, _Measured] = {}


class _Part(BaseModel):
    """Reads, writes or both of one worker, or of a group of workers."""

    iops: _Measured
    bw_bytes: _Count
    total_ios: _Count
    runtime: _Count
    clat_ns: _Latency = _Latency()


class _Job(BaseModel):
    jobname: str
    error: _Errno
    total_err: _Count = 0
    read: _Part
    write: _Part
    mixed: _Part | None = None
    usr_cpu: _Measured
    sys_cpu: _Measured


class _Report(BaseModel):
    """The part of fio's JSON (stat.c, show_thread_status_json) that the lab reads."""

    model_config = ConfigDict(populate_by_name=True)

    version: str = Field(alias="fio version")
    jobs: list[_Job] = Field(min_length=1)


def parse_fio_output(text: str, *, evidence: Path | None = None) -> FioResult:
    """Find and read fio's result.

    :param text: all of fio's standard output; of several results (``--status-interval``) the last whole one counts.
    :param evidence: where the text is kept, for the error.
    :raise WorkloadError: there is no whole result, it lacks what every result has, a worker failed, or nothing was
        read or written.
    """
    found, junk = _find_report(text, evidence)

    def failure(what: str) -> WorkloadError:
        return WorkloadError(f"{what}{_quoted(junk)}", evidence=evidence)

    try:
        report = _Report.model_validate(found)
    except ValidationError as err:
        problem = err.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise failure(f"fio's result cannot be read: {where}: {problem['msg']}") from err
    for job in report.jobs:
        if job.error != 0:
            raise failure(f"fio's job '{job.jobname}' failed: error {job.error}, {os.strerror(job.error)}")
    read = _together([job.read for job in report.jobs])
    write = _together([job.write for job in report.jobs])
    total = _together([job.mixed for job in report.jobs if job.mixed is not None]) or _both(read, write)
    if total is None:
        raise failure("fio read and wrote nothing")
    return FioResult(
        **vars(total),
        version=report.version,
        read=read,
        write=write,
        usr_cpu_percent=sum(job.usr_cpu for job in report.jobs) / len(report.jobs),
        sys_cpu_percent=sum(job.sys_cpu for job in report.jobs) / len(report.jobs),
        runtime_ms=max(part.runtime for job in report.jobs for part in (job.read, job.write)),
        errors=sum(job.total_err for job in report.jobs),
        junk=junk,
    )


def _find_report(text: str, evidence: Path | None) -> tuple[dict[str, Any], str]:
    """Return the last whole object that fio printed, and everything around it."""
    for candidate in (text, _NOT_A_NUMBER.sub("null", text)):  # fio prints a float as nan, which JSON does not have
        for begin in reversed([match.start() for match in _BEGINNING.finditer(candidate)]):
            try:
                report, end = json.JSONDecoder().raw_decode(candidate, begin)
            except (ValueError, RecursionError):
                continue
            return report, (candidate[:begin] + candidate[end:]).strip()
    first = _BEGINNING.search(text)
    what = "fio's result is cut off" if first else "fio printed no result"
    raise WorkloadError(f"{what}{_quoted(text[: first.start()] if first else text)}", evidence=evidence)


def _together(parts: Sequence[_Part]) -> Figures | None:
    """Put the workers of one direction together; None where there was no I/O."""
    active = [part for part in parts if part.total_ios > 0]
    if not active:
        return None
    means = [part.clat_ns.mean if part.clat_ns.samples else None for part in active]
    percentile = active[0].clat_ns.percentile if len(active) == 1 else {}
    return Figures(
        iops=sum(part.iops for part in active),
        bandwidth_mib_s=sum(part.bw_bytes for part in active) / _MIB,
        total_ios=sum(part.total_ios for part in active),
        clat_mean_ns=_weighted_mean(means, [part.total_ios for part in active]),
        clat_p50_ns=percentile.get("50.000000"),
        clat_p99_ns=percentile.get("99.000000"),
        clat_p999_ns=percentile.get("99.900000"),
    )


def _both(read: Figures | None, write: Figures | None) -> Figures | None:
    if read is None or write is None:
        return read or write
    return Figures(
        iops=read.iops + write.iops,
        bandwidth_mib_s=read.bandwidth_mib_s + write.bandwidth_mib_s,
        total_ios=read.total_ios + write.total_ios,
        clat_mean_ns=_weighted_mean([read.clat_mean_ns, write.clat_mean_ns], [read.total_ios, write.total_ios]),
        clat_p50_ns=None,
        clat_p99_ns=None,
        clat_p999_ns=None,
    )


def _weighted_mean(means: Sequence[float | None], weights: Sequence[int]) -> float | None:
    known = [mean for mean in means if mean is not None]
    if len(known) < len(means):
        return None
    return sum(mean * weight for mean, weight in zip(known, weights, strict=True)) / sum(weights)


def _quoted(junk: str) -> str:
    lines = [line for line in junk.strip().splitlines() if line.strip()][-_QUOTED_LINES:]
    return ":\n" + "\n".join(lines) if lines else ""
