"""The evidence of a run to a seal, and a results folder to what is wrong with it.

A seal is a file of SHA-256 sums that coreutils' ``sha256sum --check`` reads too, so that nobody needs the lab to find
out whether a log was edited. Published result files have been seen with merge-conflict markers in them.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import InputError, WorkloadError
from lab.experiment.store import EVIDENCE, ResultsFolder
from lab.files import MIB, read_text_input
from lab.record import Outcome, RunRecord
from lab.workload.fio_output import parse_fio_output
from lab.workload.fio_trace import parse_iops_log

SEAL = "SHA256SUMS"
_LARGEST_BYTES = 256 * MIB


@dataclass(frozen=True)
class Fault:
    """Something wrong with a stored file.

    :param path: relative to the results folder.
    """

    path: str
    what: str


def seal(evidence: Path) -> None:
    """Write the sums of all files of a run's evidence beside them, on the disk before this returns."""
    lines = [f"{_sum_of(path)}  {path.relative_to(evidence)}\n" for path in _files(evidence)]
    with (evidence / SEAL).open("w", encoding="utf-8", errors="surrogateescape") as sink:
        sink.writelines(lines)
        sink.flush()
        os.fsync(sink.fileno())


def faults_of(folder: ResultsFolder) -> Iterator[Fault]:
    """Yield what is wrong with the evidence of a results folder; nothing where all of it is as it was written.

    Each run's files are compared with its seal, and the metrics of its record are computed once more from what fio
    printed. What a killed run left behind without a record is not wrong: it is cleared when the run is done again.

    :raise InputError: the records themselves cannot be read.
    """
    for record in folder.records():
        evidence = folder.path / EVIDENCE / record.id
        where = f"{EVIDENCE}/{record.id}"
        if not evidence.is_dir():
            yield Fault(where, "the evidence of a recorded run is gone")
            continue
        yield from (Fault(f"{where}/{name}", what) for name, what in _broken_seals(evidence))
        if record.outcome is Outcome.OK and (evidence / "fio.json").exists():
            yield from (Fault(f"{where}/{name}", what) for name, what in _other_numbers(evidence, record))


def _broken_seals(evidence: Path) -> Iterator[tuple[str, str]]:
    sealed = evidence / SEAL
    if not sealed.exists():
        yield SEAL, "is gone, or the run was done by a version of the lab that wrote none"
        return
    try:
        lines = read_text_input(sealed, limit_bytes=MIB).splitlines()
    except InputError as err:
        yield SEAL, err.message
        return
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    present = {str(path.relative_to(evidence)): path for path in _files(evidence)}
    for name in sorted(sums.keys() | present.keys()):
        if name not in present:
            yield name, "is gone"
        elif name not in sums:
            yield name, "was added after the run"
        elif _sum_of(present[name]) != sums[name]:
            yield name, "was changed after the run"


def _other_numbers(evidence: Path, record: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield where fio's own output does not give the numbers of the record."""
    try:
        text = read_text_input(evidence / "fio.json", limit_bytes=_LARGEST_BYTES)
        metrics = parse_fio_output(text, evidence=evidence / "fio.json").metrics()
    except (InputError, WorkloadError) as err:
        yield "fio.json", f"cannot be read any more: {err.message}"
        return
    for name, value in metrics.items():
        stored = record.metrics.get(name)
        if stored is None or not math.isclose(stored, value, rel_tol=1e-9):
            yield "fio.json", f"gives {name} = {value:g}, but the record says {stored}"
    if "iops" in record.traces:
        try:
            log = read_text_input(evidence / "fio-iops.log", limit_bytes=_LARGEST_BYTES)
            same = parse_iops_log(log) == tuple(record.traces["iops"])
        except (InputError, WorkloadError) as err:
            yield "fio-iops.log", f"cannot be read any more: {err.message}"
            return
        if not same:
            yield "fio-iops.log", "gives another trace than the record"


def _files(evidence: Path) -> list[Path]:
    """Return the regular files below a folder, in order; a link is not followed: it may lead anywhere."""
    return sorted(
        path for path in evidence.rglob("*") if path.is_file() and not path.is_symlink() and path.name != SEAL
    )


def _sum_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
