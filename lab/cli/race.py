"""``lab race``: seeded schedules of commands, task management functions and QMP operations, on one binary or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
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
from lab.cli.types import PATH
from lab.errors import InputError
from lab.files import MIB, read_text_input
from lab.progress import Progress
from lab.virtio.change import Change
from lab.virtio.race.campaign import Finding, Performers, findings_of, run_schedules
from lab.virtio.race.compare import race_changes
from lab.virtio.race.draw import Theme, draw
from lab.virtio.race.judge import Fault
from lab.virtio.race.schedule import Schedule, schedule_from_text
from lab.virtio.race.show import Asked, races_document, races_text, verdict_of_races, write_finding
from lab.virtio.tmf.controller import NAMES
from lab.virtio.verdict import Verdict

_THEMES = tuple(str(theme) for theme in Theme)
_NONE = "shows nothing that the baseline does not, and the other way round"


@click.command()
@binary_options
@click.option("--seed", type=click.IntRange(0, 1 << 63), help="Draw from this seed on. [1]")
@click.option("--count", type=click.IntRange(1, 100_000), help="Seeds in a row [100]; with --replay performances [20].")
@click.option("--theme", "themes", type=click.Choice(_THEMES), multiple=True, help="Only these plots; repeatable.")
@click.option("--mapping", "mappings", type=click.Choice(NAMES), multiple=True, help="Only these mappings; repeatable.")
@click.option("--replay", "stored", type=PATH, metavar="FILE", help="Perform a stored schedule instead.")
@click.option("--reduce/--no-reduce", default=True, help="Look for the shortest schedule that still fails.")
@evidence_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def race(
    seed: int | None,
    count: int | None,
    themes: tuple[str, ...],
    mappings: tuple[str, ...],
    stored: Path | None,
    reduce: bool,
    evidence: Path | None,
    as_json: bool,
    quiet: bool,
    **named: Any,
) -> int:
    """Let commands, task management functions and QMP operations race each other, and check what comes of it.

    A seed, the themes and the mappings to choose from decide what is begun and when, but not how QEMU's threads
    interleave it. So a failure is reported as n of m, after making its schedule as short as possible, and written as a
    script that runs without the lab.

    With a series or a candidate both binaries perform the same schedules, and what only one of them failed is given to
    the other again. The exit code is that of the candidate where there is one: 1 if anything went wrong, 4 if some
    races could not be judged, else 0.

    \b
    Examples:
      lab race --qemu ~/qemu/build/qemu-system-x86_64 --count 200
      lab race --qemu ~/qemu/build/qemu-system-x86_64 --seed 1472 --count 1 --theme resets
      lab race --qemu ~/qemu/build/qemu-system-x86_64 --replay seed-1472-wrong-end.json --count 50
      lab race --tree ~/src/qemu --base v10.0.0 --series my.mbox --theme resets
    """
    if stored is not None and (seed is not None or themes or mappings):
        raise InputError(
            "--replay names a schedule, --seed, --theme and --mapping draw one", remedy="leave one or the other out"
        )
    schedules = [_stored(stored)] * (count or 20) if stored is not None else []
    folder = evidence_folder(evidence, "races")
    progress = progress_for(quiet=quiet)
    binaries = asked_binaries(named, progress=progress)
    taken = () if schedules else common_mappings(binaries, mappings)
    schedules = schedules or _drawn(1 if seed is None else seed, count or 100, taken, themes)
    with ExitStack() as stack:
        performers = {arm: stack.enter_context(Performers(qemu)) for arm, qemu in binaries.items()}
        results, findings = {}, {}
        for arm, pool in performers.items():
            place = place_of_arm(folder, arm, binaries)
            with on_account_of(arm):
                results[arm] = run_schedules(pool, schedules, evidence=place, progress=progress)
            findings[arm] = findings_of(pool, results[arm], reduce=reduce and stored is None, progress=progress)
        changes, shown_too = _changes(performers, findings, progress) if CANDIDATE in binaries else (None, False)
    documents, texts = {}, []
    for arm, qemu in binaries.items():
        asked = Asked(qemu, taken, themes)
        place = place_of_arm(folder, arm, binaries)
        written = [(finding, write_finding(finding, place)) for finding in findings[arm]]
        documents[arm] = races_document(asked, results[arm], written)
        texts.append(races_text(asked, results[arm], written))
    print_arms(documents, texts, changes, none=_NONE, as_json=as_json)
    last = results.get(CANDIDATE, results[BASELINE])
    return (Verdict.FAILED if shown_too else verdict_of_races(last)).exit_code


def _stored(file: Path) -> Schedule:
    text = read_text_input(file, limit_bytes=MIB)
    try:
        return schedule_from_text(text)
    except InputError as err:
        raise InputError(f"{file}: {err.message}", remedy=err.remedy) from err


def _drawn(seed: int, count: int, mappings: Sequence[str], themes: Sequence[str]) -> list[Schedule]:
    chosen = [theme for theme in Theme if not themes or theme in themes]
    return [draw(seed + number, mappings, chosen) for number in range(count)]


def _changes(
    performers: Mapping[str, Performers], findings: Mapping[str, Sequence[Finding]], progress: Progress
) -> tuple[tuple[Change, ...], bool]:
    """Return what the candidate changes, and whether it fails what only the baseline had failed so far."""
    fails = []

    def on_candidate(schedule: Schedule, fault: Fault) -> tuple[int, int]:
        failed, performed = performers[CANDIDATE].count(schedule, fault)
        fails.append(failed > 0)
        return failed, performed

    with progress.stage("what failed on one binary, on the other"):
        found = race_changes(
            findings[BASELINE],
            findings[CANDIDATE],
            on_baseline=performers[BASELINE].count,
            on_candidate=on_candidate,
        )
    return found, any(fails)
