"""Results to comparisons: candidate against baseline at every point and for every metric, and one verdict. Pure.

The steps: records -> frame -> pairs by block -> log ratios -> sign-flip p-values over the family -> intervals ->
verdict, with caveats collected on the way. The metrics of ``[judge]`` form one family and decide; every other metric is
a family of its own and is only shown. docs/method.md explains all of it for readers of a report.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from lab.analysis.alike import unlike_reasons
from lab.analysis.calibration import Calibration, calibration_sentence, why_stale
from lab.analysis.caveats import Caveat, CaveatKind
from lab.analysis.experiment_caveats import experiment_caveats, unsteady_caveats
from lab.analysis.family import PointComparison, Setting, compare_family
from lab.analysis.findings import failures_of, mends, points_that_never_work
from lab.analysis.frame import frame_from_records
from lab.analysis.results import Results
from lab.analysis.verdict import Verdict, overall
from lab.errors import ExitCode
from lab.record import Arm, Level, Point, ScheduledRun
from lab.units import METRICS


@dataclass(frozen=True)
class Comparison:
    """An experiment, judged.

    :param points: by metric (those that decide first), then by point.
    :param verdict: the gravest of the points that decide; with doubts nothing better than undecided.
    :param caveats: what holds for the whole experiment.
    :param findings: what the candidate breaks, whatever its speed.
    :param mends: what the baseline fails and the candidate does not.
    :param doubts: failures that the candidate has more often than the baseline, as may be chance.
    :param frame: the values behind it, see lab/analysis/frame.py.
    :param calibration: what is known of false alarms and sensitivity of the host that measured; None where nothing is.
    """

    results: Results
    points: tuple[PointComparison, ...]
    verdict: Verdict
    caveats: tuple[Caveat, ...]
    findings: tuple[str, ...]
    mends: tuple[str, ...]
    frame: pd.DataFrame = field(compare=False, repr=False)
    calibration: Calibration | None = None
    doubts: tuple[str, ...] = ()

    @property
    def calibrated(self) -> bool:
        """Tell whether false alarms and sensitivity of the host that measured are known."""
        return self.calibration is not None

    @property
    def exit_code(self) -> ExitCode:
        """Return what ``lab`` tells the shell: a finding outweighs a comparison that could not be made.

        Where the baseline never gets through and the candidate always does, there is nothing to be slower than: such
        points leave nothing undecided. Points without a pair for another reason do: a value of zero, or none.
        """
        if self.findings:
            return ExitCode.FINDING
        if self.doubts or not self.mends or not self._candidate_got_through():
            return self.verdict.exit_code
        mended = points_that_never_work(self.results.records, Arm.BASELINE)
        left = [p.verdict for p in self.judged if p.point not in mended or p.verdict is not Verdict.INCONCLUSIVE]
        return overall(left).exit_code if left else ExitCode.DONE

    def _candidate_got_through(self) -> bool:
        names = [metric.name for metric in self.results.question.metrics]
        got_through = {  # a run whose requests never completed ends well, too, and did not get through
            record.scheduled.id
            for record in self.results.ok
            if all(record.metrics.get(name, 0.0) > 0 for name in names)
        }
        return not self.results.undone and all(
            run.id in got_through for run in self.results.schedule if run.cell.arm is Arm.CANDIDATE
        )

    @property
    def judged(self) -> tuple[PointComparison, ...]:
        """Return the points of the metrics that decide."""
        return tuple(point for point in self.points if point.judged)


def compare_results(results: Results, calibration: Calibration | None = None) -> Comparison:
    """Judge an experiment.

    :param calibration: what is known of its host (:func:`lab.analysis.calibration.calibration_of`); the comparison has
        none where it was made under other conditions.
    """
    question = results.question
    frame = frame_from_records(results.records)
    setting = Setting(
        question=question,
        points=points_in_order(results),
        blocks=tuple(sorted({run.block for run in planned_runs(results)})),
        unlike=unlike_reasons(results),
        undone=results.undone,
        unsteady=unsteady_caveats(results.ok),
        unasked=_unasked(results),
        controls=results.controls,
    )
    compared = compare_family(question.metrics, frame, setting, judged=True)
    present = set(frame["metric"].unique())
    for name, metric in METRICS.items():
        if name in present and metric not in question.metrics:
            compared += compare_family((metric,), frame, setting, judged=False)
    failures = failures_of(results.records, question.alpha)
    # Missing data is never a pass: with a doubt the points may say what they like.
    undecided = [Verdict.INCONCLUSIVE] if failures.doubts else []
    verdict = overall([*(point.verdict for point in compared if point.judged), *undecided])
    caveats = [Caveat(CaveatKind.UNLIKE, reason) for reason in setting.unlike]
    caveats += [Caveat(CaveatKind.FAILURES, f"no pass: {text}") for text in failures.doubts]
    caveats += experiment_caveats(results)
    if question.known_verdict and question.known_verdict != verdict.value:
        text = f"the demonstration series is known to be {question.known_verdict}, this experiment says {verdict.value}"
        caveats.append(Caveat(CaveatKind.CALIBRATION, text))
    stale = why_stale(calibration, results) if calibration else ""
    caveats.append(Caveat(CaveatKind.CALIBRATION, calibration_sentence(calibration, stale)))
    known = None if stale else calibration
    found = failures.findings, mends(results.records)
    return Comparison(results, tuple(compared), verdict, tuple(caveats), *found, frame, known, failures.doubts)


def _unasked(results: Results) -> frozenset[tuple[int, str]]:
    """Return what only a stored baseline was planned for; in one session both arms are, in every block."""
    if results.controls is None:
        return frozenset()
    return _planned(results, Arm.BASELINE) - _planned(results, Arm.CANDIDATE)


def _planned(results: Results, arm: Arm) -> frozenset[tuple[int, str]]:
    """Return block and point of each scheduled run of an arm."""
    return frozenset((run.block, run.cell.point.id) for run in results.schedule if run.cell.arm is arm)


def planned_runs(results: Results) -> tuple[ScheduledRun, ...]:
    """Return what was planned; what was measured where nobody planned (a CSV file)."""
    return results.schedule or tuple(record.scheduled for record in results.records)


def points_in_order(results: Results) -> tuple[Point, ...]:
    """Return every point that was planned or measured, levels in the order of the job file."""
    factors = results.question.factors
    points = {run.cell.point for run in planned_runs(results)}

    def place(name: str, level: Level) -> tuple[int, float, str]:
        known = factors.get(name, ())
        number = float(level) if isinstance(level, int | float) else 0.0
        return (known.index(level) if level in known else len(known), number, str(level))

    # In the order of the factors in the job file, so that the first one varies slowest.
    names = [*factors, *sorted({name for point in points for name, _ in point.levels} - set(factors))]

    def key(point: Point) -> list[tuple[int, float, str]]:
        levels = dict(point.levels)
        return [place(name, levels[name]) for name in names if name in levels]

    return tuple(sorted(points, key=key))
