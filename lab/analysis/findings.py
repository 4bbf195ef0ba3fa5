"""Records to what the candidate breaks: failures that the baseline does not have. No statistics of speed is needed.

Failures of the host are nobody's. All others are counted by attempt, arm against arm, whatever the second attempt did:
a guest that hangs once in ten boots is not whole because the next boot works.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy import stats

from lab.progress import headline
from lab.record import Arm, Outcome, Point, RunRecord

_FEWEST = 2
_ONCE_IS_ENOUGH = (Outcome.QEMU_CRASHED, Outcome.SCENARIO_FAILED)
_LUCK = 0.05 + 1e-9
"""How likely may so many failures lie in one arm only; a tie counts as unlikely."""
_NOT_ITS_FAULT = frozenset({Outcome.OK, Outcome.INFRASTRUCTURE})


@dataclass(frozen=True)
class _Kind:
    """Failures that are counted together, because one defect shows as any of them.

    :param words: what failed, and how.
    """

    outcomes: tuple[Outcome, ...]
    words: str


_KINDS = (
    _Kind((Outcome.QEMU_CRASHED,), "QEMU crashed"),
    _Kind((Outcome.SCENARIO_FAILED,), "QEMU did not take the scenario"),
    _Kind((Outcome.BOOT_FAILED, Outcome.GUEST_HUNG, Outcome.WORKLOAD_FAILED), "guest failed"),
    _Kind((Outcome.VOID,), "guest did not run what was asked for"),
)


@dataclass(frozen=True)
class Failures:
    """What failures say of the candidate.

    :param findings: a sentence for each kind that speaks against it.
    :param doubts: a sentence for each kind that it has more often than the baseline, as may be chance: no finding, and
        no pass either. Void runs are one only where chance is unlikely.
    """

    findings: tuple[str, ...]
    doubts: tuple[str, ...]


def failures_of(records: Sequence[RunRecord], alpha: float) -> Failures:
    """Compare how often the arms failed.

    A finding is a crash of the candidate's QEMU, or a scenario that it did not take, when the baseline has none, since
    nobody expects a single one; a point at which the candidate fails every time, twice or more, and the baseline never;
    and any kind of failure that it has so much more often that chance gives it that share with ``alpha`` / 2 at most,
    which the kinds that occurred share; an attempt that fails because the one before it did makes that optimistic.
    """
    always = dict(_always_failing(records))
    rest = [record for record in records if record.scheduled.cell.point not in always] if always else records
    attempts = _attempts(records)
    attempts_of_rest = _attempts(rest) if always else attempts
    found, doubts = [], []
    of_kind = {}
    for kind in _KINDS:
        counted = attempts if kind.outcomes[0] in _ONCE_IS_ENOUGH else attempts_of_rest
        of_kind[kind] = {arm: _failed(counted, arm, kind.outcomes) for arm in Arm}
    # What neither arm has can raise no alarm (Tarone, Biometrics 46, 1990), so only the others share the chance of one.
    level = alpha / 2 / max(1, sum(any(failed for failed, _ in counts.values()) for counts in of_kind.values()))
    for kind, counts in of_kind.items():
        once = kind.outcomes[0] in _ONCE_IS_ENOUGH
        (failed, tried), (elsewhere, others) = counts[Arm.CANDIDATE], counts[Arm.BASELINE]
        if not failed or (elsewhere and failed * others <= elsewhere * tried):
            continue
        p = p_of_failures(counts[Arm.CANDIDATE], counts[Arm.BASELINE])
        text = _sentence(kind, records if once else rest, counts)
        odds = f"chance alone does so in {100 * p:.0f} % of cases"
        if p <= level:
            found.append(text)
        elif once and not elsewhere:
            found.append(f"{text}; if both failed alike, {odds}")
        elif Outcome.VOID not in kind.outcomes or p <= _LUCK:  # a run may be void for what the host did, too
            doubts.append(f"{text}; {odds}")
    return Failures((*found, *always.values()), tuple(doubts))


def mends(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return a sentence for each way to fail that the baseline has, the candidate has not, and chance hardly explains.

    A claim needs more than a finding does, so a single failure of the baseline is none.
    """
    attempts = _attempts(records)
    if _failed(attempts, Arm.CANDIDATE, _ONCE_IS_ENOUGH)[0]:
        return ()
    said = []
    for kind in _KINDS[: len(_ONCE_IS_ENOUGH)]:
        mine, theirs = (_failed(attempts, arm, kind.outcomes) for arm in (Arm.CANDIDATE, Arm.BASELINE))
        if theirs[0] and p_of_failures(theirs, mine) <= _LUCK:
            how_often = f"in {theirs[0]} of {theirs[1]} runs, the candidate's in none of {mine[1]}"
            said.append(f"The series mends this: the baseline's {kind.words} {how_often}.")
    return tuple(said)


