"""Records to caveats: what became of the runs, and which claims the host and the tier do not support."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from lab.analysis.caveats import Caveat, CaveatKind
from lab.analysis.results import Results
from lab.analysis.steady import FEWEST_READINGS, unsteady_reasons
from lab.record import Arm, Outcome, RunRecord

_TRACE = "iops"
_MORE_THAN_ANY_HOST = 1e9


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
    yield from _binaries(results)
    yield from (Caveat(CaveatKind.FILES, text) for text in results.warnings)
    yield from _undone(results)
    yield from _failures(results)
    yield from _tier(results)
    yield from _cpus(results)
    short = sum(1 for record in results.ok if 0 < len(record.traces.get(_TRACE, ())) < FEWEST_READINGS)
    if short:
        text = f"fewer than {FEWEST_READINGS} readings, too few to tell whether it was steady"
        yield Caveat(CaveatKind.RUNS, f"{short} of {len(results.ok)} runs: {text}")
    yield from _notes(results)


def _binaries(results: Results) -> Iterator[Caveat]:
    """Yield that there may be nothing to compare; a CSV file, which has no schedule, names no builds."""
    builds = [results.builds.get(arm.value) for arm in Arm]
    baseline, candidate = (build.get("binary_sha256") if isinstance(build, dict) else None for build in builds)
    if results.schedule and not (baseline and candidate):
        yield Caveat(CaveatKind.BUILDS, "builds.json does not say which binaries ran: both arms may be one")
    elif baseline and baseline == candidate:
        yield Caveat(CaveatKind.BUILDS, "both arms are one binary: no difference between them is a change of its code")


def _notes(results: Results) -> Iterator[Caveat]:
    """Yield what runs say of themselves; sentences that differ in their numbers only are one, with an example."""
    said: dict[str, list[str]] = defaultdict(list)
    for record in results.ok:
        for text in record.warnings:
            said[re.sub(r"\d+(\.\d+)?", "0", text)].append(f"{record.id}: {text}")
    for examples in said.values():
        yield Caveat(CaveatKind.RUNS, f"{len(examples)} of {len(results.ok)} runs, for example {examples[0]}")
    yield from (Caveat(CaveatKind.UNLIKE, text) for text in results.build_warnings)


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
        runs = "1 run counts" if again == 1 else f"{again} runs count"
        text = f"{runs} with a later attempt, because an earlier one failed"
        yield Caveat(CaveatKind.ATTEMPTS, text)


def _tier(results: Results) -> Iterator[Caveat]:
    if results.tier == "tcg":
        yield Caveat(
            CaveatKind.TIER,
            "tier tcg (software emulation): the numbers support candidate against baseline on this host, "
            "never absolute IOPS or IOThread scaling",
        )
    elif results.tier == "qtest":
        yield Caveat(
            CaveatKind.TIER,
            "tier qtest (no guest): the numbers support candidate against baseline and the cost of QEMU's own code on "
            "this host, never what a guest would see; interrupts are not covered, and kicks take a longer way",
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
    plan = results.host.get("cpu_plan")
    told = plan.get("cannot_claim") if isinstance(plan, dict) else None
    yield from (Caveat(CaveatKind.CPUS, str(text)) for text in (told if isinstance(told, list) else ()))


def usable_cpus(results: Results) -> float | None:
    """Return how many CPUs the lab could use where the runs were made, None where host.json does not say."""
    usable, online = results.host.get("usable_cpus"), results.host.get("cpus")
    if isinstance(usable, int | float) and usable < _MORE_THAN_ANY_HOST:
        return float(usable)
    return float(len(online)) if isinstance(online, list) else None


def _threads_wanted(record: RunRecord) -> int:
    """Return how many threads of the run want a CPU of their own: vCPUs and IOThreads; 0 where it does not say."""
    vcpus, iothreads = record.facts.get("vcpus"), record.facts.get("iothreads")
    return vcpus + iothreads if isinstance(vcpus, int) and isinstance(iothreads, int) else 0
