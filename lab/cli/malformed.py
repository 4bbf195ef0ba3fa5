"""``lab malformed``: requests that break the rules of virtio, by name or from a fuzzer, on one binary or two."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any

import click

from lab.cli.binaries import (
    BASELINE,
    CANDIDATE,
    asked_binaries,
    binary_options,
    common_mappings,
    on_account_of,
    place_of_arm,
    print_arms,
)
from lab.cli.output import progress_for
from lab.cli.places import evidence_folder, evidence_option
from lab.cli.types import PATH, TEXT
from lab.errors import ExitCode, InputError
from lab.files import MIB, read_text_input
from lab.progress import Progress
from lab.virtio.malformed.attempt import run_cases
from lab.virtio.malformed.case import MalformedCase, any_reaction, malformed_cases
from lab.virtio.malformed.compare import malformed_changes
from lab.virtio.malformed.fuzz import Fuzzed, fuzz
from lab.virtio.malformed.request import MalformedRequest, request_from_text
from lab.virtio.malformed.session import FuzzSession
from lab.virtio.malformed.show import fuzzed_document, fuzzed_text, malformed_document, malformed_text
from lab.virtio.tmf.controller import NAMES
from lab.virtio.verdict import Verdict

_MAPPINGS = ("none", "2")
_NONE = "reacts to every request as the baseline does"


@click.command()
@binary_options
@click.option("--mapping", "mappings", type=click.Choice(NAMES), multiple=True, help="Mappings; default: none and 2.")
@click.option("--only", type=TEXT, metavar="PATTERN", help="Only cases whose name matches: '*indirect*'.")
@click.option("--fuzz", "examples", type=click.IntRange(1, 1_000_000), metavar="N", help="N drawn requests instead.")
@click.option("--seed", type=click.IntRange(0), help="What --fuzz draws from. [1]")
@click.option("--replay", "stored", type=PATH, metavar="FILE", help="One stored request instead.")
@evidence_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def malformed(
    mappings: tuple[str, ...],
    only: str | None,
    examples: int | None,
    seed: int | None,
    stored: Path | None,
    evidence: Path | None,
    as_json: bool,
    quiet: bool,
    **named: Any,
) -> int:
    """Put requests before virtio-scsi that break the rules: too short, looped, out of range, wrong in content.

    The device may ask for a reset, leave them alone, or answer with an error, as each case says. It must not crash,
    take anything before DRIVER_OK, or fail to work after a reset.

    With a series or a candidate both binaries get them, and what the candidate changes is said. The exit code is that
    of the candidate where there is one: 0 when all passed, 1 when a case failed, 4 when there are only undecided ones.

    \b
    Examples:
      lab malformed --qemu ~/qemu/build/qemu-system-x86_64
      lab malformed --qemu ~/qemu/build/qemu-system-x86_64 --fuzz 2000 --seed 7
      lab malformed --qemu ~/qemu/build/qemu-system-x86_64 --replay request.json
      lab malformed --tree ~/src/qemu --base v10.0.0 --series my.mbox
    """
    cases = _cases(only, examples, seed, stored)
    seed = 1 if seed is None else seed
    folder = evidence_folder(evidence, "malformed")
    progress = progress_for(quiet=quiet)
    binaries = asked_binaries(named, progress=progress)
    places = {arm: place_of_arm(folder, arm, binaries) for arm in binaries}
    taken = common_mappings(binaries, mappings, _MAPPINGS)
    drawn: dict[str, Fuzzed] = {}
    if examples is not None:
        taken = taken[-1:]
        for arm, qemu in binaries.items():
            with on_account_of(arm):
                drawn[arm] = _drawn(qemu, taken[0], examples, seed, places[arm] / "drawn", progress)
        cases = [any_reaction(f"request drawn on the {arm}", one.finding) for arm, one in drawn.items() if one.finding]
    results = {}
    for arm, qemu in binaries.items():
        with on_account_of(arm):
            results[arm] = run_cases(qemu, cases, taken, evidence=places[arm], progress=progress)
    documents, texts = {}, []
    for arm, qemu in binaries.items():
        if arm in drawn:
            documents[arm] = fuzzed_document(qemu, seed, drawn[arm])
            texts.append(fuzzed_text(qemu, seed, taken[0], drawn[arm]))
        else:
            documents[arm] = malformed_document(qemu, results[arm])
            texts.append(malformed_text(qemu, results[arm]))
    changes = malformed_changes(results[BASELINE], results[CANDIDATE]) if CANDIDATE in results else None
    print_arms(documents, texts, changes, none=_NONE, as_json=as_json)
    last = CANDIDATE if CANDIDATE in results else BASELINE
    if last in drawn and drawn[last].finding is not None:
        return ExitCode.FINDING
    return Verdict.of_all(result.verdict for result in results[last]).exit_code


def _cases(only: str | None, examples: int | None, seed: int | None, stored: Path | None) -> list[MalformedCase]:
    """Return the named cases that are asked for, or the stored one.

    :raise InputError: there are none, the stored one is not good, or the options contradict each other.
    """
    if sum(option is not None for option in (only, examples, stored)) > 1 or (seed is not None and examples is None):
        raise InputError(
            "--only chooses named cases, --fuzz draws requests (from --seed), and --replay names one",
            remedy="give one of them; --seed goes with --fuzz",
        )
    if stored is not None:
        return [any_reaction(stored.name, request_from_text(read_text_input(stored, limit_bytes=MIB)))]
    cases = [case for case in malformed_cases() if fnmatch.fnmatchcase(case.name, only or "*")]
    if not cases:
        raise InputError(f"no case is called '{only}'", remedy="--json without --only has the names of all cases")
    return cases


def _drawn(qemu: Path, mapping: str, examples: int, seed: int, place: Path, progress: Progress) -> Fuzzed:
    """Have requests drawn, and store the smallest with which something is wrong."""
    with FuzzSession(qemu, mapping, place) as session, progress.stage("drawn requests", examples) as stage:

        def faults_of(request: MalformedRequest) -> tuple[str, ...]:
            stage.update(min(session.tried, examples), note="" if session.tried < examples else "making it smaller")
            return session.faults_of(request)

        found = fuzz(faults_of, examples=examples, start_seed=seed)
    if found is None:
        return Fuzzed(session.tried)
    file = place / "request.json"
    place.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found.request.to_json(), indent=2) + "\n", encoding="utf-8")
    return Fuzzed(session.tried, found.request, found.faults, file)
