"""``lab calibrate``: measure what this host's noise does to verdicts, and keep it for every report from here."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from lab.analysis.calibrate import Campaign, calibration_from_campaigns
from lab.analysis.calibration import (
    Calibration,
    Shift,
    calibration_sentence,
    path_of,
    target_of,
    text_from_calibration,
)
from lab.analysis.compare import compare_results
from lab.analysis.results import read_results
from lab.cli.cells import WAIT
from lab.cli.output import print_json, print_text, progress_for
from lab.cli.places import require_place
from lab.cli.types import PATH, TEXT
from lab.command import text_from_argv
from lab.errors import HostError, InputError
from lab.experiment.calibrate import CalibrationRequest, CampaignFolder, run_campaigns
from lab.experiment.job import load_job
from lab.files import write_atomically
from lab.report.tables import Row, text_table
from lab.settings import project_dir
from lab.units import text_from_percent

_JOB = "jobs/virtio-scsi-iothreads.toml"
_LATENCY_NS = 100_000
_NOISE_HEADER: Row = ("point", "metric", "pairs", "noise of a pair", "smallest loss caught")
_SHIFT_HEADER: Row = ("campaign", "point", "metric", "change", "interval", "verdict")


@click.command("calibrate")
@click.argument("job", type=PATH, default=lambda: project_dir() / _JOB)
@click.option("--profile", type=TEXT, help="Profile of the job file. [the job's default]")
@click.option("--tree", type=PATH, help="QEMU git tree. [the distribution's source]")
@click.option("--base", type=TEXT, help="Commit of the tree. [HEAD]")
@click.option("--results", type=PATH, help="Folder for the campaigns. [results/calibration-JOB-PROFILE]")
@click.option("--accelerator", type=click.Choice(["kvm", "tcg"]), help="Insist on one. [what works]")
@click.option("--blocks", type=click.IntRange(6, 1000), help="Of the A/A campaign. [twice those of the profile]")
@click.option(
    "--latency-ns",
    "latencies_ns",
    type=click.IntRange(1, 10**10),
    multiple=True,
    help=f"Backend latency to inject into the candidate; one campaign for each. [{_LATENCY_NS}]",
)
@click.option("--series", type=PATH, help="Patch to inject into the candidate instead, a slowdown of known size.")
@click.option("--no-latency", is_flag=True, help="Inject no latency.")
@click.option("--build", "rebuild", is_flag=True, help="Also build the base again from nothing, for the layout noise.")
@WAIT
@click.option("--export", type=PATH, metavar="FILE.json", help="Write the calibration to this file, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the calibration as JSON.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def calibrate(
    job: Path,
    latencies_ns: tuple[int, ...],
    no_latency: bool,
    export: Path | None,
    as_json: bool,
    quiet: bool,
    **options: object,
) -> None:
    """Measure this host's false alarms, the smallest change it catches, and what building again moves.

    Runs a job with the same binary as both arms, with a slowdown of known size in the candidate (more latency of its
    backend, or a patch), and, with --build, with the base built twice. Called again, it goes on where it stopped. What
    comes of it is kept, and shown by every later comparison and report of this job and profile from this host; 'lab
    plan --resolve' plans with it.

    \b
    Example: lab calibrate jobs/virtio-scsi-iothreads.toml --profile full --build
    """
    if no_latency and latencies_ns:
        raise InputError("--latency-ns and --no-latency contradict each other", remedy="leave one of them out")
    require_place(export, ".json")  # now, and not after hours of campaigns
    latencies = latencies_ns or (() if no_latency or options["series"] else (_LATENCY_NS,))
    command = text_from_argv(("lab", *sys.argv[1:]))
    request = CalibrationRequest(job=job, latencies_ns=latencies, command=command, **options)  # type: ignore[arg-type]
    folders = run_campaigns(request, progress_for(quiet=quiet))
    calibration = calibration_from_folders(folders, blocks=load_job(job).profile(request.profile)[1].blocks)
    text = text_from_calibration(calibration)
    path = path_of(calibration.target)
    for target in (path, *([export] if export else [])):
        _write(target, text)
    if as_json:
        print_json({"path": str(path), "sentence": calibration_sentence(calibration)} | _shown(calibration))
    else:
        print_text(f"{_tables(calibration)}\n\n{calibration_sentence(calibration)}\nkept in {path}")


def calibration_from_folders(folders: tuple[CampaignFolder, ...], *, blocks: int) -> Calibration:
    """Return what finished campaigns come to.

    :param blocks: of an ordinary experiment of the job and profile.
    :raise InputError: a folder is damaged, or the A/A campaign has too few blocks.
    """
    first, *others = (Campaign(f.kind, f.latency_ns, compare_results(read_results(f.folder))) for f in folders)
    target = target_of(first.comparison.results)
    if target is None:
        raise InputError(f"{folders[0].folder} does not say on which host and for which job it was made")
    return calibration_from_campaigns(
        target,
        first.comparison,
        others,
        blocks=blocks,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as err:
        raise HostError(f"{path} cannot be written: {err.strerror}", remedy="see that the disk is not full") from err


def _shown(calibration: Calibration) -> dict[str, object]:
    return {
        "false_alarm_rate": calibration.false_alarm_rate,
        "false_alarm_low": calibration.false_alarm_low,
        "false_alarm_high": calibration.false_alarm_high,
        "campaigns": calibration.campaigns,
        "alarms": calibration.alarms,
        "blocks": calibration.blocks,
        "smallest_change": calibration.smallest_change,
        "layout_noise": calibration.layout_noise,
        "noise": [vars(noise) for noise in calibration.noise],
        "shifts": [vars(shift) for shift in calibration.shifts],
    }


def _tables(calibration: Calibration) -> str:
    noise = [
        (
            one.point,
            one.metric,
            str(one.pairs),
            f"{100 * one.spread:.1f} %",
            "-" if one.smallest_change is None else f"{100 * one.smallest_change:.1f} %",
        )
        for one in calibration.noise
    ]
    parts = [text_table(_NOISE_HEADER, noise)]
    if calibration.shifts:
        parts.append(text_table(_SHIFT_HEADER, [_shift_row(shift) for shift in calibration.shifts]))
    return "\n\n".join(parts)


def _shift_row(shift: Shift) -> Row:
    name = f"+{shift.latency_ns} ns" if shift.latency_ns else shift.kind
    interval = f"[{text_from_percent(shift.low)}, {text_from_percent(shift.high)}]"
    return (name, shift.point, shift.metric, text_from_percent(shift.change), interval, shift.verdict)
