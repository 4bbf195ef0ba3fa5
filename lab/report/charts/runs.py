"""Runs one by one: every attempt in the order of the schedule, and what happened within them, second by second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lab.record import Arm, Point
from lab.report.chart_data import RunMark
from lab.report.charts.canvas import ARM_STYLE, BLACK, LARGEST_GRID, Caption, grid, name_text, save, style
from lab.report.trace_data import Event, TracedRun
from lab.units import Metric, text_from_quantity

_LONGEST_TITLE = 100
_LONGEST_EVENT = 22
_EVENTS_NAMED = 8


def runs_chart(path: Path, runs: Mapping[Point, Sequence[RunMark]], metric: Metric, caption: Caption) -> None:
    """Draw every attempt in the order of the schedule, one panel per point, failed ones as crosses on the axis.

    :raise OSError: the picture cannot be written.
    """
    shown = list(runs.items())[:LARGEST_GRID]
    last = max((mark.order for marks in runs.values() for mark in marks), default=1)
    columns = _columns(len(shown))
    with style():
        figure, axes = grid(len(shown), panel_size=(7.4, 1.9), share_x=True, columns=columns)
        edges = _block_edges([mark for marks in runs.values() for mark in marks])
        for box, (point, marks) in zip(axes, shown, strict=True):
            for edge in edges:
                box.axvline(edge, color="#bbbbbb", linewidth=0.6, linestyle=(0, (2, 3)), zorder=0)
            _draw_runs(box, marks)
            box.set_xlim(0.5 - 0.02 * last, 0.5 + 1.02 * last)
            _finish(box, point.id, metric, columns)
        for box in axes[-columns:]:
            box.tick_params(labelbottom=True)
            box.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            box.set_xlabel("run in the order of the schedule (dotted: blocks)")
        save(figure, path, caption)


def traces_chart(path: Path, traces: Mapping[str, Sequence[TracedRun]], metric: Metric, caption: Caption) -> None:
    """Draw the readings within each run over its seconds, one panel per point, events as lines with their names.

    Runs with events lie over each other at their first ones: the same thing is done at another second of each run.

    :param traces: by the title of their panel.

    :raise OSError: the picture cannot be written.
    """
    shown = [(title, [_from_first_event(run) for run in runs]) for title, runs in list(traces.items())[:LARGEST_GRID]]
    disturbed = [bool(run.events) for _, runs in shown for run in runs]
    begin = "the measurement of the run began"
    if any(disturbed):
        begin = f"the first disturbance{'' if all(disturbed) else ', if any'}"
    columns = _columns(len(shown))
    with style():
        figure, axes = grid(len(shown), panel_size=(7.4, 2.1), share_x=True, columns=columns)
        for box, (title, runs) in zip(axes, shown, strict=True):
            labelled: set[Arm] = set()
            for run in runs:
                look = ARM_STYLE[run.arm]
                label = None if run.arm in labelled else run.arm.value
                labelled.add(run.arm)
                style_of_line = {"color": look["color"], "linestyle": look["linestyle"]}
                short = {"marker": look["marker"], "markersize": 2.5} if len(run.seconds) <= 20 else {}
                box.plot(run.seconds, run.readings, label=label, linewidth=0.9, alpha=0.75, **style_of_line, **short)
            _draw_events(box, runs)
            _finish(box, title, metric, columns)
        for box in axes[-columns:]:
            box.tick_params(labelbottom=True)
            box.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            box.set_xlabel(f"seconds since {begin}")
        save(figure, path, caption)


def _columns(count: int) -> int:
    return 1 if count <= 4 else 2


def _draw_runs(box: Axes, marks: Sequence[RunMark]) -> None:
    for arm in Arm:
        good = [(mark.order, mark.value) for mark in marks if mark.arm is arm and mark.value is not None]
        places, heights = zip(*good, strict=True) if good else ((), ())
        # A mark near zero is drawn whole; what may stick out must not take part in the layout.
        box.plot(
            places,
            heights,
            label=arm.value,
            clip_on=False,
            in_layout=False,
            **{**ARM_STYLE[arm], "linewidth": 0.8, "markersize": 5 if len(places) <= 60 else 2.5},
        )
    for arm in Arm:
        failed = tuple(mark.order for mark in marks if mark.arm is arm and mark.value is None)
        if failed:
            box.plot(
                failed,
                (0.04,) * len(failed),
                label=f"{arm.value}: failed",
                transform=box.get_xaxis_transform(),
                color=ARM_STYLE[arm]["color"],
                marker="X" if arm is Arm.BASELINE else "x",
                linestyle="",
            )


def _from_first_event(run: TracedRun) -> TracedRun:
    """Return a run whose clock is 0 at its first event; as it is where there is none."""
    if not run.events:
        return run
    first_s = min(event.at_s for event in run.events)
    return replace(
        run,
        seconds=tuple(at_s - first_s for at_s in run.seconds),
        events=tuple(Event(event.at_s - first_s, event.name) for event in run.events),
    )


def _draw_events(box: Axes, runs: Sequence[TracedRun]) -> None:
    """Mark what was done to the guest: the same thing in several runs by its first time, shaded until its last.

    What is done several times in a run is named once.
    """
    times: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        counts: Counter[str] = Counter()
        for event in run.events:
            times.setdefault((event.name, counts[event.name]), []).append(event.at_s)
            counts[event.name] += 1
    for at_s in times.values():
        box.axvspan(min(at_s), max(at_s), color="#eeeeee", linewidth=0, zorder=-1)
        box.axvline(min(at_s), color=BLACK, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
    first = sorted((min(at_s), name) for (name, number), at_s in times.items() if not number)
    for at_s_first, name in first[:_EVENTS_NAMED]:
        box.text(
            at_s_first,
            0.98,
            f" {name_text(name, _LONGEST_EVENT)}",
            transform=box.get_xaxis_transform(),
            rotation=90,
            fontsize=6.5,
            ha="right",
            va="top",
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5},
        )


def _finish(box: Axes, title: str, metric: Metric, columns: int) -> None:
    box.set_title(name_text(title, _LONGEST_TITLE // columns), loc="left", fontsize=9)
    box.margins(y=0.2)
    box.set_ylim(bottom=max(0.0, box.get_ylim()[0]))  # no metric is negative
    box.set_ylabel(metric.title)
    box.yaxis.set_major_locator(MaxNLocator(4))
    box.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text_from_quantity(value, metric.unit)))
    box.grid(visible=False, axis="x")


def _block_edges(marks: Sequence[RunMark]) -> list[float]:
    first: dict[int, int] = {}
    for mark in marks:
        first[mark.block] = min(mark.order, first.get(mark.block, mark.order))
    return [order - 0.5 for order in sorted(first.values())[1:]]
