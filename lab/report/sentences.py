"""Verdicts to sentences, the same in every report."""

from __future__ import annotations

from collections import Counter

from lab.analysis.compare import Comparison
from lab.analysis.family import PointComparison
from lab.analysis.verdict import Verdict
from lab.report.tables import change_text, interval_text, ruled_out_text
from lab.units import Better

_WORDS = {
    Verdict.REGRESSED: "regressed",
    Verdict.IMPROVED: "improved",
    Verdict.NO_CHANGE_DETECTED: "unchanged within the smallest effect",
    Verdict.INCONCLUSIVE: "undecided",
    Verdict.NOT_COMPARABLE: "not comparable",
}

_GRAVEST_FIRST = (
    Verdict.REGRESSED,
    Verdict.NOT_COMPARABLE,
    Verdict.INCONCLUSIVE,
    Verdict.IMPROVED,
    Verdict.NO_CHANGE_DETECTED,
)
_TIERS = {
    "tcg": "software emulation: supports correctness and candidate against baseline on this host, never absolute IOPS "
    "or IOThread scaling",
    "kvm": "hardware virtualisation: supports candidate against baseline, and absolute values of this host",
    "qtest": "no guest: supports correctness and the cost of QEMU's own code, never what a guest would see",
    "mixed": "runs of several accelerators: their absolute values must not be read together",
}


def verdict_sentence(comparison: Comparison) -> str:
    """Return what the experiment says, in one sentence, and what the series mends, if it mends anything."""
    judged = comparison.judged
    if not judged:
        return f"{comparison.verdict.value}: nothing was measured."
    parts = []
    counts = Counter(point.verdict for point in judged)
    for verdict, count in sorted(counts.items(), key=lambda pair: _GRAVEST_FIRST.index(pair[0])):
        measured = [(p.numbers.ratio, change_text(p)) for p in judged if p.verdict is verdict and p.numbers is not None]
        found = f"{_WORDS[verdict]} at {count} of {len(judged)} points"
        if measured and verdict in (Verdict.REGRESSED, Verdict.IMPROVED):
            low, high = min(measured)[1], max(measured)[1]
            found += f" ({low})" if low == high else f" ({low} to {high})"
        parts.append(found)
    metrics = " and ".join(dict.fromkeys(point.metric.title for point in judged))
    count = len(comparison.findings)
    finding = f"; with {count} {'finding' if count == 1 else 'findings'} besides" if count else ""
    doubt = "; the candidate failed more often, which may be chance (see the warnings)" if comparison.doubts else ""
    sentence = f"{comparison.verdict.value}: {metrics}, candidate against baseline: {', '.join(parts)}{finding}{doubt}."
    return " ".join((sentence, *comparison.mends))


def tier_sentence(tier: str) -> str:
    """Return which claims the numbers of a tier support."""
    return _TIERS.get(tier, "the runs do not say how they were made: only candidate against baseline can be read")


def explanation(comparison: Comparison) -> str:
    """Return what the columns of the table mean."""
    alpha = comparison.results.question.alpha
    return (
        "n: pairs of boots, one per block. baseline, candidate: medians of the paired runs. change: geometric mean of "
        f"the paired ratios, with its {100 * (1 - alpha):g} % interval (sign-flip test inverted; assumes that the "
        "series changes all boots by one factor, so a rare slow boot that no block caught is not ruled out). p "
        "adj.: adjusted over all points that decide, so that the chance of any false alarm is at most "
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
        return f"no change detected ({measured}); a change of more than {ruled_out_text(point)} is ruled out"
    if point.verdict is Verdict.INCONCLUSIVE:
        enough = f"; about {point.runs_needed} runs of each arm would be enough" if point.runs_needed else ""
        return f"not decided ({measured}) at a resolution of {100 * point.smallest_effect:g} %{enough}"
    direction = "higher" if point.metric.better is Better.HIGHER else "lower"
    return f"{point.verdict.value.lower()} ({measured}, p {point.numbers.p_adjusted:.3f}; {direction} is better)"
