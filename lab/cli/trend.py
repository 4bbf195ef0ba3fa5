"""``lab trend``: the history of stored results of one question, and where it changed for good."""

from __future__ import annotations

from pathlib import Path

import click

from lab.analysis.baselines import baseline_names
from lab.analysis.history import Change, Entry, History, Trend, Value, trend_of
from lab.cli.compare import read_stored
from lab.cli.output import print_json, print_text
from lab.cli.places import require_place
from lab.cli.types import PATH
from lab.errors import ExitCode, HostError, InputError
from lab.report.charts.canvas import Caption
from lab.report.charts.trend import trend_chart
from lab.report.tables import Row, text_table
from lab.units import Metric, text_from_percent, text_from_quantity, text_from_signed


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
    require_place(plot, ".png")
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
    if not found.histories:
        raise InputError("there is no value to draw: no result has a pair of runs")
    unit = found.histories[0].metric.unit
    ratio = found.value is Value.RATIO
    title = "History of candidate / baseline" if ratio else f"History of the {found.value.value}'s medians"
    bars = "the ratios, as in the table of each result" if ratio else "the medians, by order statistics"
    metadata = {"Title": title, "Software": "qemu-patch-lab", "Description": "; ".join(_said(found))}
    try:
        trend_chart(
            path,
            found.histories,
            height="candidate / baseline" if ratio else "median",
            text_of=lambda height: f"{height:.3g}" if ratio else text_from_quantity(height, unit),
            caption=Caption(title, found.warnings, (f"bars: intervals of {bars}",), metadata),
        )
    except OSError as err:
        raise HostError(f"{path} cannot be written: {err.strerror}") from err


def _said(found: Trend) -> list[str]:
    """Return a sentence for each change."""
    return [
        f"{history.point.id}, {history.metric.title}: {text_from_percent(change.change)} with "
        f"{history.entries[change.first].name}{_beside(change)}"
        for history in found.histories
        for change in history.changes
    ]


def _beside(change: Change) -> str:
    """Return what is known of the host's part in a change."""
    if change.control is None:
        return ""
    why = "the host may be why: " if change.of_host else ""
    return f"; {why}the same baseline binary moved by {text_from_percent(change.control)} meanwhile"


def _text(found: Trend) -> str:
    lines = [line for history in found.histories for line in (*_table(history, found.value), "")]
    lines += [f"warning: {text}" for text in found.warnings]
    lines += _said(found) or [f"no lasting change of the {found.value.value} was found"]
    return "\n".join(lines)


def _table(history: History, value: Value) -> tuple[str, str]:
    """Return a heading and the values of one history."""
    lasting = {change.first: text_from_percent(change.change) for change in history.changes}
    rows = [
        (
            entry.started_at[:16].replace("T", " "),
            entry.name,
            entry.host,
            *_texts(entry, history.metric, value),
            lasting.get(place, ""),
        )
        for place, entry in enumerate(history.entries)
    ]
    name = "change" if value is Value.RATIO else value.value
    header: Row = ("date", "result", "host", name, "interval", "lasting change")
    return f"{history.point.id}, {history.metric.title}", text_table(header, rows)


def _texts(entry: Entry, metric: Metric, value: Value) -> tuple[str, str]:
    """Return value and interval."""
    if value is Value.RATIO:
        low, high = (text_from_signed(100 * (end - 1)) for end in (entry.low, entry.high))
        return text_from_percent(entry.value - 1), f"[{low}, {high}] %"
    middle, low, high = (text_from_quantity(number, metric.unit) for number in (entry.value, entry.low, entry.high))
    return middle, f"[{low}, {high}]"


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
                "changes": [vars(change) for change in history.changes],
            }
            for history in found.histories
        ],
    }
