"""Verdicts to sentences, the same in every report."""

from __future__ import annotations

from collections import Counter

from lab.analysis.compare import Comparison
from lab.analysis.family import PointComparison
from lab.analysis.verdict import Verdict
from lab.report.tables import change_text, interval_text
from lab.units import Better, text_from_percent

_WORDS = {
    Verdict.REGRESSED: "regressed",
    Verdict.IMPROVED: "improved",
    Verdict.NO_CHANGE_DETECTED: "unchanged within the smallest effect",
    Verdict.INCONCLUSIVE: "undecided",
    Verdict.NOT_COMPARABLE: "not comparable",
}


def verdict_sentence(comparison: Comparison) -> str:
    """Return what the experiment says, in one sentence."""
    judged = comparison.judged
    if not judged:
        return f"{comparison.verdict.value}: nothing was measured."
    parts = []
    for verdict, count in Counter(point.verdict for point in judged).most_common():
        changes = [p.numbers.ratio - 1 for p in judged if p.verdict is verdict and p.numbers is not None]
        found = f"{_WORDS[verdict]} at {count} of {len(judged)} points"
        if changes and verdict in (Verdict.REGRESSED, Verdict.IMPROVED):
            low, high = text_from_percent(min(changes)), text_from_percent(max(changes))
            found += f" ({low})" if low == high else f" ({low} to {high})"
        parts.append(found)
    metrics = " and ".join(dict.fromkeys(point.metric.title for point in judged))
    return f"{comparison.verdict.value}: {metrics}, candidate against baseline: {', '.join(parts)}."


def explanation(comparison: Comparison) -> str:
    """Return what the columns of the table mean."""
    alpha = comparison.results.question.alpha
    return (
        "n: pairs of boots, one per block. baseline, candidate: medians of the paired runs. change: geometric mean of "
        f"the paired ratios, with its {100 * (1 - alpha):g} % interval (sign-flip test inverted; no distribution "
        "assumed). p adj.: adjusted over all points that decide, so that the chance of any false alarm is at most "
        f"{100 * alpha:g} %."
    )


def point_sentence(point: PointComparison) -> str:
    """Return what is said of one point."""
    return f"{point.point.id}, {point.metric.title}: {_said(point)}."


def _said(point: PointComparison) -> str:
    if point.verdict is Verdict.NOT_COMPARABLE:
        return "not comparable, see the warnings"
    if point.numbers is None:
        return f"not decided, {'no pair' if not point.n else 'only one pair'} of runs"
    measured = f"{change_text(point)} {interval_text(point)}"
    if point.verdict is Verdict.NO_CHANGE_DETECTED:
        assert point.ruled_out is not None
        return f"no change detected ({measured}); a change of more than {100 * point.ruled_out:.1f} % is ruled out"
    if point.verdict is Verdict.INCONCLUSIVE:
        enough = f"; about {point.runs_needed} runs of each arm would be enough" if point.runs_needed else ""
        return f"not decided ({measured}) at a resolution of {100 * point.smallest_effect:g} %{enough}"
    direction = "higher" if point.metric.better is Better.HIGHER else "lower"
    return f"{point.verdict.value.lower()} ({measured}, p {point.numbers.p_adjusted:.3f}; {direction} is better)"
