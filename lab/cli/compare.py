"""``lab compare`` and ``lab report``: judge stored results, and write the report of a results folder."""

from __future__ import annotations

from pathlib import Path

import click

from lab.analysis.baselines import baseline_names, read_baseline
from lab.analysis.calibration import calibration_of
from lab.analysis.combine import Stored, against_stored, pooled
from lab.analysis.compare import compare_results
from lab.analysis.csv_file import CsvSettings, read_csv
from lab.analysis.export import json_from_comparison
from lab.analysis.question import DEFAULT_ALPHA, DEFAULT_EFFECT, SMALLEST_ALPHA, SMALLEST_EFFECT
from lab.analysis.results import Results, read_results
from lab.cli.output import print_json, print_text
from lab.cli.types import PATH, TEXT
from lab.errors import InputError
from lab.record import Arm
from lab.report.text import terminal_text
from lab.report.write import report_text_for_terminal, write_report


@click.command()
@click.argument("paths", metavar="PATH...", type=PATH, nargs=-1, required=True)
@click.option("--baseline", type=TEXT, help="A results folder, or a name of 'lab baseline', that gives the baseline.")
@click.option(
    "--arm",
    type=click.Choice([arm.value for arm in Arm]),
    default=Arm.BASELINE.value,
    show_default=True,
    help="With --baseline: which arm of it.",
)
@click.option("--metric", "metrics", multiple=True, help="CSV only: a metric that decides (default: all columns).")
@click.option("--smallest-effect", help=f"CSV only: smallest change that matters (default {100 * DEFAULT_EFFECT:g}%).")
@click.option("--alpha", type=float, help=f"CSV only: accepted chance of a false alarm (default {DEFAULT_ALPHA:g}).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
def compare(
    paths: tuple[Path, ...],
    baseline: str | None,
    arm: str,
    metrics: tuple[str, ...],
    smallest_effect: str | None,
    alpha: float | None,
    as_json: bool,
) -> int:
    """Judge candidate against baseline: a table, a verdict per point, and one for the experiment.

    PATH is a results folder, or a CSV file with one line per boot: the columns arm (baseline or candidate), block,
    optional host, any factors, and metrics (iops, clat_p99_ns, ...). What decides, and which effect matters, was fixed
    by the job file of a results folder before its first boot, so the options are for CSV files only.

    Several folders of one question, from one host or many, are judged together, host by host and block by block. With
    --baseline the candidate of PATH is judged against runs of another time; host, kernel and settings must be equal.

    Exit codes: 0 no regression, 1 a regression, 4 could not decide.

    \b
    Example:
      lab compare results/virtio-scsi-iothreads --json
      lab compare results/on-host-a results/on-host-b
      lab compare results/tonight --baseline v10.0.0
    """
    several = [_read(path, metrics, smallest_effect, alpha) for path in paths]
    results = several[0] if len(several) == 1 else pooled(several)
    if baseline is not None:
        results = against_stored(results, Stored(read_stored(baseline), Arm(arm)))
    return print_comparison(results, as_json=as_json)


def print_comparison(results: Results, *, as_json: bool) -> int:
    """Judge results, print what comes of it, and return the exit code."""
    comparison = compare_results(results, calibration_of(results))
    if as_json:
        print_json(json_from_comparison(comparison))
    elif not results.records:
        begun = f"no run has ended yet: {len(results.schedule)} are scheduled; 'lab run' goes on with it"
        print_text(f"{results.question.title}\n\n{comparison.verdict.value}: {begun}")
    else:
        print_text(terminal_text(comparison, (), results.path))
    return int(comparison.exit_code)


def read_stored(name: str) -> Results:
    """Return the results that a path or the name of a baseline stands for; a folder comes first.

    :raise InputError: there is neither, or it is damaged.
    """
    if Path(name).is_dir():
        return read_results(Path(name))
    names = baseline_names()
    if name not in names:
        known = ", ".join(names) or "none yet; 'lab baseline save NAME RESULTS' keeps one"
        raise InputError(f"'{name}' is neither a folder nor the name of a baseline", remedy=f"baselines are: {known}")
    return read_baseline(name)


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
def report(results: Path) -> int:
    """Write the report of a results folder, from its stored data only.

    It comes as pictures, report.html, report.md for a pull request, report.txt for a mail, and junit.xml and summary.md
    for CI, in the folder report/ of the results.

    \b
    Example:
      lab report results/virtio-scsi-iothreads
    """
    paths = write_report(results)
    print_text(report_text_for_terminal(paths))
    return int(paths.comparison.exit_code)


def _read(path: Path, metrics: tuple[str, ...], smallest_effect: str | None, alpha: float | None) -> Results:
    if path.is_dir():
        if metrics or smallest_effect is not None or alpha is not None:
            raise InputError(
                "--metric, --smallest-effect and --alpha were fixed by the job file before the first boot",
                remedy="leave them out; they are for CSV files",
            )
        return read_results(path)
    if not path.exists():
        raise InputError(f"{path} does not exist", remedy="give a results folder or a CSV file")
    effect = DEFAULT_EFFECT if smallest_effect is None else effect_from_text(smallest_effect)
    if alpha is not None and not SMALLEST_ALPHA <= alpha < 0.5:  # nan is not either
        raise InputError(
            f"--alpha {alpha:g} is not between {SMALLEST_ALPHA:g} and 0.5", remedy="write for example 0.05"
        )
    return read_csv(path, CsvSettings(metrics, effect, DEFAULT_ALPHA if alpha is None else alpha))


def effect_from_text(text: str) -> float:
    """Return the fraction that ``2%``, ``2 %`` or ``0.02`` means.

    :raise InputError: it is no such fraction.
    """
    number = text.strip().removesuffix("%")
    try:
        effect = float(number) / (100 if number != text.strip() else 1)
    except ValueError:
        effect = 0.0
    if not SMALLEST_EFFECT <= effect < 1:
        raise InputError(f"'{text}' is not an effect between 0 and 100 %", remedy="write for example 2% or 0.02")
    return effect
