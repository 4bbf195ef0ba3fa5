"""A comparison to the pictures of its report: which there are, and the words around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import shorten

from lab import __version__
from lab.analysis.caveats import CaveatKind
from lab.analysis.compare import Comparison
from lab.record import Arm
from lab.report import charts
from lab.report.chart_data import (
    Panel,
    axis_factor,
    axis_levels,
    runs_by_point,
    speed_up_panels,
    value_panels,
    with_reference,
)
from lab.report.charts import Caption
from lab.report.provenance import host_line, source_line
from lab.report.reference import PublishedTable
from lab.units import Better, Metric, text_from_quantity

_LARGEST_FOREST = 60
_FEWEST_FOR_INTERVAL = 6


def draw_pictures(folder: Path, comparison: Comparison, table: PublishedTable | None = None) -> tuple[Path, ...]:
    """Draw METRIC.png for each metric that decides, scaling.png where it makes sense, runs.png and ratio.png.

    :param table: drawn beside our values, where its metric and levels fit.
    :raise OSError: a picture cannot be written.
    """
    if not comparison.judged:
        return ()
    metrics = tuple(dict.fromkeys(point.metric for point in comparison.judged))
    drawn = [_levels_picture(folder / f"{metric.name}.png", comparison, metric, table) for metric in metrics]
    if metrics[0].better is Better.HIGHER and len(axis_levels(comparison, axis_factor(comparison))) > 1:
        drawn.append(_scaling_picture(folder / "scaling.png", comparison, metrics[0], table))
    drawn.append(_runs_picture(folder / "runs.png", comparison, metrics[0]))
    drawn.append(_ratio_picture(folder / "ratio.png", comparison))
    return tuple(drawn)


def _levels_picture(path: Path, comparison: Comparison, metric: Metric, table: PublishedTable | None) -> Path:
    factor = axis_factor(comparison)
    panels = value_panels(comparison, metric, factor)
    marks = (
        f"Marks: median over runs, one boot each; bars: its {_level(comparison)} interval by order "
        f"statistics{_few(panels)}; dots: runs. Whether the arms differ is decided by pairs (ratio.png), not by "
        "whether bars overlap."
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


def _scaling_picture(path: Path, comparison: Comparison, metric: Metric, table: PublishedTable | None) -> Path:
    factor = axis_factor(comparison)
    panels = speed_up_panels(comparison, metric, factor)
    first = f"{factor}={axis_levels(comparison, factor)[0]}"
    marks = (
        f"Each run divided by the run at {first} of the same arm and block. Marks: median; bars: its "
        f"{_level(comparison)} interval by order statistics{_few(panels)}; dots: blocks."
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
) -> Path:
    factor = axis_factor(comparison)
    levels = axis_levels(comparison, factor)
    if table is not None:
        panels = tuple(with_reference(panel, levels, table) for panel in panels)
    charts.levels_chart(
        path,
        panels,
        levels=levels,
        axis=factor or "",
        height=height,
        text_of=text_of,
        reference_label=f"published ({shorten(table.author, 32)}), another machine, scaled" if table else "",
        caption=_caption(
            comparison, title, (marks, *_reference_note(panels, table), *_panel_note(panels)), _alerts(comparison)
        ),
    )
    return path


def _runs_picture(path: Path, comparison: Comparison, metric: Metric) -> Path:
    runs = runs_by_point(comparison, metric)
    note = "A mark is one boot; crosses at the foot of a panel are attempts that failed and have no value."
    caption = _caption(
        comparison, f"{metric.title} of every run in the order of the schedule", (note, *_panel_note(tuple(runs)))
    )
    charts.runs_chart(path, runs, metric, caption)
    return path


def _ratio_picture(path: Path, comparison: Comparison) -> Path:
    points = comparison.judged[:_LARGEST_FOREST]
    more = len(comparison.judged) - len(points)
    marks = (
        f"Marks: geometric mean of the paired ratios; bars: their {_level(comparison)} interval (of less coverage with "
        f"fewer than {_FEWEST_FOR_INTERVAL} pairs). Shaded: smaller than the smallest effect that matters."
    )
    cut = (f"{more} further points are in the table only.",) if more else ()
    charts.ratio_chart(path, points, _caption(comparison, "Candidate against baseline, paired by block", (marks, *cut)))
    return path


def _level(comparison: Comparison) -> str:
    return f"{100 * (1 - comparison.results.question.alpha):g} %"


def _few(panels: tuple[Panel, ...]) -> str:
    """Return what to say where some interval is only a range, because it stands on too few values."""
    fewest = min(
        (len(mark.values) for panel in panels for marks in panel.arms.values() for mark in marks),
        default=_FEWEST_FOR_INTERVAL,
    )
    return "" if fewest >= _FEWEST_FOR_INTERVAL else f" (smallest to largest with too few runs; here {fewest})"


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


def _alerts(comparison: Comparison) -> tuple[str, ...]:
    """Return the caveats that forbid reading absolute values or scaling from a picture."""
    kinds = (CaveatKind.TIER, CaveatKind.CPUS)
    return tuple(f"Note: {caveat.text}." for caveat in comparison.caveats if caveat.kind in kinds)


def _caption(comparison: Comparison, title: str, notes: tuple[str, ...], alerts: tuple[str, ...] = ()) -> Caption:
    results = comparison.results
    origin = (f"Host: {host_line(results)}.", f"Source: {source_line(results)}.")
    arms = {arm: results.builds.get(arm.value) for arm in Arm}
    binaries = [f"{arm.value} {build.get('binary_sha256')}" for arm, build in arms.items() if isinstance(build, dict)]
    metadata = {
        "Title": title,
        "Software": f"qemu-patch-lab {__version__}",
        "Source": source_line(results),
        "Description": f"{results.question.title}; {comparison.verdict.value}; {', '.join(binaries)}",
    }
    return Caption(title, alerts, (*notes, *origin), {key: _ascii(value) for key, value in metadata.items()})


def _ascii(text: str) -> str:
    """Return text that a PNG's text chunks can hold."""
    return text.encode("ascii", "backslashreplace").decode()
