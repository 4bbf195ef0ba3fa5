"""``lab run``, ``lab bench``, ``lab plan`` and ``lab command-line``: everything that starts from a job file."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lab.analysis.compare import Comparison
from lab.cli.cells import DEFAULT_JOB, WAIT, arms_options, call_to_reproduce, cell_options
from lab.cli.output import print_json, print_text, progress_for
from lab.cli.resolve import resolution
from lab.cli.scope import asked_jobs, gravest
from lab.cli.types import PATH, TEXT
from lab.command import text_from_argv
from lab.errors import ExitCode
from lab.experiment.arms import ArmsRequest
from lab.experiment.cells import checked_cells
from lab.experiment.conduct import Conducted, Request, conduct, expected_run_s
from lab.experiment.job import load_job
from lab.experiment.job_host import Pin
from lab.experiment.one_cell import one_cell
from lab.experiment.placement import plan_for_job
from lab.experiment.schedule import draw_schedule
from lab.host.cpu_plan_show import plan_to_json, text_from_plan
from lab.host.packages import install_packages, missing_packages
from lab.machine.command_line import GuestBoot, Wiring, argv_from_spec
from lab.machine.guest_clock import boot_with_clock
from lab.machine.guest_shell import RunKey
from lab.report.write import report_text_for_terminal, write_report
from lab.settings import cache_dir, project_dir
from lab.units import text_from_seconds

_SSH_PORT = 2222

F = TypeVar("F", bound=Callable[..., Any])


_PIN = click.option(
    "--pin",
    type=click.Choice([pin.value for pin in Pin]),
    callback=lambda _context, _option, word: None if word is None else Pin(word),
    help="How threads are put on CPUs, see docs/host.md. [the job's, or auto]",
)


def _run_options(command: F) -> F:
    """Add the options that say how an experiment is run."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print where the results are as JSON."),
        click.option("--quiet", is_flag=True, help="No progress on stderr."),
        click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Seed of the schedule. [drawn]"),
        click.option("--proof/--no-proof", "prove", default=True, help="Prove the mapping of each cell first. [proof]"),
        click.option("--tune", is_flag=True, help="Set the host up for measuring; put everything back afterwards."),
        WAIT,
        _PIN,
        click.option("--force", is_flag=True, help="Compare builds that differ in more than their source, and say so."),
        click.option("--accelerator", type=click.Choice(["kvm", "tcg"]), help="Insist on one. [what works]"),
        click.option("--profile", type=TEXT, help="Profile of the job file. [the job's default]"),
        click.option("--results", type=PATH, help="Results folder. [results/JOB-PROFILE-TIME]"),
    ):
        command = option(command)
    return arms_options(command)


@click.command("run")
@click.argument("job", type=PATH, required=False)
@click.option("--auto", is_flag=True, help="In place of JOB: the jobs that run what the series touches.")
@_run_options
def run_command(job: Path | None, auto: bool, **options: Any) -> int:
    """Run or resume an experiment, write its report and give the verdict.

    Called again after an interruption, it goes on where it stopped. With --auto it says which jobs it takes and why,
    runs one after the other, and ends with the gravest exit code; 4 where no job runs what the series touches.

    \b
    Example: lab run jobs/virtio-scsi-iothreads.toml --tree ~/src/qemu --base v10.0.0 --series my.mbox
    """
    named = {name: options[name] for name in ("tree", "base", "series", "range", "revision")}
    jobs = asked_jobs(job, auto=auto, arms=ArmsRequest(**named), progress=progress_for(quiet=options["quiet"]))
    if len(jobs) == 1:
        return _run(jobs[0], **options)
    folder = options.pop("results")
    return gravest(_run(each, results=folder / each.stem if folder else None, **options) for each in jobs)


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
    named = ("tree", "base", "series", "range", "revision", "force")
    arms = ArmsRequest(**{name: options.pop(name) for name in named})
    progress = progress_for(quiet=quiet)
    command = call_to_reproduce(sys.argv[1:])
    done = conduct(Request(job=job, arms=arms, command=command, **options), progress)
    with progress.stage("writing the report"):
        paths = write_report(done.folder)
    if as_json:
        verdict = paths.comparison.verdict.value
        report = {"folder": str(paths.folder), "charts": [str(chart) for chart in paths.charts]}
        print_json({"results": str(done.folder), "verdict": verdict, "report": report})
    else:
        print_text(report_text_for_terminal(paths))
    code, sentence = _exit_code(done, paths.comparison)
    if sentence and not as_json:
        print_text(sentence)
    return int(code)


