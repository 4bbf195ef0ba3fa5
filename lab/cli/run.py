"""``lab run``, ``lab bench``, ``lab plan`` and ``lab command-line``: everything that starts from a job file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lab.cli.output import print_json, print_text, progress_for
from lab.cli.types import PATH, TEXT
from lab.command import text_from_argv
from lab.errors import ExitCode
from lab.experiment.arms import ArmsRequest, arms_from_request
from lab.experiment.conduct import (
    BOOT_AND_STOP_S,
    Conducted,
    Request,
    cell_from_id,
    checked_cells,
    conduct,
    with_demonstration,
)
from lab.experiment.job import load_job
from lab.experiment.machines import machine_from_cell
from lab.experiment.schedule import draw_schedule
from lab.host.accelerator import probe_accelerator
from lab.host.packages import install_packages, missing_packages
from lab.image.build import build_image
from lab.machine.command_line import GuestBoot, Wiring, argv_from_spec
from lab.machine.guest_shell import RunKey
from lab.record import Arm
from lab.report.write import report_text_for_terminal, write_report
from lab.settings import cache_dir, project_dir
from lab.units import text_from_seconds

DEFAULT_JOB = "jobs/virtio-scsi-iothreads.toml"
_SSH_PORT = 2222

F = TypeVar("F", bound=Callable[..., Any])


def _arms_options(command: F) -> F:
    """Add the options that name what is built."""
    for option in (
        click.option("--revision", type=int, help="Revision of the series, if the mailbox holds several. [newest]"),
        click.option("--series", type=PATH, help="Series: mbox, maildir, folder or mail."),
        click.option("--range", type=TEXT, help="Commits of the tree instead of a series: BASE..TOPIC."),
        click.option(
            "--base", type=TEXT, help="Commit of the tree that the series applies to. [what it names, or HEAD]"
        ),
        click.option("--tree", type=PATH, help="QEMU git tree. [the distribution's source]"),
    ):
        command = option(command)
    return command


def _run_options(command: F) -> F:
    """Add the options that say how an experiment is run."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print where the results are as JSON."),
        click.option("--quiet", is_flag=True, help="No progress on stderr."),
        click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Seed of the schedule. [drawn]"),
        click.option("--accelerator", type=click.Choice(["kvm", "tcg"]), help="Insist on one. [what works]"),
        click.option("--profile", type=TEXT, help="Profile of the job file. [the job's default]"),
        click.option("--results", type=PATH, help="Results folder. [results/JOB-PROFILE-TIME]"),
    ):
        command = option(command)
    return _arms_options(command)


@click.command("run")
@click.argument("job", type=PATH)
@_run_options
def run_command(job: Path, **options: Any) -> int:
    """Run or resume an experiment, write its report and give the verdict.

    Called again after an interruption, it goes on where it stopped.

    \b
    Example: lab run jobs/virtio-scsi-iothreads.toml --tree ~/src/qemu --base v10.0.0 --series my.mbox
    """
    return _run(job, **options)


@click.command("bench")
@click.option("--job", type=PATH, help=f"Job file. [{DEFAULT_JOB}]")
@_run_options
def bench_command(job: Path | None, quiet: bool, **options: Any) -> int:
    """Install what the host lacks, then run an experiment: what ``nox -s bench`` calls.

    \b
    Example: lab bench --tree ~/src/qemu --base v10.0.0 --series my.mbox --profile full
    """
    missing = missing_packages()
    if missing:
        install_packages(missing, progress_for(quiet=quiet))
    return _run(job or project_dir() / DEFAULT_JOB, quiet=quiet, **options)


def _run(job: Path, *, quiet: bool, as_json: bool, **options: Any) -> int:
    arms = ArmsRequest(**{name: options.pop(name) for name in ("tree", "base", "series", "range", "revision")})
    progress = progress_for(quiet=quiet)
    command = text_from_argv(("lab", *sys.argv[1:]))
    done = conduct(Request(job=job, arms=arms, command=command, **options), progress)
    with progress.stage("writing the report"):
        paths = write_report(done.folder)
    if as_json:
        verdict = paths.comparison.verdict.value
        report = {"folder": str(paths.folder), "charts": [str(chart) for chart in paths.charts]}
        print_json({"results": str(done.folder), "verdict": verdict, "report": report})
    else:
        print_text(report_text_for_terminal(paths))
    code, sentence = _exit_code(done, paths.comparison.verdict.value, paths.comparison.exit_code)
    if sentence and not as_json:
        print_text(sentence)
    return int(code)


