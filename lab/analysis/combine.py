"""Several results to one that can be judged: blocks of several hosts pooled, or a candidate against a stored baseline.

Nothing is combined that was not measured alike; each difference is named. What combining costs is a warning of the
result: blocks that were not run next to each other are pairs in name only.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.analysis.alike import build_differences, host_differences, same_runs, setting_differences, unlike_reasons
from lab.analysis.compare import compare_results
from lab.analysis.results import Results
from lab.analysis.verdict import Interval
from lab.errors import InputError, NotComparableError
from lab.record import Arm, Cell, RunRecord, ScheduledRun
from lab.units import Metric, text_from_percent

_SOURCE = ("commit", "tree_id", "configure_options")


def pooled(several: Sequence[Results]) -> Results:
    """Return one experiment with the blocks of several: the same question and builds, on one host or many.

    :raise InputError: a folder is named twice, or one is a copy of another.
    :raise NotComparableError: they do not ask the same question of the same source; each difference is listed.
    """
    first, *others = several
    paths = [results.path.resolve() for results in several]
    if len(set(paths)) < len(paths):
        raise InputError("a results folder is named twice", remedy="name each once")
    for other in others:
        found = [*setting_differences(first, other), *_source_differences(first, other)]
        if _judge(first) != _judge(other):
            found.append("the question: [judge] decides by other metrics, another alpha or another smallest effect")
        # Builds of the pooled result are the first's, which are looked at when it is judged.
        found += [f"{other.path.name}: {reason}" for reason in unlike_reasons(other)]
        _refuse(first, other, found)
    for one, other in itertools.combinations(several, 2):
        _refuse_copy(one, other)
    schedule: list[ScheduledRun] = []
    records: list[RunRecord] = []
    for results in several:
        # A CSV file has no schedule: its blocks are those that were measured.
        last = max((run.block for run in (*schedule, *(record.scheduled for record in records))), default=0)
        schedule += [_moved(run, last) for run in results.schedule]
        records += [replace(record, scheduled=_moved(record.scheduled, last)) for record in results.records]
    hosts = {str(results.host.get("fingerprint")) for results in several}
    warnings = list(dict.fromkeys(warning for results in several for warning in results.warnings))
    warnings += [text for other in others for text in other.build_warnings]
    if len(hosts) < len(several):
        where = "one host" if len(hosts) == 1 else f"{len(hosts)} hosts"
        warnings.append(
            f"{len(several)} experiments on {where} are pooled: their chance of a false alarm holds only if "
            "it was decided before the first of them that there would be so many"
        )
    return replace(first, schedule=tuple(schedule), records=tuple(records), warnings=tuple(warnings))


@dataclass(frozen=True)
class Stored:
    """A stored result and which of its arms stands for the baseline."""

    results: Results
    arm: Arm = Arm.BASELINE


def against_stored(results: Results, stored: Stored) -> Results:
    """Return an experiment whose candidate is that of ``results`` and whose baseline is an arm of a stored one.

    Where both hold runs of the same baseline binary, what these moved by between the two sessions is a control: what
    the host may have done by itself is none of the candidate's, and where nothing tells, there is no verdict.

    :raise InputError: both are the same folder, or one is a copy of the other.
    :raise NotComparableError: host, kernel, settings or build options differ (each difference is listed), or the host
        alone moved by more than the smallest effect.
    """
    other = stored.results
    if results.path.resolve() == other.path.resolve():
        raise InputError(f"{other.path} is both the result and its baseline", remedy="name another baseline")
    builds = {Arm.BASELINE: _build(other, stored.arm), Arm.CANDIDATE: _build(results, Arm.CANDIDATE)}
    found = [*host_differences(results, other), *setting_differences(results, other)]
    _refuse(results, other, [*found, *build_differences(builds[Arm.CANDIDATE], builds[Arm.BASELINE])])
    _refuse_copy(results, other)
    note = (
        f"the baseline is the {stored.arm.value} of {other.path.name}, measured at another time: "
        "what the host did between the two is part of every difference"
    )
    return replace(
        _joined(results, other, stored.arm),
        builds={**results.builds, "baseline": builds[Arm.BASELINE]},
        controls=_controls(results, other),
        warnings=(*results.warnings, *other.warnings, note),
    )


def _joined(results: Results, other: Results, arm: Arm) -> Results:
    """Return the candidate's runs of one and the runs of an arm of another as its baseline."""
    schedule = [run for run in results.schedule if run.cell.arm is Arm.CANDIDATE]
    records = [record for record in results.records if record.scheduled.cell.arm is Arm.CANDIDATE]
    schedule += [_as_baseline(run) for run in other.schedule if run.cell.arm is arm]
    records += [
        replace(record, scheduled=_as_baseline(record.scheduled))
        for record in other.records
        if record.scheduled.cell.arm is arm
    ]
    return replace(results, schedule=tuple(schedule), records=tuple(records))