def _exit_code(done: Conducted, comparison: Comparison) -> tuple[ExitCode, str]:
    """Return the exit code: of a demonstration, whether the lab found what was planted; else the comparison's."""
    code, verdict = comparison.exit_code, comparison.verdict.value
    if not done.known_verdict:
        return code, ""
    if verdict == done.known_verdict and comparison.findings:
        return code, f"Demonstration: the series got {verdict}, as it must, and failed besides. Exit code {int(code)}."
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
@_PIN
@click.option("--resolve", type=TEXT, help="Say how many blocks find or rule out such a change here, for example 2%.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def plan_command(
    job: Path, profile: str | None, seed: int, pin: Pin | None, resolve: str | None, as_json: bool
) -> None:
    """Show a job's cells, the order of the runs for a seed, how long they take, and the CPUs they get on this host.

    \b
    Example: lab plan jobs/virtio-scsi-iothreads.toml --profile full --resolve 2%
    """
    loaded = load_job(job)
    name, table = loaded.profile(profile)
    cells, warnings = checked_cells(loaded, table)
    cpu_plan = plan_for_job(loaded, cells, pin=pin)
    loaded.recipe()
    if loaded.job.demonstration is not None:
        loaded.sibling(loaded.job.demonstration.series)
    schedule = draw_schedule(cells, blocks=table.blocks, seed=seed)
    run_s = expected_run_s(loaded, table)
    seconds = len(schedule) * run_s
    needed, said = resolution(loaded, name, cells, resolve, run_s=run_s) if resolve else (None, "")
    if as_json:
        order = [{"block": run.block, "position": run.position, "cell": run.cell.id} for run in schedule]
        print_json(
            {
                "profile": name,
                "cells": [cell.id for cell in cells],
                "schedule": order,
                "expected_seconds": round(seconds),
                "cpu_plan": plan_to_json(cpu_plan),
                "resolve": needed,
            }
        )
        return
    lines = [
        f"{loaded.job.title}",
        f"profile {name}: {table.blocks} blocks of {len(cells)} cells, {len(schedule)} runs",
    ]
    lines += [f"expected: {text_from_seconds(seconds)} after the builds", "", "block 1 in its order:"]
    lines += [f"  {run.position}. {run.cell.id}" for run in schedule if run.block == 1]
    lines += ["", "CPUs of this host:", textwrap.indent(text_from_plan(cpu_plan), "  ")]
    lines += ["", said] if said else []
    lines += ["", *(f"warning: {warning}" for warning in warnings)] if warnings else []
    print_text("\n".join(lines))


@click.command("command-line")
@click.argument("job", type=PATH, default=lambda: project_dir() / DEFAULT_JOB)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@cell_options
def command_line_command(
    job: Path, cell_id: str | None, accelerator: str | None, as_json: bool, quiet: bool, **arms: Any
) -> None:
    """Print the QEMU command line of a cell, ready to paste: console on the terminal, QMP in ./qmp.sock.

    How to reach the guest over SSH is said on stderr.

    \b
    Example: lab command-line jobs/virtio-scsi-iothreads.toml --cell candidate.iothreads=4
    """
    progress = progress_for(quiet=quiet)
    found = one_cell(job, cell_id, ArmsRequest(**arms), accelerator=accelerator, progress=progress)
    build, image = found.build, found.image
    key_file = cache_dir("ssh") / "by-hand"
    key = RunKey.stored(key_file)
    boot = GuestBoot(image.kernel, image.initrd, f"{image.cmdline} lab.key={key.public}")
    boot = boot_with_clock(boot, found.spec.accelerator)
    argv = argv_from_spec(build.qemu, build.firmware, found.spec, boot, Wiring.for_people(_SSH_PORT))
    # The guest makes a new host key at each boot, so the user's known_hosts cannot know it.
    ssh: tuple[str, ...] = ("ssh", "-p", str(_SSH_PORT), "-i", str(key_file))
    ssh += ("-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "root@127.0.0.1")
    if as_json:
        print_json({"cell": found.cell.id, "argv": argv, "ssh": ssh})
        return
    print_text(text_from_argv(argv))
    progress.say(f"into the guest: {text_from_argv(ssh)}")
