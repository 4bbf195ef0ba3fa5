from __future__ import annotations

from collections.abc import Mapping

import pytest

from lab.experiment.bisect import Answer, Bisection, Kind, Outcome, Step, bisect, most_steps, next_position

SHOWN, ABSENT, UNDECIDED, UNTESTABLE = Answer.SHOWN, Answer.ABSENT, Answer.UNDECIDED, Answer.UNTESTABLE


class Series:
    """A judge that knows the truth.

    :param culprit: the patch that brings it, 0 for none.
    :param told: what it says instead at a position of the search.
    """

    def __init__(self, culprit: int, told: Mapping[int, Answer] | None = None, confirm: Answer | None = None) -> None:
        self.culprit, self.told, self.confirm = culprit, told or {}, confirm
        self.asked: list[tuple[str, int, int]] = []

    def judge(self, kind: Kind, low: int, high: int) -> Step:
        """Answer, and remember the question."""
        self.asked.append((kind.value, low, high))
        answer = SHOWN if low < self.culprit <= high else ABSENT
        if kind is Kind.SEARCH:
            answer = self.told.get(high, answer)
        if kind is Kind.CONFIRM and self.confirm is not None:
            answer = self.confirm
        return Step(kind, low, high, answer, "because")


def left(found: Bisection) -> list[int]:
    """Return the patches that are left."""
    return list(range(found.low + 1, found.high + 1))


@pytest.mark.parametrize("patches", [*range(1, 18), 64])
def test_every_culprit_of_every_series_is_found(patches: int) -> None:
    """In as few steps as a binary search takes, and the one to confirm."""
    for culprit in range(1, patches + 1):
        judge = Series(culprit)
        found = bisect(judge, patches)
        assert (found.outcome, found.high, found.low) == (Outcome.FOUND, culprit, culprit - 1)
        assert len(found.steps) <= most_steps(patches)
        assert judge.asked[0] == ("whole", 0, patches)
        if patches > 1:
            assert judge.asked[-1] == ("confirm", culprit - 1, culprit)


def test_no_question_is_asked_twice() -> None:
    """Asking again for an answer that is welcome finds a culprit in noise."""
    judge = Series(5, told={4: UNTESTABLE, 3: UNTESTABLE})
    bisect(judge, 8)
    assert len(judge.asked) == len(set(judge.asked))


def test_a_series_of_one_patch_is_named_by_the_whole() -> None:
    """The confirmation would be the same experiment."""
    judge = Series(1)
    assert bisect(judge, 1).outcome is Outcome.FOUND
    assert judge.asked == [("whole", 0, 1)]


@pytest.mark.parametrize(
    ("whole", "outcome"),
    [(ABSENT, Outcome.NOTHING), (UNDECIDED, Outcome.UNDECIDED), (UNTESTABLE, Outcome.UNDECIDED)],
)
def test_what_the_whole_does_not_show_is_not_looked_for(whole: Answer, outcome: Outcome) -> None:
    """Nothing is measured after it."""

    class Judge:
        def judge(self, kind: Kind, low: int, high: int) -> Step:
            assert kind is Kind.WHOLE
            return Step(kind, low, high, whole, "")

    found = bisect(Judge(), 8)
    assert found.outcome is outcome and len(found.steps) == 1


def test_a_step_that_cannot_be_decided_ends_it_with_what_is_left() -> None:
    """The patches of the part that was not decided, and no others."""
    found = bisect(Series(7, told={6: UNDECIDED}), 8)
    assert found.outcome is Outcome.UNDECIDED and left(found) == [5, 6, 7, 8]


def test_a_patch_that_cannot_be_tested_is_gone_around() -> None:
    """As git bisect skip does; it is named, wherever it is."""
    for culprit in (1, 2, 3, 6, 7, 8):  # 4 and 5 cannot be told from each other
        found = bisect(Series(culprit, told={4: UNTESTABLE}), 8)
        assert (found.outcome, found.high) == (Outcome.FOUND, culprit)
        assert found.untestable == (4,)


@pytest.mark.parametrize("culprit", [4, 5])
def test_a_culprit_beside_one_that_cannot_be_tested_is_one_of_both(culprit: int) -> None:
    """Both are left, and what they do together is still confirmed."""
    judge = Series(culprit, told={4: UNTESTABLE})
    found = bisect(judge, 8)
    assert found.outcome is Outcome.UNTESTABLE and left(found) == [4, 5]
    assert judge.asked[-1] == ("confirm", 3, 5)


def test_a_series_of_which_nothing_can_be_tested_is_left_whole() -> None:
    """And not confirmed: that would be the first experiment again."""
    judge = Series(2, told=dict.fromkeys(range(1, 4), UNTESTABLE))
    found = bisect(judge, 4)
    assert found.outcome is Outcome.UNTESTABLE and left(found) == [1, 2, 3, 4] and found.untestable == (1, 2, 3)
    assert [kind for kind, _, _ in judge.asked] == ["whole", "search", "search", "search"]


@pytest.mark.parametrize("confirm", [ABSENT, UNDECIDED, UNTESTABLE])
def test_what_is_not_confirmed_is_not_found(confirm: Answer) -> None:
    """A wrong turn ends here: the runs that confirm are its own."""
    found = bisect(Series(3, confirm=confirm), 8)
    assert found.outcome is Outcome.NOT_CONFIRMED and left(found) == [3]


def test_a_wrong_turn_names_nobody() -> None:
    """The search then ends at a patch that does nothing, and that is seen."""
    found = bisect(Series(6, told={4: SHOWN}), 8)
    assert found.outcome is Outcome.NOT_CONFIRMED and found.high <= 4


def test_each_step_is_told_before_it_is_made() -> None:
    """For progress: steps take minutes."""
    judge = Series(3)
    told: list[tuple[str, int, int]] = []

    def before(kind: Kind, low: int, high: int) -> None:
        assert len(judge.asked) == len(told)
        told.append((kind.value, low, high))

    bisect(judge, 4, before_step=before)
    assert told == judge.asked


def test_the_middle_is_tried_first_and_then_its_neighbours() -> None:
    """The lower one of two that are as near."""
    assert next_position(0, 8, set()) == 4
    assert next_position(0, 8, {4}) == 3
    assert next_position(0, 8, {3, 4}) == 5
    assert next_position(4, 5, set()) is None
    assert next_position(0, 3, {1, 2}) is None
