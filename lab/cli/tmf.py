"""``lab tmf``: the matrix of task management functions for one binary, or what a second one changes."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from lab.cli.output import print_json, print_text, progress_for
from lab.errors import ExitCode, InputError
from lab.progress import Progress
from lab.settings import cache_dir
from lab.virtio.binary import require_qemu
from lab.virtio.tmf.case import TmfCase, matrix_cases
from lab.virtio.tmf.compare import changes, text_from_changes
from lab.virtio.tmf.controller import NAMES, mappings_of
from lab.virtio.tmf.judge import Verdict
from lab.virtio.tmf.matrix import TmfResult, run_matrix, verdict_of
from lab.virtio.tmf.show import document, table

_EXIT_CODES = {
    Verdict.PASSED: ExitCode.DONE,
    Verdict.FAILED: ExitCode.FINDING,
    Verdict.UNDECIDED: ExitCode.UNDECIDED,
}

_ONLY = """Only cases whose id matches a shell pattern. An id is MAPPING/FUNCTION/TAG/LUN/QUEUE, as in
4/ABORT_TASK/in-flight/present/queue-0; '*/QUERY_*' takes both queries, '*/being-aborted/*' one state of the tag."""

_BINARY = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--qemu", type=_BINARY, required=True, metavar="BINARY", help="The QEMU to ask (qemu-system-x86_64).")
@click.option("--candidate", type=_BINARY, metavar="BINARY", help="A second QEMU: also say what it changes.")
@click.option("--mapping", "mappings", type=click.Choice(NAMES), multiple=True, help="Only these mappings; repeatable.")
@click.option("--only", metavar="PATTERN", default="*", help=_ONLY)
@click.option("--evidence", type=click.Path(file_okay=False, path_type=Path), help="Folder for what did not pass.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def tmf(
    qemu: Path,
    candidate: Path | None,
    mappings: tuple[str, ...],
    only: str,
    evidence: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Send every virtio-scsi task management function and hold the answers against the specifications.

    No guest, no KVM, no root: the lab drives the controller itself. Commands are kept in flight on every queue while a
    function is sent; each has to end exactly once and as virtio and SAM say. A QEMU that never answers is a finding.

    The exit code is that of the candidate where there is one: 0 all passed, 1 a case failed, 4 only undecided ones.

    \b
    Example:
      lab tmf --qemu ~/qemu/build/qemu-system-x86_64 --mapping 4 --only '*/ABORT_TASK/*'
    """
    qemu, candidate = require_qemu(qemu), require_qemu(candidate) if candidate else None
    progress = progress_for(quiet=quiet)
    folder = evidence or cache_dir("tmf") / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    if candidate is None:
        results, seconds = _results(qemu, mappings, only, folder, progress)
        if as_json:
            print_json(document(qemu, results))
        else:
            print_text(table(qemu, results, seconds))
        return _EXIT_CODES[verdict_of(results)]
    before, before_s = _results(qemu, mappings, only, folder / "baseline", progress)
    after, after_s = _results(candidate, mappings, only, folder / "candidate", progress)
    found = changes(before, after)
    if as_json:
        documents = {"baseline": document(qemu, before), "candidate": document(candidate, after)}
        print_json({**documents, "changes": [change.to_json() for change in found]})
    else:
        tables = table(qemu, before, before_s), table(candidate, after, after_s)
        print_text("\n\n".join((*tables, text_from_changes(found))))
    return _EXIT_CODES[verdict_of(after)]


def _results(
    qemu: Path, mappings: Sequence[str], only: str, evidence: Path, progress: Progress
) -> tuple[tuple[TmfResult, ...], float]:
    start = time.monotonic()
    cases = _cases(qemu, mappings, only)
    results = run_matrix(qemu, cases, evidence=evidence, progress=progress, title=f"task management of {qemu.name}")
    return results, time.monotonic() - start


def _cases(qemu: Path, mappings: Sequence[str], only: str) -> tuple[TmfCase, ...]:
    taken = [name for name in mappings_of(qemu) if not mappings or name in mappings]
    cases = tuple(case for case in matrix_cases(taken) if fnmatch.fnmatchcase(case.id, only))
    if not cases:
        raise InputError(
            f"no case is left for --mapping {' '.join(mappings) or '(any)'} and --only '{only}'",
            remedy="the ids of all cases are in the output of: lab tmf --qemu BINARY --json; "
            "a mapping that the binary does not take has none",
        )
    return cases
