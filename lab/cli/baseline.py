"""``lab baseline``: keep the data of a result under a name, and judge later results against it."""

from __future__ import annotations

from pathlib import Path

import click

from lab.analysis.baselines import baseline_names, read_baseline, save_baseline
from lab.analysis.combine import Stored, against_stored
from lab.analysis.results import Results, read_results
from lab.cli.compare import print_comparison
from lab.cli.output import print_json, print_text
from lab.cli.types import PATH, TEXT
from lab.record import Arm
from lab.report.provenance import host_line, source_line
from lab.report.tables import Row, text_table

_HEADER: Row = ("name", "job", "profile", "tier", "blocks", "host", "title")


@click.group("baseline")
def baseline() -> None:
    """Keep results as named baselines, and judge later results against them.

    \b
    Example: lab baseline save v10.0.0 results/virtio-scsi-iothreads-full-20260102T030405Z
    """


@baseline.command("save")
@click.argument("name", type=TEXT)
@click.argument("results", type=PATH)
def save_command(name: str, results: Path) -> None:
    """Keep a copy of the data of a finished results folder under NAME.

    \b
    Example: lab baseline save v10.0.0 results/virtio-scsi-iothreads-full-20260102T030405Z
    """
    print_text(f"kept as '{name}': {save_baseline(name, results)}")


@baseline.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(as_json: bool) -> None:
    """List the baselines.

    \b
    Example: lab baseline list --json
    """
    kept = {name: read_baseline(name) for name in baseline_names()}
    if as_json:
        print_json({"baselines": [_json(name, results) for name, results in kept.items()]})
    elif kept:
        print_text(text_table(_HEADER, [_row(name, results) for name, results in kept.items()]))
    else:
        print_text("there is no baseline yet; 'lab baseline save NAME RESULTS' keeps one")


@baseline.command("show")
@click.argument("name", type=TEXT)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison it holds as JSON.")
def show_command(name: str, as_json: bool) -> None:
    """Show a baseline: host, builds, and the comparison it holds.

    \b
    Example: lab baseline show v10.0.0
    """
    results = read_baseline(name)
    if not as_json:
        print_text(f"{name}: {results.path}\nhost: {host_line(results)}\nsource: {source_line(results)}\n")
    print_comparison(results, as_json=as_json)


@baseline.command("compare")
@click.argument("name", type=TEXT)
@click.argument("results", type=PATH)
@click.option(
    "--arm",
    type=click.Choice([arm.value for arm in Arm]),
    default=Arm.BASELINE.value,
    show_default=True,
    help="Which arm of the baseline.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
def compare_command(name: str, results: Path, arm: str, as_json: bool) -> int:
    """Judge the candidate of RESULTS against an arm of the baseline NAME: 'lab compare RESULTS --baseline NAME'.

    \b
    Example: lab baseline compare v10.0.0 results/tonight
    """
    return print_comparison(
        against_stored(read_results(results), Stored(read_baseline(name), Arm(arm))), as_json=as_json
    )


def _chosen(results: Results, name: str) -> str:
    return dict(results.question.chosen).get(name, "")


def _blocks(results: Results) -> int:
    return len({run.block for run in results.schedule})


def _row(name: str, results: Results) -> Row:
    host = str(results.host.get("fingerprint", ""))
    job, profile = _chosen(results, "job"), _chosen(results, "profile")
    return (name, job, profile, results.tier, str(_blocks(results)), host, results.question.title)


def _json(name: str, results: Results) -> dict[str, object]:
    return {
        "name": name,
        "path": str(results.path),
        "title": results.question.title,
        "job": _chosen(results, "job"),
        "profile": _chosen(results, "profile"),
        "tier": results.tier,
        "blocks": _blocks(results),
        "host": results.host.get("fingerprint"),
        "builds": {arm.value: _commit(results, arm) for arm in Arm},
    }


def _commit(results: Results, arm: Arm) -> object:
    build = results.builds.get(arm.value)
    return build.get("commit") if isinstance(build, dict) else None
