"""``lab draw``: pictures of what is more or less than an experiment: patches of a series, TMF matrix, a mapping."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from lab.analysis.compare import compare_results
from lab.analysis.results import read_results
from lab.cli.output import print_text
from lab.cli.places import require_place
from lab.cli.types import PATH, TEXT
from lab.errors import InputError
from lab.files import MIB, read_input
from lab.report.captions import plain_caption
from lab.report.charts import (
    LARGEST_GRID,
    threads_chart,
    threads_from_json,
    traces_chart,
)
from lab.report.patch_steps import draw_waterfall
from lab.report.pictures import MAPPING_MARKS
from lab.report.scenario_traces import scenarios_from_json
from lab.report.tmf import draw_tmf
from lab.units import METRICS, metric_from_name

_LARGEST_FILE_BYTES = 64 * MIB
_OUT = click.option("--out", type=PATH, required=True, metavar="FILE.png", help="Picture; FILE.svg is put beside it.")


@click.group()
def draw() -> None:
    """Draw what no report of a single experiment shows.

    \b
    Example: lab draw tmf matrix.json --out matrix.png
    """


@draw.command()
@click.argument("results", metavar="RESULTS...", type=PATH, nargs=-1, required=True)
@click.option("--point", type=TEXT, help="Point that is drawn. [the only one]")
@click.option("--metric", type=TEXT, help="Metric that is drawn. [the first that decides]")
@_OUT
def waterfall(results: tuple[Path, ...], point: str | None, metric: str | None, out: Path) -> None:
    """Draw what each patch of a series adds.

    RESULTS are folders in the order of the series. Each measured the same base against the series up to one patch, as
    the steps of 'lab bisect' do.

    \b
    Example: lab draw waterfall results/up-to-1 results/up-to-2 --point iothreads=4 --out patches.png
    """
    if metric is not None:
        metric = metric_from_name(metric).name
    comparisons = [compare_results(read_results(folder)) for folder in results]
    with _drawn(out) as png:
        draw_waterfall(png, comparisons, point=point, metric=metric)


@draw.command()
@click.argument("matrix", type=PATH)
@_OUT
def tmf(matrix: Path, out: Path) -> None:
    """Draw the matrix of task management functions from what 'lab tmf --json' printed.

    \b
    Example: lab draw tmf matrix.json --out matrix.png
    """
    document = _document(matrix, "lab tmf")
    with _drawn(out) as png:
        draw_tmf(png, document, f"lab tmf --json, {matrix.name}")


@draw.command("mapping")
@click.argument("proof", type=PATH)
@_OUT
def mapping_command(proof: Path, out: Path) -> None:
    """Draw which thread served which queue, from what 'lab proof --json' printed or a proof.json of a results folder.

    \b
    Example: lab draw mapping proof.json --out mapping.png
    """
    matrix = threads_from_json(_document(proof, "lab proof"), str(proof))
    title = f"Which thread served which queue: {matrix.verdict}"
    caption = plain_caption(title, (MAPPING_MARKS,), f"lab proof --json, {proof.name}", matrix.verdict)
    with _drawn(out) as png:
        threads_chart(png, matrix, caption)


@draw.command("scenario")
@click.argument("traces", type=PATH)
@_OUT
def scenario_command(traces: Path, out: Path) -> None:
    """Draw completed requests over time, disturbances marked, from what 'lab scenario --json' printed.

    \b
    Example: lab draw scenario hotplug.json --out hotplug.png
    """
    found = scenarios_from_json(_document(traces, "lab scenario"), str(traces))
    notes = ["A line is one guest under load. Dotted: when something was done to it, by the guest's clock."]
    if len(found) > LARGEST_GRID:
        notes.append(f"The first {LARGEST_GRID} of {len(found)} scenarios are shown.")
    source = f"lab scenario --json, {traces.name}"
    caption = plain_caption("Completed requests while the guest was disturbed", tuple(notes), source, ", ".join(found))
    with _drawn(out) as png:
        traces_chart(png, found, METRICS["iops"], caption)


def _document(path: Path, verb: str) -> Any:
    """Return what a verb printed with ``--json``.

    :raise InputError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(read_input(path, limit_bytes=_LARGEST_FILE_BYTES))
    except (ValueError, RecursionError) as err:
        raise InputError(f"{path} is not JSON: {err}", remedy=f"give what '{verb} --json' printed") from err


@contextmanager
def _drawn(out: Path) -> Iterator[Path]:
    """Hand over the path of a picture that the block draws, and print it when it is there.

    :raise InputError: it has another ending.
    :raise HostError: it cannot be written.
    """
    require_place(out, ".png")
    yield out
    print_text(str(out))
