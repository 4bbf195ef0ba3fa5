"""``lab trend``: the history of stored results of one question, and where it changed for good."""

from __future__ import annotations

from pathlib import Path

import click

from lab.analysis.baselines import baseline_names
from lab.analysis.history import History, Trend, Value, trend_of
from lab.cli.compare import read_stored
from lab.cli.output import print_json, print_text
from lab.cli.types import PATH
from lab.errors import ExitCode, HostError, InputError
from lab.report.charts.canvas import Caption
from lab.report.charts.trend import trend_chart
from lab.report.tables import Row, text_table
from lab.units import text_from_percent, text_from_quantity

_HEADER: Row = ("point", "metric", "results", "levels", "changes")


@click.command("trend")
@click.argument("results", nargs=-1)
@click.option(
    "--value",
    type=click.Choice([value.value for value in Value]),
    default=Value.RATIO.value,
    show_default=True,
    help="Ratio of candidate to baseline, or the median of one arm.",
)
@click.option("--plot", type=PATH, help="Draw the history: a PNG file, and an SVG file beside it.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def trend(results: tuple[str, ...], value: str, plot: Path | None, as_json: bool) -> int:
    """Show how a measured value went over stored results, and after which it changed for good.

    RESULTS are results folders or names of 'lab baseline', in any order; without any, all baselines. They must be of
    one host, kernel and job. Nothing is judged: a change is something to look into, with 'lab compare'.

    \b
    Example:
      lab trend results/nightly-* --plot trend.png
    """
    names = results or baseline_names()
    found = trend_of([read_stored(name) for name in names], Value(value))
    if plot is not None:
        _plot(plot, found)
    if as_json:
        print_json(_json(found))
    else:
        print_text(_text(found))
    return int(ExitCode.DONE)


def _plot(path: Path, found: Trend) -> None:
    if path.suffix != ".png":
        raise InputError(f"{path} does not end in .png", remedy="name a PNG file; an SVG file is written beside it")
    if not found.histories:
        raise InputError("there is no value to draw: no result has a pair of runs")
    unit = found.histories[0].metric.unit
    ratio = found.value is Value.RATIO
    title = "History of candidate / baseline" if ratio else f"History of the {found.value.value}'s medians"
    metadata = {"Title": title, "Software": "qemu-patch-lab", "Description": "; ".join(_said(found))}
    caption = Caption(
        title, found.warnings, ("bars: intervals of the ratios, as in the table of each result",), metadata
    )
    try:
        trend_chart(
            path,
            found.histories,
            height="candidate / baseline" if ratio else "median",
            text_of=lambda height: f"{height:.3g}" if ratio else text_from_quantity(height, unit),
            caption=caption,
        )
    except OSError as err:
        raise HostError(f"{path} cannot be written: {err.strerror}") from err


def _said(found: Trend) -> list[str]:
    """Return a sentence for each change."""
    return [
        f"{history.point.id}, {history.metric.title}: {text} with {history.entries[place].name}"
        for history in found.histories
        for place, text in _changes(history)
    ]


def _changes(history: History) -> list[tuple[int, str]]:
    return [
        (after.first, text_from_percent(after.middle / before.middle - 1))
        for before, after in zip(history.levels, history.levels[1:], strict=False)
    ]


def _text(found: Trend) -> str:
    rows = [
        (
            history.point.id,
            history.metric.title,
            str(len(history.entries)),
            str(len(history.levels)),
            ", ".join(f"{text} at {history.entries[place].name}" for place, text in _changes(history)) or "-",
        )
        for history in found.histories
    ]
    lines = [text_table(_HEADER, rows), "", *(f"warning: {text}" for text in found.warnings)]
    lines += _said(found) or [f"no lasting change of the {found.value.value} was found"]
    return "\n".join(lines)


def _json(found: Trend) -> dict[str, object]:
    return {
        "value": found.value.value,
        "changed": found.changed,
        "warnings": list(found.warnings),
        "histories": [
            {
                "point": history.point.id,
                "metric": history.metric.name,
                "entries": [vars(entry) for entry in history.entries],
                "levels": [vars(level) for level in history.levels],
            }
            for history in found.histories
        ],
    }
