"""Comparisons of ever more patches with one base to what each patch of the series adds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.analysis.compare import Comparison
from lab.analysis.family import PointComparison
from lab.errors import InputError
from lab.record import Arm
from lab.report.captions import plain_caption
from lab.report.charts import Step, waterfall_chart
from lab.report.provenance import build_facts, host_line, patch_subjects, series_title

_MOST_STEPS = 60


def draw_waterfall(path: Path, comparisons: Sequence[Comparison], *, point: str | None, metric: str | None) -> None:
    """Draw what each step adds: one experiment per patch, each of the series up to there against the same base.

    :param comparisons: in the order of the series.
    :param point: id of the point that is drawn; None where there is one only.
    :param metric: name of the metric; None for the first that decides.
    :raise InputError: the experiments have different baselines, too many steps, or no value where one is needed.
    :raise OSError: the picture cannot be written.
    """
    if not 1 <= len(comparisons) <= _MOST_STEPS:
        raise InputError(f"{len(comparisons)} experiments are not 1 to {_MOST_STEPS}", remedy="one per patch is drawn")
    bases = {dict(build_facts(one.results, Arm.BASELINE)).get("binary sha256") for one in comparisons}
    if len(bases) > 1:
        raise InputError(
            "the experiments do not have one baseline: their binaries differ",
            remedy="give experiments in which the same base was measured against more and more patches",
        )
    chosen = [_chosen(one, point, metric) for one in comparisons]
    steps = [_step(one, at) for one, at in zip(comparisons, chosen, strict=True)]
    first = comparisons[0].results
    title = f"{chosen[0].metric.title} at {chosen[0].point.id}: what each patch adds"
    marks = (
        "A bar begins where the patches before left off; the line at its end is the interval of the series up to "
        "there, paired by block. At the right: the patch alone. Hatched: worse than before."
    )
    names = ", ".join(one.results.path.name for one in comparisons)
    notes = (marks, f"Host: {host_line(first)}.")
    caption = plain_caption(title, notes, f"experiments {names}", f"baseline {bases.pop()}")
    waterfall_chart(path, steps, chosen[0].metric.better, caption)


def _chosen(comparison: Comparison, point: str | None, metric: str | None) -> PointComparison:
    """Return the one comparison that is drawn of an experiment.

    :raise InputError: there is none, or more than one.
    """
    name = metric or (comparison.judged[0].metric.name if comparison.judged else "")
    fitting = [p for p in comparison.points if p.metric.name == name and point in (None, p.point.id)]
    if len(fitting) != 1:
        known = ", ".join(dict.fromkeys(p.point.id for p in comparison.points))
        raise InputError(
            f"{comparison.results.path} has {len(fitting)} points to draw, and one is needed",
            remedy=f"choose one with --point and --metric; points are: {known or 'none'}",
        )
    return fitting[0]


def _step(comparison: Comparison, at: PointComparison) -> Step:
    """Return the step of an experiment.

    :raise InputError: it has too few pairs for an interval.
    """
    results = comparison.results
    if at.numbers is None:
        raise InputError(f"{results.path} has too few pairs for an interval", remedy="run more blocks of it")
    subjects = patch_subjects(results)
    label = subjects[-1] if subjects else series_title(results) or results.path.name
    return Step(label, at.numbers.ratio, at.numbers.low, at.numbers.high)