def points_that_never_work(records: Sequence[RunRecord], arm: Arm) -> frozenset[Point]:
    """Return the points at which every run of an arm ended as a series may mend: QEMU crashed, or a scenario failed."""
    outcomes: dict[Point, set[Outcome]] = {}
    for record in records:
        if record.scheduled.cell.arm is arm:
            outcomes.setdefault(record.scheduled.cell.point, set()).add(record.outcome)
    return frozenset(point for point, seen in outcomes.items() if seen <= set(_ONCE_IS_ENOUGH))


def count_failures(records: Sequence[RunRecord], arm: Arm) -> tuple[int, int]:
    """Return how many attempts of an arm failed, and how many there were that say something."""
    return _failed(_attempts(records), arm, tuple(set(Outcome) - _NOT_ITS_FAULT))


def p_of_failures(candidate: tuple[int, int], baseline: tuple[int, int]) -> float:
    """Return how likely the candidate has so many of the failures, or more, where both arms fail alike.

    Fisher's exact test, one-sided: all ways to deal the failures out to the runs are equally likely.

    :param candidate: failures and runs.
    :param baseline: likewise.
    """
    (failed, tried), (elsewhere, others) = candidate, baseline
    return float(stats.hypergeom.sf(failed - 1, tried + others, failed + elsewhere, tried))


def _attempts(records: Sequence[RunRecord]) -> Counter[tuple[Arm, Outcome]]:
    """Return how often each arm ended in which way: one look at all records, which may be a hundred thousand."""
    return Counter((record.scheduled.cell.arm, record.outcome) for record in records)


def _failed(attempts: Counter[tuple[Arm, Outcome]], arm: Arm, outcomes: Sequence[Outcome]) -> tuple[int, int]:
    tried = sum(attempts[arm, outcome] for outcome in Outcome if outcome is not Outcome.INFRASTRUCTURE)
    return sum(attempts[arm, outcome] for outcome in outcomes), tried


def _sentence(kind: _Kind, records: Sequence[RunRecord], counts: dict[Arm, tuple[int, int]]) -> str:
    mine = [r for r in records if r.scheduled.cell.arm is Arm.CANDIDATE and r.outcome in kind.outcomes]
    kinds = f" ({_counted([record.outcome for record in mine])})" if len(kind.outcomes) > 1 else ""
    reason = headline(mine[0].reason) or "no reason is on record"
    failed, tried = counts[Arm.CANDIDATE]
    elsewhere, others = counts[Arm.BASELINE]
    counted = f"in {failed} of {tried} attempts{kinds}, the baseline's in {elsewhere or 'none'} of {others}"
    return f"the candidate's {kind.words} {counted}; first in {mine[0].id}: {reason}"


def _always_failing(records: Sequence[RunRecord]) -> Iterator[tuple[Point, str]]:
    outcomes: dict[Point, dict[Arm, list[Outcome]]] = {}
    for record in records:
        cell = record.scheduled.cell
        outcomes.setdefault(cell.point, {arm: [] for arm in Arm})[cell.arm].append(record.outcome)
    for point, of_arm in outcomes.items():
        candidate, baseline = of_arm[Arm.CANDIDATE], of_arm[Arm.BASELINE]
        failed = [outcome for outcome in candidate if outcome not in _NOT_ITS_FAULT]
        if len(failed) < _FEWEST or len(failed) < len(candidate) or not set(_ONCE_IS_ENOUGH).isdisjoint(failed):
            continue  # crashes are told by themselves
        if Outcome.VOID in failed and p_of_failures((len(failed), len(failed)), (0, len(baseline))) > _LUCK:
            continue  # likewise, see above
        if baseline and set(baseline) == {Outcome.OK}:
            text = f"the candidate failed in all {len(failed)} attempts ({_counted(failed)}), the baseline in none"
            yield point, f"at {point.id} {text}"


def _counted(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(map(str, outcomes)).items()))