def _exit_code(done: Conducted, verdict: str, code: ExitCode) -> tuple[ExitCode, str]:
    """Return the exit code: of a demonstration, whether the lab found what was planted; else the comparison's."""
    if not done.known_verdict:
        return code, ""
    if verdict == done.known_verdict:
        return ExitCode.DONE, f"Demonstration: the series must get {verdict}, and it did. Exit code 0."
    missed = ExitCode.UNDECIDED if code is ExitCode.UNDECIDED else ExitCode.FINDING
    return (
        missed,
        f"Demonstration: the series must get {done.known_verdict} but got {verdict}. Exit code {int(missed)}.",
    )


@click.command("plan")
@click.argument("job", type=PATH, default=lambda: project_dir() / DEFAULT_JOB)
@click.option("--profile", type=TEXT, help="Profile of the job file. [the job's default]")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of the schedule.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def plan_command(job: Path, profile: str | None, seed: int, as_json: bool) -> None:
    """Show the cells of a job, the order of the runs for a seed, and how long they take.

    \b
    Example: lab plan jobs/virtio-scsi-iothreads.toml --profile full
    """
    loaded = load_job(job)
    name, table = loaded.profile(profile)
    cells, warnings = checked_cells(loaded, table)
    loaded.recipe()
    if loaded.job.demonstration is not None:
        loaded.sibling(loaded.job.demonstration.series)
    schedule = draw_schedule(cells, blocks=table.blocks, seed=seed)
    seconds = len(schedule) * (table.runtime_s + table.ramp_time_s + BOOT_AND_STOP_S)
    if as_json:
        order = [{"block": run.block, "position": run.position, "cell": run.cell.id} for run in schedule]
        print_json(
            {"profile": name, "cells": [c.id for c in cells], "schedule": order, "expected_seconds": round(seconds)}
        )
        return
    lines = [
        f"{loaded.job.title}",
        f"profile {name}: {table.blocks} blocks of {len(cells)} cells, {len(schedule)} runs",
    ]
    lines += [f"expected: {text_from_seconds(seconds)} after the builds", "", "block 1 in its order:"]
    lines += [f"  {run.position}. {run.cell.id}" for run in schedule if run.block == 1]
    lines += ["", *(f"warning: {warning}" for warning in warnings)] if warnings else []
    print_text("\n".join(lines))


@click.command("command-line")
@click.argument("job", type=PATH, default=lambda: project_dir() / DEFAULT_JOB)
@click.option("--cell", "cell_id", type=TEXT, help="Cell, as 'lab plan' names it. [the first]")
@click.option("--accelerator", type=click.Choice(["kvm", "tcg"]), help="Insist on one. [what works]")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@_arms_options
def command_line_command(
    job: Path, cell_id: str | None, accelerator: str | None, as_json: bool, quiet: bool, **arms_options: Any
) -> None:
    """Print the QEMU command line of a cell, ready to paste: console on the terminal, QMP in ./qmp.sock.

    How to reach the guest over SSH is said on stderr.

    \b
    Example: lab command-line jobs/virtio-scsi-iothreads.toml --cell candidate.iothreads=4
    """
    loaded = load_job(job)
    cell = cell_from_id(loaded, cell_id)
    progress = progress_for(quiet=quiet)
    request, recipe = with_demonstration(loaded, ArmsRequest(**arms_options))[0], loaded.recipe()
    arms = arms_from_request(request, progress=progress)
    image = build_image(recipe, progress=progress)
    if accelerator is None:
        baseline = arms.baseline
        accelerator = probe_accelerator(baseline.qemu, baseline.firmware, image, progress=progress).accelerator
    build = arms.baseline if cell.arm is Arm.BASELINE else arms.candidate
    key_file = cache_dir("ssh") / "by-hand"
    key = RunKey.stored(key_file)
    boot = GuestBoot(image.kernel, image.initrd, f"{image.cmdline} lab.key={key.public}")
    spec = machine_from_cell(loaded.job, cell, accelerator)
    argv = argv_from_spec(build.qemu, build.firmware, spec, boot, Wiring.for_people(_SSH_PORT))
    # The guest makes a new host key at each boot, so the user's known_hosts cannot know it.
    ssh: tuple[str, ...] = ("ssh", "-p", str(_SSH_PORT), "-i", str(key_file))
    ssh += ("-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "root@127.0.0.1")
    if as_json:
        print_json({"cell": cell.id, "argv": argv, "ssh": ssh})
        return
    print_text(text_from_argv(argv))
    progress.say(f"into the guest: {text_from_argv(ssh)}")
