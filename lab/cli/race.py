"""``lab race``: seeded schedules of commands, task management functions and QMP operations, on one binary."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from lab.cli.output import print_json, print_text, progress_for
from lab.errors import ExitCode, InputError
from lab.files import MIB, read_text_input
from lab.settings import cache_dir
from lab.virtio.binary import require_qemu
from lab.virtio.race.campaign import Performers, findings_of, run_schedules
from lab.virtio.race.draw import Theme, draw
from lab.virtio.race.schedule import Schedule, schedule_from_text
from lab.virtio.race.show import races_document, races_text, verdict_of_races, write_finding
from lab.virtio.tmf.controller import NAMES, mappings_of
from lab.virtio.tmf.judge import Verdict

_EXIT_CODES = {
    Verdict.PASSED: ExitCode.DONE,
    Verdict.FAILED: ExitCode.FINDING,
    Verdict.UNDECIDED: ExitCode.UNDECIDED,
}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--qemu", type=_FILE, required=True, metavar="BINARY", help="The QEMU to race (qemu-system-x86_64).")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Draw from this seed on.")
@click.option("--count", type=click.IntRange(1, 100_000), help="Seeds in a row; with --replay performances.")
@click.option(
    "--theme", "themes", type=click.Choice([str(theme) for theme in Theme]), multiple=True, help="Only these."
)
@click.option("--mapping", "mappings", type=click.Choice(NAMES), multiple=True, help="Only these mappings; repeatable.")
@click.option("--replay", "stored", type=_FILE, metavar="FILE", help="Perform a stored schedule instead (20 times).")
@click.option("--reduce/--no-reduce", default=True, help="Look for the shortest schedule that still fails.")
@click.option("--evidence", type=click.Path(file_okay=False, path_type=Path), help="Folder for what went wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def race(
    qemu: Path,
    seed: int,
    count: int | None,
    themes: tuple[str, ...],
    mappings: tuple[str, ...],
    stored: Path | None,
    reduce: bool,
    evidence: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Let commands, task management functions and QMP operations race each other, and check what comes of it.

    A seed decides what is begun and when; how QEMU's threads interleave it does not. So a failure is reported as n of
    m, after making its schedule as short as possible. Each one is written as a script that runs without the lab.

    The exit code is 1 if anything went wrong, 4 if some races could not be judged, else 0.

    \b
    Examples:
      lab race --qemu ~/qemu/build/qemu-system-x86_64 --count 200
      lab race --qemu ~/qemu/build/qemu-system-x86_64 --seed 1472 --count 1 --theme resets
      lab race --qemu ~/qemu/build/qemu-system-x86_64 --replay seed-1472-wrong-end.json --count 50
    """
    binary = require_qemu(qemu)
    schedules = _stored(stored, count or 20) if stored else _drawn(binary, seed, count or 100, mappings, themes)
    progress = progress_for(quiet=quiet)
    folder = evidence or cache_dir("races") / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
    with Performers(binary) as performers:
        results = run_schedules(performers, schedules, evidence=folder, progress=progress)
        shorten = reduce and stored is None
        findings = findings_of(performers, results, reduce=shorten, progress=progress)
    written = [(finding, write_finding(finding, folder)) for finding in findings]
    if as_json:
        print_json(races_document(binary, results, written))
    else:
        print_text(races_text(binary, results, written))
    return _EXIT_CODES[verdict_of_races(results)]


def _stored(file: Path, count: int) -> list[Schedule]:
    return [schedule_from_text(read_text_input(file, limit_bytes=MIB))] * count


def _drawn(qemu: Path, seed: int, count: int, mappings: Sequence[str], themes: Sequence[str]) -> list[Schedule]:
    taken = [name for name in mappings_of(qemu) if not mappings or name in mappings]
    if not taken:
        raise InputError(f"this binary takes none of the mappings {', '.join(mappings)}")
    chosen = [theme for theme in Theme if not themes or theme in themes]
    return [draw(seed + number, taken, chosen) for number in range(count)]