def _controls(results: Results, other: Results) -> dict[tuple[str, str], Interval]:
    """Return what the runs of one and the same binary moved by between two sessions; nothing where there are none.

    :raise NotComparableError: the host alone moved by more than the smallest effect.
    """
    mine, theirs = (_build(one, Arm.BASELINE).get("binary_sha256") for one in (results, other))
    if not mine or mine != theirs:  # what neither names may be two binaries
        return {}
    earlier = [_as(run, Arm.BASELINE) for run in other.schedule if run.cell.arm is Arm.BASELINE]
    later = [_as(run, Arm.CANDIDATE) for run in results.schedule if run.cell.arm is Arm.BASELINE]
    runs = [(r, Arm.BASELINE) for r in other.records] + [(r, Arm.CANDIDATE) for r in results.records]
    records = [
        replace(record, scheduled=_as(record.scheduled, arm))
        for record, arm in runs
        if record.scheduled.cell.arm is Arm.BASELINE
    ]
    moved = compare_results(
        replace(results, schedule=(*earlier, *later), records=tuple(records), builds={}, warnings=())
    )
    controls, beyond = {}, []
    for point in moved.points:
        if point.numbers is None or point.numbers.coverage < 1 - results.question.alpha:
            continue
        low, high = controls[point.metric.name, point.point.id] = point.numbers.low, point.numbers.high
        if point.judged and (low > 1 + point.smallest_effect or high < 1 - point.smallest_effect):
            beyond.append(
                f"control: at {point.point.id} {point.metric.title} of the same baseline binary moved by "
                f"{text_from_percent(point.numbers.ratio - 1)} [{text_from_percent(low - 1)}, "
                f"{text_from_percent(high - 1)}] between the two sessions"
            )
    _refuse(results, other, beyond)
    return controls


def _refuse_copy(one: Results, other: Results) -> None:
    """Refuse what would count the same runs twice, such as a CI artifact beside its original."""
    if same_runs(one, other):
        raise InputError(f"{one.path} and {other.path} hold the same runs", remedy="name one of them")


def _refuse(one: Results, other: Results, found: Sequence[str]) -> None:
    if found:
        listed = "\n".join(f"- {text}" for text in found)
        raise NotComparableError(
            f"{one.path} and {other.path} cannot be compared:\n{listed}",
            remedy="measure both arms in one experiment, on one host: 'lab run'",
        )


def _judge(results: Results) -> tuple[float, tuple[tuple[Metric, float], ...]]:
    question = results.question
    return question.alpha, tuple((metric, question.effect_of(metric)) for metric in question.metrics)


def _source_differences(one: Results, other: Results) -> list[str]:
    return [
        f"the {arm.value}: {key} differs"
        for arm in Arm
        for key in _SOURCE
        if _build(one, arm).get(key) != _build(other, arm).get(key)
    ]


def _build(results: Results, arm: Arm) -> dict[str, object]:
    build = results.builds.get(arm.value)
    return build if isinstance(build, dict) else {}


def _moved(run: ScheduledRun, blocks: int) -> ScheduledRun:
    return replace(run, block=run.block + blocks)


def _as(run: ScheduledRun, arm: Arm) -> ScheduledRun:
    return replace(run, cell=Cell(arm, run.cell.point))


def _as_baseline(run: ScheduledRun) -> ScheduledRun:
    return _as(run, Arm.BASELINE)
