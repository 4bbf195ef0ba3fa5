from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from lab.build.patches import PatchBuilds
from lab.errors import FindingError, InputError
from lab.experiment.bisect import Answer, Kind, Outcome, bisect
from lab.experiment.bisect_tmf import MOST_FOLLOWED, ROUNDS, TmfJudge
from lab.testing import RecordingProgress
from lab.virtio.tmf.case import TmfCase, matrix_cases
from lab.virtio.verdict import Verdict
from tests.unit.experiment.test_bisect_job import Builds

CASES = matrix_cases(["none"])[:40]
BROKEN = CASES[3]


class Matrix:
    """Binaries that answer as the test says.

    :param rule: what a binary (its position) does with a case, at its n-th time of asking.
    """

    def __init__(self, rule: Callable[[int, TmfCase, int], Verdict]) -> None:
        self.rule = rule
        self.asked: list[tuple[int, int, str]] = []
        self._times: dict[tuple[int, TmfCase], int] = {}

    def run(self, qemu: Path, cases: Sequence[TmfCase], evidence: Path) -> list[Verdict]:
        """Answer, and remember how much was asked."""
        position = int(qemu.parent.name.removeprefix("build-"))
        self.asked.append((position, len(cases), evidence.name))
        verdicts = []
        for case in cases:
            self._times[position, case] = self._times.get((position, case), 0) + 1
            verdicts.append(self.rule(position, case, self._times[position, case]))
        return verdicts


def breaks(culprit: int, *cases: TmfCase) -> Callable[[int, TmfCase, int], Verdict]:
    """Return a rule: from this patch on, these cases fail."""
    return lambda position, case, _: Verdict.FAILED if position >= culprit and case in cases else Verdict.PASSED


def judge(folder: Path, matrix: Matrix, builds: Builds | None = None) -> TmfJudge:
    """Return a judge of four patches."""
    return TmfJudge(
        cast("PatchBuilds", builds or Builds()),
        folder,
        cases=lambda _qemu: CASES,
        run=matrix.run,
        progress=RecordingProgress(),
    )


@pytest.mark.parametrize("culprit", [1, 2, 3, 4])
def test_the_patch_that_breaks_an_answer_is_found(tmp_path: Path, culprit: int) -> None:
    """Everything is asked once, then only the cases that differ, six rounds on both builds."""
    matrix = Matrix(breaks(culprit, BROKEN))
    found = bisect(judge(tmp_path, matrix), 4)
    assert (found.outcome, found.high) == (Outcome.FOUND, culprit)
    assert matrix.asked[:2] == [(0, 40, "screen-baseline"), (4, 40, "screen-candidate")]
    assert {count for _, count, _ in matrix.asked[2:]} == {1}
    assert len(matrix.asked) == 2 + len(found.steps) * 2 * ROUNDS
    assert f"{BROKEN.id}: baseline failed 0 of 6, candidate 6 of 6" in found.steps[0].text


def test_which_build_is_asked_first_alternates(tmp_path: Path) -> None:
    """So that what the host does meets both."""
    matrix = Matrix(breaks(1, BROKEN))
    judge(tmp_path, matrix).judge(Kind.WHOLE, 0, 4)
    assert [position for position, _, _ in matrix.asked[2:8]] == [0, 4, 4, 0, 0, 4]


def test_nothing_broken_is_nothing_to_find(tmp_path: Path) -> None:
    """What fails on both builds is not the series' fault."""
    matrix = Matrix(breaks(0, BROKEN))
    assert bisect(judge(tmp_path, matrix), 4).outcome is Outcome.NOTHING
    assert len(matrix.asked) == 2


def test_a_case_that_fails_now_and_then_is_not_searched_for(tmp_path: Path) -> None:
    """A race needs somebody to look; one run per side would name any patch."""

    def races(position: int, case: TmfCase, time: int) -> Verdict:
        return Verdict.FAILED if position and case is BROKEN and time % 2 else Verdict.PASSED

    found = bisect(judge(tmp_path, Matrix(races)), 4)
    assert found.outcome is Outcome.UNDECIDED and len(found.steps) == 1


def test_a_step_that_is_neither_is_not_decided(tmp_path: Path) -> None:
    """The patches of that half are left."""

    def half(position: int, case: TmfCase, time: int) -> Verdict:
        fails = case is BROKEN and (position == 4 or (position == 2 and time % 2 == 0))
        return Verdict.FAILED if fails else Verdict.PASSED

    found = bisect(judge(tmp_path, Matrix(half)), 4)
    assert found.outcome is Outcome.UNDECIDED and (found.low, found.high) == (0, 4)


def test_only_some_of_many_broken_cases_are_asked_again(tmp_path: Path) -> None:
    """One of each subtype at least, as far as they go: a case that hangs takes seconds."""
    matrix = Matrix(breaks(1, *CASES))
    step = judge(tmp_path, matrix).judge(Kind.WHOLE, 0, 4)
    assert len(step.data) == MOST_FOLLOWED
    subtypes = {case.subtype for case in CASES if case.id in step.data}
    assert len(subtypes) == len({case.subtype for case in CASES})


def test_steps_that_are_done_are_read(tmp_path: Path) -> None:
    """A bisection that was killed goes on; the same answers, nothing asked."""
    first = Matrix(breaks(3, BROKEN))
    before = bisect(judge(tmp_path, first), 4)
    again = Matrix(breaks(3, BROKEN))
    assert bisect(judge(tmp_path, again), 4) == before
    assert again.asked == []


@pytest.mark.parametrize("text", ["{", "[]", '{"x": {}}', '{"x": 1}'])
def test_a_damaged_answer_is_an_input_error(tmp_path: Path, text: str) -> None:
    """The message names the file."""
    (tmp_path / "whole.json").write_text(text)
    with pytest.raises(InputError, match=r"whole\.json cannot be read"):
        judge(tmp_path, Matrix(breaks(1))).judge(Kind.WHOLE, 0, 4)


def test_a_patch_that_does_not_build_is_gone_around(tmp_path: Path) -> None:
    """The end of the series must build."""
    found = bisect(judge(tmp_path, Matrix(breaks(1, BROKEN)), Builds(broken=[2])), 4)
    assert (found.outcome, found.high, found.untestable) == (Outcome.FOUND, 1, (2,))
    with pytest.raises(FindingError, match="patch 4"):
        judge(tmp_path, Matrix(breaks(1)), Builds(broken=[4])).judge(Kind.WHOLE, 0, 4)
    assert found.steps[0].answer is Answer.SHOWN
