"""``lab tmf``: the matrix of task management functions for one binary, or what a second one or a series changes."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from lab.cli.binaries import (
    BASELINE,
    CANDIDATE,
    asked_binaries,
    binary_options,
    document_of_arms,
    on_account_of,
    place_of_arm,
    print_arms,
)
from lab.cli.output import progress_for
from lab.cli.places import evidence_folder, evidence_option, require_place
from lab.cli.types import PATH, TEXT
from lab.errors import InputError
from lab.files import write_atomically
from lab.report.tmf import draw_tmf, tmf_page
from lab.virtio.tmf.case import TmfCase, matrix_cases
from lab.virtio.tmf.compare import changes
from lab.virtio.tmf.controller import NAMES, mappings_of
from lab.virtio.tmf.matrix import run_matrix
from lab.virtio.tmf.show import document, table
from lab.virtio.verdict import Verdict

_ONLY = """Only cases whose id matches a shell pattern. An id is MAPPING/FUNCTION/TAG/LUN/QUEUE, as in
4/ABORT_TASK/in-flight/present/queue-0; '*/QUERY_*' takes both queries, '*/being-aborted/*' one state of the tag."""

_NONE = "answers every case as the baseline does"


@click.command()
@binary_options
@click.option("--mapping", "mappings", type=click.Choice(NAMES), multiple=True, help="Only these mappings; repeatable.")
@click.option("--only", type=TEXT, metavar="PATTERN", default="*", help=_ONLY)
@evidence_option
@click.option(
    "--html", type=PATH, metavar="FILE.html", help="Write a page: the matrix, and the cases behind each cell."
)
@click.option("--chart", type=PATH, metavar="FILE.png", help="Draw the matrix; FILE.svg is put beside it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def tmf(
    mappings: tuple[str, ...],
    only: str,
    evidence: Path | None,
    html: Path | None,
    chart: Path | None,
    as_json: bool,
    quiet: bool,
    **named: Any,
) -> int:
    """Send every virtio-scsi task management function and hold the answers against the specifications.

    No guest, no KVM, no root: the lab drives the controller itself. Commands are kept in flight on every queue while a
    function is sent; each has to end exactly once and as virtio and SAM say. A QEMU that never answers is a finding.

    With a series or a candidate both are asked, and what the candidate changes is said; else one binary is, by default
    the base that the lab builds. The exit code is that of the candidate where there is one: 0 all passed, 1 a case
    failed, 4 only undecided ones.

    \b
    Examples:
      lab tmf --qemu ~/qemu/build/qemu-system-x86_64 --mapping 4 --only '*/ABORT_TASK/*'
      lab tmf --tree ~/src/qemu --base v10.0.0 --series my.mbox --html tmf.html
    """
    require_place(html, ".html")
    require_place(chart, ".png")
    folder = evidence_folder(evidence, "tmf")
    progress = progress_for(quiet=quiet)
    binaries = asked_binaries(named, progress=progress)
    cases = {arm: _cases(qemu, mappings, only) for arm, qemu in binaries.items()}
    tables, results = [], {}
    for arm, qemu in binaries.items():
        start = time.monotonic()
        place = place_of_arm(folder, arm, binaries)
        title = f"task management of the {arm}"
        with on_account_of(arm):
            results[arm] = run_matrix(qemu, cases[arm], evidence=place, progress=progress, title=title)
        tables.append(table(qemu, results[arm], time.monotonic() - start))
    documents = {arm: document(binaries[arm], found) for arm, found in results.items()}
    changed = changes(results[BASELINE], results[CANDIDATE]) if CANDIDATE in results else None
    made = document_of_arms(documents, changed)
    if html is not None:
        write_atomically(html, tmf_page(made, folder=html.absolute().parent).encode())
    if chart is not None:
        draw_tmf(chart, made, "lab tmf")
    print_arms(documents, tables, changed, none=_NONE, as_json=as_json)
    last = results.get(CANDIDATE, results[BASELINE])
    return Verdict.of_all(result.judgement.verdict for result in last).exit_code


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
