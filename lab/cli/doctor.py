"""``lab doctor``: what this host can do, and what to do about what it cannot."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.build.arms import build_arms
from lab.build.distribution import source_from_distribution
from lab.cli.output import print_error, print_json, print_text, progress_for
from lab.errors import ExitCode, HostError, MissingPackagesError
from lab.host.accelerator import probe_subject
from lab.host.accelerator_choice import AcceleratorChoice, Subject, last_subject
from lab.host.doctor import Diagnosis, Finding, ProbeFailure, diagnose
from lab.host.facts import HostFacts, fingerprint, host_facts
from lab.host.packages import install_packages, missing_optional_packages, missing_packages
from lab.host.surroundings import read_surroundings
from lab.image.build import build_image, default_recipe_path
from lab.image.recipe import load_recipe
from lab.progress import Progress, printable


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Install the packages that are missing.")
@click.option("--probe", is_flag=True, help="Boot a guest now, building QEMU and the guest image where there are none.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def doctor_command(fix: bool, probe: bool, as_json: bool, quiet: bool) -> int:
    """Say what this host can do: accelerator, CPUs, memory, tuning, packages, each with its remedy.

    An accelerator counts when it has booted a guest; what was found is remembered. Exit code 3 if something is missing
    without which nothing runs here.

    \b
    Example: lab doctor --fix
    """
    progress = progress_for(quiet=quiet)
    if fix:
        for missing in (missing_packages(), missing_optional_packages()):
            try:
                install_packages(missing, progress)
            except MissingPackagesError as err:
                print_error(err)
    facts = host_facts()
    diagnosis = diagnose(facts, read_surroundings(), _probed(facts, progress, probe=probe))
    if as_json:
        print_json(diagnosis.to_json())
    elif sys.stdout.isatty():
        Console(highlight=False, markup=False, emoji=False).print(_table(diagnosis), _summary(diagnosis), sep="\n")
    else:
        print_text("\n".join([*_lines(diagnosis), _summary(diagnosis)]))
    return int(ExitCode.DONE if diagnosis.can_run else ExitCode.HOST)


def _probed(facts: HostFacts, progress: Progress, *, probe: bool) -> AcceleratorChoice | ProbeFailure | None:
    """Return what boots here: from the cache or, where there is something to boot, by booting it."""
    try:
        subject = last_subject(fingerprint(facts))
        if subject is None:
            if not probe:
                return None
            subject = _made_subject(progress)
        return probe_subject(subject, progress=progress, force=probe, facts=facts)
    except HostError as err:
        return ProbeFailure(err.message, err.remedy)


def _made_subject(progress: Progress) -> Subject:
    """Build what ``lab run`` builds without a tree and a series; it finds that in the cache then."""
    build = build_arms(source_from_distribution(progress=progress), None, progress=progress).baseline
    image = build_image(load_recipe(default_recipe_path()), progress=progress)
    return Subject(build.qemu, build.firmware, image.key, image.kernel, image.initrd, image.cmdline)


def _mark(finding: Finding) -> str:
    if finding.ok:
        return "ok"
    return "MISSING" if finding.essential else "note"


def _table(diagnosis: Diagnosis) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    colours = {"ok": "green", "note": "yellow", "MISSING": "bold red"}
    for finding in diagnosis.findings:
        mark = _mark(finding)
        text = Text(printable(finding.detail))
        if finding.remedy:
            text.append("\n" + printable(finding.remedy), style="dim")
        table.add_row(Text(mark, style=colours[mark]), Text(finding.name, style="bold"), text)
    return table


def _lines(diagnosis: Diagnosis) -> list[str]:
    lines = []
    for finding in diagnosis.findings:
        lines.append(f"{_mark(finding):8}{finding.name:14}{finding.detail}")
        if finding.remedy:
            lines.append(f"{'':22}what to do: {finding.remedy}")
    return lines


def _summary(diagnosis: Diagnosis) -> str:
    tiers = ", ".join(diagnosis.tiers) or "not known yet"
    if diagnosis.can_run:
        return f"The lab can run here. Tiers that work: {tiers}."
    return f"The lab cannot run here until what is marked MISSING is there. Tiers that work: {tiers}."
