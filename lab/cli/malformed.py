"""``lab malformed``: requests that break the rules of virtio, by name or from a fuzzer, on one binary."""

from __future__ import annotations

import fnmatch
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from lab.cli.output import print_json, print_text, progress_for
from lab.errors import ExitCode, InputError
from lab.files import MIB, read_text_input
from lab.progress import Progress
from lab.settings import cache_dir
from lab.virtio.binary import require_qemu
from lab.virtio.malformed.attempt import MalformedResult, run_cases
from lab.virtio.malformed.case import MalformedCase, malformed_cases
from lab.virtio.malformed.fuzz import fuzz
from lab.virtio.malformed.perform import Outcome
from lab.virtio.malformed.request import MalformedRequest, request_from_text
from lab.virtio.malformed.session import FuzzSession
from lab.virtio.malformed.show import malformed_document, malformed_text
from lab.virtio.tmf.controller import NAMES, mappings_of
from lab.virtio.tmf.judge import Verdict

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MAPPINGS = ("none", "2")


@click.command()
@click.option("--qemu", type=_FILE, required=True, metavar="BINARY", help="The QEMU to ask (qemu-system-x86_64).")
@click.option("--mapping", "mappings", type=click.Choice(NAMES), multiple=True, help="Mappings; default: none and 2.")
@click.option("--only", metavar="PATTERN", default="*", help="Only cases whose name matches: '*indirect*'.")
@click.option("--fuzz", "examples", type=click.IntRange(1, 1_000_000), metavar="N", help="N drawn requests instead.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="What --fuzz draws from.")
@click.option("--replay", "stored", type=_FILE, metavar="FILE", help="One stored request instead.")
@click.option("--evidence", type=click.Path(file_okay=False, path_type=Path), help="Folder for what went wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def malformed(
    qemu: Path,
    mappings: tuple[str, ...],
    only: str,
    examples: int | None,
    seed: int,
    stored: Path | None,
    evidence: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Put requests before virtio-scsi that break the rules: too short, looped, out of range, wrong in content.

    The device may ask for a reset, leave them alone, or answer with an error, as each case says. It must not crash,
    take anything before DRIVER_OK, or fail to work after a reset.

    The exit code is 0 when all passed, 1 when a case failed, 4 when there are only undecided ones.

    \b
    Examples:
      lab malformed --qemu ~/qemu/build/qemu-system-x86_64
      lab malformed --qemu ~/qemu/build/qemu-system-x86_64 --fuzz 2000 --seed 7
      lab malformed --qemu ~/qemu/build/qemu-system-x86_64 --replay request.json
    """
    binary = require_qemu(qemu)
    progress = progress_for(quiet=quiet)
    folder = evidence or cache_dir("malformed") / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    taken = [name for name in mappings or _MAPPINGS if name in mappings_of(binary)]
    cases = _stored(stored) if stored else [case for case in malformed_cases() if fnmatch.fnmatchcase(case.name, only)]
    if not taken or not cases:
        raise InputError(f"no case is left for --mapping {' '.join(mappings) or '(default)'} and --only '{only}'")
    if examples is not None:
        return _fuzzed(binary, taken[-1], examples, seed, folder, progress, as_json=as_json)
    results = run_cases(binary, cases, taken, evidence=folder, progress=progress)
    if as_json:
        print_json(malformed_document(binary, results))
    else:
        print_text(malformed_text(binary, results))
    return _exit_code(results)


def _exit_code(results: tuple[MalformedResult, ...]) -> ExitCode:
    verdicts = {result.verdict for result in results}
    if Verdict.FAILED in verdicts:
        return ExitCode.FINDING
    return ExitCode.UNDECIDED if Verdict.UNDECIDED in verdicts else ExitCode.DONE


def _stored(file: Path) -> list[MalformedCase]:
    """Return a stored request as a case of its own: any reaction is right, a crash is not."""
    request = request_from_text(read_text_input(file, limit_bytes=MIB))
    return [MalformedCase(file.name, request, frozenset(Outcome))]


def _fuzzed(
    qemu: Path, mapping: str, examples: int, seed: int, folder: Path, progress: Progress, *, as_json: bool
) -> ExitCode:
    with FuzzSession(qemu, mapping, folder) as session, progress.stage("drawn requests", examples) as stage:

        def faults_of(request: MalformedRequest) -> tuple[str, ...]:
            stage.update(min(session.tried, examples), note="" if session.tried < examples else "making it smaller")
            return session.faults_of(request)

        found = fuzz(faults_of, examples=examples, start_seed=seed)
    file = folder / "request.json"
    if found is not None:
        file.write_text(json.dumps(found.request.to_json(), indent=2) + "\n", encoding="utf-8")
    if as_json:
        finding = None if found is None else {"faults": list(found.faults), "request": found.request.to_json()}
        print_json({"binary": str(qemu), "seed": seed, "requests": session.tried, "finding": finding})
    elif found is None:
        print_text(f"{session.tried} requests drawn from seed {seed}, mapping {mapping}: nothing wrong")
    else:
        print_text("\n".join((f"failed: request {session.tried} from seed {seed}", *found.faults)))
        print_text(f"run it again: lab malformed --qemu BINARY --mapping {mapping} --replay {file}")
    return ExitCode.DONE if found is None else ExitCode.FINDING
