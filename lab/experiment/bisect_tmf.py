"""Positions of a series to answers by the matrix of task management functions: which patch breaks an answer?

A case passes or fails, but a race fails now and then. So each step asks both builds in turn, six rounds: a case that
fails every time on one and passes every time on the other differs with p = 2/64 (a sign test). Cases that are neither
say nothing. What was seen is stored when a step is done; a bisection that was killed repeats the step it was in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.build.patches import PatchBuilds
from lab.errors import FindingError, InputError
from lab.experiment.bisect import Answer, Kind, Step
from lab.files import MIB, read_text_input, write_atomically
from lab.progress import Progress
from lab.virtio.tmf.case import TmfCase
from lab.virtio.verdict import Verdict

ROUNDS = 6
"""The fewest with which a sign test can reach 5 %."""
MOST_FOLLOWED = 8
"""Cases that are asked again in every step; a case that hangs takes seconds, and one patch breaks many alike."""

Run = Callable[[Path, Sequence[TmfCase], Path], Sequence[Verdict]]
"""Performs cases: binary, cases, folder for evidence. One verdict for each case."""

_PASSED, _FAILED = Verdict.PASSED.value, Verdict.FAILED.value


@dataclass(frozen=True)
class Seen:
    """What both builds did with a case, one verdict for each round."""

    baseline: tuple[str, ...]
    candidate: tuple[str, ...]

    @property
    def broken(self) -> bool:
        """Tell whether the candidate fails what the baseline passes, every time."""
        return set(self.baseline) == {_PASSED} and set(self.candidate) == {_FAILED}

    @property
    def whole(self) -> bool:
        """Tell whether the candidate passes every time."""
        return set(self.candidate) == {_PASSED}


class TmfJudge:
    """Asks with the matrix; a :class:`lab.experiment.bisect.Judge`.

    :param folder: gets a file and the evidence for each step.
    :param cases: of a binary, those that are asked about.
    :param run: performs cases on a binary.
    """

    def __init__(
        self,
        builds: PatchBuilds,
        folder: Path,
        *,
        cases: Callable[[Path], Sequence[TmfCase]],
        run: Run,
        progress: Progress,
    ) -> None:
        self._builds, self._folder, self._cases, self._run = builds, folder, cases, run
        self._progress = progress
        self._followed: tuple[TmfCase, ...] = ()

    def judge(self, kind: Kind, low: int, high: int) -> Step:
        """Return the answer for what lies between two positions, asked of the binaries where it is not stored.

        :raise FindingError: the whole series does not build.
        :raise InputError: the stored answer of a step is damaged.
        :raise LabError: QEMU does not start.
        """
        baseline, candidate = self._builds.at(low).build, self._builds.at(high).build
        if baseline is None or candidate is None:
            patch = self._builds.at(high)
            if kind is Kind.WHOLE:
                raise FindingError(f"the whole series cannot be tested: patch {patch.index} does not build")
            return Step(kind, low, high, Answer.UNTESTABLE, f"patch {patch.index} does not build: {patch.evidence}")
        name = kind.value if kind is Kind.WHOLE else f"{kind.value}-{low}-{high}"
        path = self._folder / f"{name}.json"
        if path.is_file():
            seen = _read(path)
        else:
            asked = self._followed or self._suspects(baseline.qemu, candidate.qemu, self._folder / name)
            seen = self._rounds(baseline.qemu, candidate.qemu, asked, self._folder / name)
            _write(path, seen)
        if kind is Kind.WHOLE:
            known = {case.id: case for case in self._cases(candidate.qemu)}
            self._followed = tuple(known[name] for name, one in seen.items() if one.broken and name in known)
        return Step(kind, low, high, _answer(kind, seen), _reason(seen), _text(seen), _data(seen), (path,))

    def _suspects(self, baseline: Path, candidate: Path, evidence: Path) -> tuple[TmfCase, ...]:
        """Return cases that the candidate fails and the baseline passes, asked once; one of each subtype first."""
        takes = {case.id for case in self._cases(baseline)}
        cases = [case for case in self._cases(candidate) if case.id in takes]
        self._progress.say(f"{len(cases)} cases on both builds")
        before = self._run(baseline, cases, evidence / "screen-baseline")
        after = self._run(candidate, cases, evidence / "screen-candidate")
        both = zip(cases, before, after, strict=True)
        found = [case for case, old, new in both if old is Verdict.PASSED and new is Verdict.FAILED]
        firsts = {case.subtype: case for case in reversed(found)}
        ordered = [*firsts.values(), *(case for case in found if case not in firsts.values())]
        return tuple(ordered[:MOST_FOLLOWED])

    def _rounds(self, baseline: Path, candidate: Path, cases: Sequence[TmfCase], evidence: Path) -> dict[str, Seen]:
        """Ask both builds in turn; which one is first alternates."""
        seen: dict[str, dict[str, list[str]]] = {case.id: {"baseline": [], "candidate": []} for case in cases}
        for number in range(ROUNDS if cases else 0):
            arms = [("baseline", baseline), ("candidate", candidate)]
            for arm, binary in arms if number % 2 == 0 else reversed(arms):
                verdicts = self._run(binary, cases, evidence / f"round-{number + 1}-{arm}")
                for case, verdict in zip(cases, verdicts, strict=True):
                    seen[case.id][arm].append(verdict.value)
        return {name: Seen(tuple(of["baseline"]), tuple(of["candidate"])) for name, of in seen.items()}


def _answer(kind: Kind, seen: Mapping[str, Seen]) -> Answer:
    if any(one.broken for one in seen.values()):
        return Answer.SHOWN
    if kind is Kind.WHOLE:
        # Suspects that were not broken in every round are a race: somebody has to look, not this search.
        return Answer.UNDECIDED if seen else Answer.ABSENT
    return Answer.ABSENT if all(one.whole for one in seen.values()) else Answer.UNDECIDED


def _reason(seen: Mapping[str, Seen]) -> str:
    broken = sum(one.broken for one in seen.values())
    if not seen:
        return "the candidate fails no case that the baseline passes"
    return f"{broken} of {len(seen)} cases fail in all of {ROUNDS} rounds, and pass in all on the baseline"


def _text(seen: Mapping[str, Seen]) -> str:
    return "\n".join(
        f"{name}: baseline failed {_failures(one.baseline)}, candidate {_failures(one.candidate)}"
        for name, one in seen.items()
    )


def _failures(verdicts: Sequence[str]) -> str:
    return f"{sum(verdict != _PASSED for verdict in verdicts)} of {len(verdicts)}"


def _data(seen: Mapping[str, Seen]) -> dict[str, dict[str, list[str]]]:
    return {name: {"baseline": list(one.baseline), "candidate": list(one.candidate)} for name, one in seen.items()}


def _write(path: Path, seen: Mapping[str, Seen]) -> None:
    write_atomically(path, json.dumps(_data(seen), indent=2) + "\n")


def _read(path: Path) -> dict[str, Seen]:
    try:
        value = json.loads(read_text_input(path, limit_bytes=MIB))
        return {
            str(name): Seen(tuple(map(str, one["baseline"])), tuple(map(str, one["candidate"])))
            for name, one in value.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise InputError(f"{path} cannot be read: {err}", remedy="remove it: the step is then done again") from err
