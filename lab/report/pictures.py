"""A comparison to the pictures of its report: which there are, and the words around them.

Each is a PNG file and, for print and slides, an SVG file beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from lab.analysis.compare import Comparison
from lab.analysis.signflip import blocks_for_level
from lab.record import text_from_level
from lab.report import charts
from lab.report.captions import alerts_of, caption_of
from lab.report.cell_data import cell_costs, percentile_panels
from lab.report.chart_data import (
    Panel,
    axis_factor,
    axis_levels,
    runs_by_point,
    speed_up_panels,
    value_panels,
    with_reference,
)
from lab.report.proofs import stored_proofs
from lab.report.reference import PublishedTable
from lab.report.trace_data import DISTURBED, traces_by_point
from lab.units import METRICS, Better, Metric, text_from_quantity

_LARGEST_FOREST = 60
_MOST_PROOFS = 6
MAPPING_MARKS = (
    "Colour: share of the queue's requests that a thread took (of its CPU time, where there is no trace). Numbers: "
    "microseconds of CPU time per request. Frame: the thread that was asked for."
)
"""What the marks in a picture of a mapping mean."""


@dataclass(frozen=True)
class Picture:
    """A picture of the report.

    :param path: of the PNG file; the SVG file stands beside it.
    :param title: what is shown, for those who cannot see it, too.
    """

    path: Path
    title: str


def draw_pictures(folder: Path, comparison: Comparison, table: PublishedTable | None = None) -> tuple[Picture, ...]:
    """Draw what there is data for: METRIC for each metric that decides, then the pictures that explain it.

    :param table: drawn beside our values, where its metric and levels fit.
    :raise InputError: a proof in the results folder is damaged.
    :raise OSError: a picture cannot be written.
    """
    return tuple(_pictures(folder, comparison, table)) if comparison.judged else ()


def _pictures(folder: Path, comparison: Comparison, table: PublishedTable | None) -> Iterator[Picture]:
    metrics = tuple(dict.fromkeys(point.metric for point in comparison.judged))
    yield _ratio_picture(folder / "ratio.png", comparison)
    for metric in metrics:
        yield _levels_picture(folder / f"{metric.name}.png", comparison, metric, table)
    if metrics[0].better is Better.HIGHER and len(axis_levels(comparison, axis_factor(comparison))) > 1:
        yield _scaling_picture(folder / "scaling.png", comparison, metrics[0], table)
    yield from _latency_picture(folder / "latency.png", comparison)
    yield from _cpu_picture(folder / "cpu.png", comparison)
    yield from _proof_pictures(folder, comparison)
    yield _runs_picture(folder / "runs.png", comparison, metrics[0])
    yield from _traces_picture(folder / "traces.png", comparison)


def _levels_picture(path: Path, comparison: Comparison, metric: Metric, table: PublishedTable | None) -> Picture:
    factor = axis_factor(comparison)
    panels = value_panels(comparison, metric, factor)
    marks = (
        f"Marks: median over runs, one boot each; bars: its {_level(comparison)} interval by order "
        f"statistics{_few(comparison, panels)}; dots: runs. Whether the arms differ is decided by pairs (ratio.png), "
        "not by whether bars overlap."
    )
    return _draw_levels(
        path,
        comparison,
        panels,
        table if table and table.metric == metric.name else None,
        title=f"{metric.title} over {factor}" if factor else metric.title,
        height=metric.title,
        text_of=lambda value: text_from_quantity(value, metric.unit),
        marks=marks,
    )


def _scaling_picture(path: Path, comparison: Comparison, metric: Metric, table: PublishedTable | None) -> Picture:
    factor = axis_factor(comparison)
    panels = speed_up_panels(comparison, metric, factor)
    first = f"{factor}={axis_levels(comparison, factor)[0]}"
    marks = (
        f"Each run divided by the run at {first} of the same arm and block. Marks: median; bars: its "
        f"{_level(comparison)} interval by order statistics{_few(comparison, panels)}; dots: blocks."
    )
    return _draw_levels(
        path,
        comparison,
        panels,
        table if table and table.metric == metric.name else None,
        title=f"Scaling of {metric.title} over {factor}",
        height=f"{metric.title} relative to {first}",
        text_of=lambda value: f"{value:g}",
        marks=marks,
    )


def _draw_levels(
    path: Path,
    comparison: Comparison,
    panels: tuple[Panel, ...],
    table: PublishedTable | None,
    *,
    title: str,
    height: str,
    text_of: Callable[[float], str],
    marks: str,
) -> Picture:
    factor = axis_factor(comparison)
    levels = axis_levels(comparison, factor)
    if table is not None:
        panels = tuple(with_reference(panel, levels, table) for panel in panels)
    charts.levels_chart(
        path,
        panels,
        levels=[text_from_level(level) for level in levels],
        axis=factor or "",
        height=height,
        text_of=text_of,
        reference_label=f"published ({shorten(table.author, 32)}), another machine, scaled" if table else "",
        caption=caption_of(
            comparison, title, (marks, *_reference_note(panels, table), *_panel_note(panels)), alerts_of(comparison)
        ),
    )
    return Picture(path, title)


def _latency_picture(path: Path, comparison: Comparison) -> Iterator[Picture]:
    percentiles, panels = percentile_panels(comparison)
    if not panels:
        return
    title = "Completion latency: percentiles"
    marks = (
        f"Marks: median over runs of each run's percentile; bars: its {_level(comparison)} interval by order "
        f"statistics{_few(comparison, panels)}; dots: runs."
    )
    charts.levels_chart(
        path,
        panels,
        levels=percentiles,
        axis="percentile of a run's requests",
        height="clat (logarithmic)",
        text_of=lambda value: text_from_quantity(value, "ns"),
        reference_label="",
        caption=caption_of(comparison, title, (marks, *_panel_note(panels)), alerts_of(comparison)),
        logarithmic=True,
    )
    yield Picture(path, title)


def _cpu_picture(path: Path, comparison: Comparison) -> Iterator[Picture]:
    cells = cell_costs(comparison)
    if not cells:
        return
    title = "CPU time per I/O of QEMU, by thread"
    marks = (
        f"Bars: medians over runs, one boot each; the line at the end of a bar: {_level(comparison)} interval of the "
        "median of the whole process, by order statistics. Other threads: what the medians leave over."
    )
    more = len(cells) - charts.LARGEST_COST
    cut = (f"{more} further cells are in the table only.",) if more > 0 else ()
    charts.cost_chart(path, cells, caption_of(comparison, title, (marks, *cut), alerts_of(comparison)))
    yield Picture(path, title)


def _traces_picture(path: Path, comparison: Comparison) -> Iterator[Picture]:
    metric = METRICS["iops"]
    points = tuple(dict.fromkeys(point.point for point in comparison.judged))
    disturbed = traces_by_point(comparison.results.ok, points, DISTURBED)
    traces = disturbed or traces_by_point(comparison.results.ok, points, metric.name)
    if not traces:
        return
    title = f"{metric.title} within each run, {'every 100 ms' if disturbed else 'second by second'}"
    notes = ["A line is one boot. Readings within a run are diagnostics: they are never counted as observations."]
    if any(run.events for runs in traces.values() for run in runs):
        notes.append("Dotted: what was done to the guest, in the first of the runs; shaded: until the last of them.")
    charts.traces_chart(path, traces, metric, caption_of(comparison, title, (*notes, *_panel_note(tuple(traces)))))
    yield Picture(path, title)


def _runs_picture(path: Path, comparison: Comparison, metric: Metric) -> Picture:
    runs = runs_by_point(comparison, metric)
    note = "A mark is one boot; crosses at the foot of a panel are attempts that failed and have no value."
    title = f"{metric.title} of every run in the order of the schedule"
    charts.runs_chart(path, runs, metric, caption_of(comparison, title, (note, *_panel_note(tuple(runs)))))
    return Picture(path, title)


def _proof_pictures(folder: Path, comparison: Comparison) -> Iterator[Picture]:
    proofs = stored_proofs(comparison.results.path)
    more = len(proofs) - _MOST_PROOFS
    cut = (f"{more} further proofs are in the folder proofs/ of the results.",) if more > 0 else ()
    for number, (cell, matrix) in enumerate(list(proofs.items())[:_MOST_PROOFS], start=1):
        path = folder / ("mapping.png" if number == 1 else f"mapping-{number}.png")
        title = f"Which thread served which queue: {cell}, {matrix.verdict}"
        charts.threads_chart(path, matrix, caption_of(comparison, title, (MAPPING_MARKS, *cut)))
        yield Picture(path, title)


def _ratio_picture(path: Path, comparison: Comparison) -> Picture:
    points = comparison.judged[:_LARGEST_FOREST]
    more = len(comparison.judged) - len(points)
    title = "Candidate against baseline, paired by block"
    marks = (
        f"Marks: geometric mean of the paired ratios; bars: their {_level(comparison)} interval (of less coverage with "
        f"fewer than {_fewest(comparison)} pairs). Shaded: smaller than the smallest effect that matters."
    )
    notes = [marks]
    if any(point.n == 1 for point in points):
        notes.append("Hollow marks without a bar: one pair of runs, which has a ratio but no interval.")
    if any(point.n == 0 for point in points):
        notes.append("Rows without a mark: no pair of runs.")
    if more:
        notes.append(f"{more} further points are in the table only.")
    charts.ratio_chart(path, points, caption_of(comparison, title, tuple(notes)))
    return Picture(path, title)


def _level(comparison: Comparison) -> str:
    return f"{100 * (1 - comparison.results.question.alpha):g} %"


def _fewest(comparison: Comparison) -> int:
    """Return with how few values an interval covers what it should: of pairs, and of a median by order statistics."""
    return blocks_for_level(comparison.results.question.alpha)


def _few(comparison: Comparison, panels: tuple[Panel, ...]) -> str:
    """Return what to say where some interval is only a range, because it stands on too few values."""
    enough = _fewest(comparison)
    fewest = min(
        (len(mark.values) for panel in panels for marks in panel.arms.values() for mark in marks), default=enough
    )
    return "" if fewest >= enough else f" (smallest to largest with too few runs; here {fewest})"


def _panel_note(panels: tuple[object, ...]) -> tuple[str, ...]:
    if len(panels) <= charts.LARGEST_GRID:
        return ()
    return (f"The first {charts.LARGEST_GRID} of {len(panels)} panels are shown; the table has all points.",)


def _reference_note(panels: tuple[Panel, ...], table: PublishedTable | None) -> tuple[str, ...]:
    if table is None or not any(panel.reference for panel in panels):
        return ()
    caution = f"; {table.caution}" if table.caution else ""
    where = f"Published: {table.title} <{table.source}>, another machine"
    return (f"{where}; drawn relative to our baseline at the first level{caution}.",)
