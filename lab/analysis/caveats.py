"""What a reader must know beside a number. Caveats are values: they travel with the comparison into every report."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lab.analysis.frame import Pairs
from lab.analysis.results import Results
from lab.analysis.samples import drift, level_gap, outliers
from lab.analysis.steady import FEWEST_READINGS, unsteady_reasons
from lab.record import Arm, Outcome, RunRecord
from lab.units import Metric

_TRACE = "iops"


class CaveatKind(StrEnum):
    """What sort of thing a caveat is about."""

    BLOCKS = "blocks"
    MISSING = "missing"
    OUTLIER = "outlier"
    TWO_LEVELS = "two-levels"
    DRIFT = "drift"
    UNSTEADY = "unsteady"
    TINY = "tiny-difference"
    FAMILY = "family"
    UNLIKE = "unlike"
    HOSTS = "hosts"
    FAILURES = "failures"
    ATTEMPTS = "attempts"
    TIER = "tier"
    CPUS = "cpus"
    FILES = "files"
    RUNS = "runs"
    CALIBRATION = "calibration"


@dataclass(frozen=True)
class Caveat:
    """One thing to know.

    :param text: a sentence without its full stop.
    """

    kind: CaveatKind
    text: str


def sample_caveats(pairs: Pairs, column: int, effect: float) -> Iterator[Caveat]:
    """Yield what is odd about the values of one point: missing pairs, outliers, two levels.

    :param effect: the smallest relative change that matters; oddities below it are not worth a sentence.
    """
    sides = {Arm.BASELINE: pairs.baseline[:, column], Arm.CANDIDATE: pairs.candidate[:, column]}
    missing = {arm: int(np.isnan(values).sum()) for arm, values in sides.items()}
    if any(missing.values()):
        parts = ", ".join(f"{count} without {arm.value}" for arm, count in missing.items() if count)
        yield Caveat(CaveatKind.MISSING, f"of {len(pairs.blocks)} blocks, {parts}: those pairs are missing")
    yield from _hosts(pairs, column)
    for arm, values in sides.items():
        present = np.flatnonzero(values > 0)
        if int((values <= 0).sum()):
            yield Caveat(CaveatKind.MISSING, f"{arm.value} has values of zero, which have no ratio")
        logs = np.log(values[present])
        for index in outliers(logs, math.log1p(effect)):
            run = str(pairs.runs[arm][present[index], column])
            away = math.expm1(logs[index] - np.median(logs))
            yield Caveat(
                CaveatKind.OUTLIER, f"{run} is an outlier ({100 * away:+.0f} % from its cell's median); it counts"
            )
        gap, lower = level_gap(logs, math.log1p(effect))
        if gap:
            text = (
                f"{arm.value} has two levels {100 * math.expm1(gap):.0f} % apart ({lower} and {len(logs) - lower} runs)"
            )
            yield Caveat(CaveatKind.TWO_LEVELS, text)


def _hosts(pairs: Pairs, column: int) -> Iterator[Caveat]:
    """Yield what each host says where blocks were run on several: a mean over hosts that disagree describes none."""
    ratios = pairs.log_ratios()[:, column]
    present = np.isfinite(ratios)
    hosts = sorted(set(pairs.hosts[present, column]))
    if len(hosts) > 1:
        means = {host: ratios[present & (pairs.hosts[:, column] == host)] for host in hosts}
        said = ", ".join(f"{100 * math.expm1(v.mean()):+.1f} % on {host} ({len(v)})" for host, v in means.items())
        yield Caveat(CaveatKind.HOSTS, f"blocks of {len(hosts)} hosts: {said}")


def drift_caveats(pairs: Pairs, metric: Metric, effect: float) -> Iterator[Caveat]:
    """Yield a caveat where the level of all cells together moves steadily over the blocks."""
    both = np.concatenate([pairs.baseline, pairs.candidate], axis=1)
    logs = np.log(np.where(both > 0, both, np.nan))
    cells = logs[:, np.isfinite(logs).sum(axis=0) > 0]
    centred = cells - np.nanmean(cells, axis=0)
    full = np.isfinite(centred).any(axis=1)
    if not full.any():
        return
    change = drift(np.asarray(pairs.blocks, dtype=np.float64)[full], np.nanmean(centred[full], axis=1))
    if abs(change) >= math.log1p(effect):
        yield Caveat(
            CaveatKind.DRIFT,
            f"{metric.title} of both arms drifts by {100 * math.expm1(change):+.0f} % from first block to last: "
            "out of the comparison by pairing, not out of the absolute values",
        )


def unsteady_caveats(records: Sequence[RunRecord]) -> dict[str, tuple[Caveat, ...]]:
    """Return, by id of the point, a caveat for each arm with runs that were not in steady state."""
    total: Counter[tuple[str, Arm]] = Counter()
    reasons: dict[tuple[str, Arm], list[str]] = defaultdict(list)
    for record, reason in zip(records, unsteady_reasons([run.traces.get(_TRACE, ()) for run in records]), strict=True):
        cell = record.scheduled.cell
        key = (cell.point.id, cell.arm)
        total[key] += 1
        if reason:
            reasons[key].append(f"{record.id} {reason}")
    found: dict[str, tuple[Caveat, ...]] = {}
    for key, texts in reasons.items():
        point, arm = key
        more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
        text = f"{len(texts)} of {total[key]} {arm.value} runs not in steady state: {texts[0]}{more}"
        found[point] = (*found.get(point, ()), Caveat(CaveatKind.UNSTEADY, text))
    return found


def experiment_caveats(results: Results) -> Iterator[Caveat]:
    """Yield what holds for all numbers of an experiment: failures, attempts, tier, CPUs, odd files."""
    yield from (Caveat(CaveatKind.FILES, text) for text in results.warnings)
    yield from _undone(results)
    yield from _failures(results)
    yield from _tier(results)
    yield from _cpus(results)
    short = sum(1 for record in results.ok if 0 < len(record.traces.get(_TRACE, ())) < FEWEST_READINGS)
    if short:
        text = f"{short} runs have fewer than {FEWEST_READINGS} readings, too few to tell whether they were steady"
        yield Caveat(CaveatKind.RUNS, text)
    yield from _notes(results)


def _notes(results: Results) -> Iterator[Caveat]:
    """Yield what runs say of themselves; sentences that differ in their numbers only are one, with an example."""
    said: dict[str, list[str]] = defaultdict(list)
    for record in results.ok:
        for text in record.warnings:
            said[re.sub(r"\d+(\.\d+)?", "0", text)].append(f"{record.id}: {text}")
    for examples in said.values():
        yield Caveat(CaveatKind.RUNS, f"{len(examples)} of {len(results.ok)} runs, for example {examples[0]}")
    for text in results.builds.get("warnings", ()):
        yield Caveat(CaveatKind.UNLIKE, str(text))


def _undone(results: Results) -> Iterator[Caveat]:
    if results.schedule and results.undone:
        yield Caveat(
            CaveatKind.MISSING,
            f"{results.undone} of {len(results.schedule)} scheduled runs were not made yet: no verdict before; "
            "call 'lab run' again to go on",
        )


def _failures(results: Results) -> Iterator[Caveat]:
    tried = Counter(record.scheduled.cell.arm for record in results.records)
    for arm in Arm:
        failed = Counter(
            record.outcome.value
            for record in results.records
            if record.scheduled.cell.arm is arm and record.outcome is not Outcome.OK
        )
        if failed:
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(failed.items()))
            text = f"{failed.total()} of {tried[arm]} attempts of {arm.value} failed ({kinds})"
            yield Caveat(CaveatKind.FAILURES, text)
    again = sum(1 for record in results.ok if record.attempt > 1)
    if again:
        text = f"{again} runs count with a later attempt, because an earlier one failed"
        yield Caveat(CaveatKind.ATTEMPTS, text)


def _tier(results: Results) -> Iterator[Caveat]:
    if results.tier == "tcg":
        yield Caveat(
            CaveatKind.TIER,
            "tier tcg (software emulation): the numbers support candidate against baseline on this host, "
            "never absolute IOPS or IOThread scaling",
        )
    elif results.tier == "mixed":
        yield Caveat(CaveatKind.TIER, "runs of several accelerators: their absolute values must not be read together")


def _cpus(results: Results) -> Iterator[Caveat]:
    cpus = usable_cpus(results)
    wanted = max((_threads_wanted(record) for record in results.ok), default=0)
    if cpus is not None and cpus < wanted:
        yield Caveat(
            CaveatKind.CPUS,
            f"this host has {cpus:g} CPUs for up to {wanted} vCPUs plus IOThreads: "
            "IOThread scaling cannot be judged here",
        )


def usable_cpus(results: Results) -> float | None:
    """Return how many CPUs the lab could use where the runs were made, None where host.json does not say."""
    usable, online = results.host.get("usable_cpus"), results.host.get("cpus")
    if isinstance(usable, int | float):
        return float(usable)
    return float(len(online)) if isinstance(online, list) else None


def _threads_wanted(record: RunRecord) -> int:
    """Return how many threads of the run want a CPU of their own: vCPUs and IOThreads; 0 where it does not say."""
    vcpus, iothreads = record.facts.get("vcpus"), record.facts.get("iothreads")
    return vcpus + iothreads if isinstance(vcpus, int) and isinstance(iothreads, int) else 0
