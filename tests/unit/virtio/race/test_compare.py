"""What a candidate changes about races."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.virtio.backing import Backing
from lab.virtio.change import Change
from lab.virtio.race.attempt import RaceResult
from lab.virtio.race.campaign import Finding
from lab.virtio.race.compare import chance_of_so_many, race_changes
from lab.virtio.race.judge import Fault, FaultKind, RaceJudgement
from lab.virtio.race.schedule import Schedule

RACE = Schedule(5, "2", ("t0", "t1"), {}, 4, Backing.NULL, ())
CRASH, HANG = Fault(FaultKind.CRASH, "QEMU ended", "assertion x"), Fault(FaultKind.HANG, "it hangs")


def finding(fault: Fault = CRASH, failed: int = 24) -> Finding:
    """Return a finding that so many of 24 performances showed."""
    return Finding(fault, RaceResult(RACE, RaceJudgement((fault,)), 1, 1, (), "q", None, 0.1), (5,), RACE, failed, 24)


def shows(failed: int) -> Callable[[Schedule, Fault], tuple[int, int]]:
    """Return a binary that shows a fault so often in 24 performances."""

    def count(schedule: Schedule, fault: Fault) -> tuple[int, int]:
        assert schedule == RACE and fault in (CRASH, HANG)
        return failed, 24

    return count


def nobody(*_: object) -> tuple[int, int]:
    """Stand for a binary that need not be asked."""
    raise AssertionError("it was asked")


def test_what_both_show_is_no_change() -> None:
    """Nobody performs anything again."""
    assert race_changes([finding()], [finding(failed=3)], on_baseline=nobody, on_candidate=nobody) == ()
    assert race_changes([], [], on_baseline=nobody, on_candidate=nobody) == ()


@pytest.mark.parametrize(
    ("failed", "others", "says", "better"),
    [
        (24, 0, "breaks this", False),
        (6, 0, "breaks this", False),
        (2, 0, "may break this", None),
        (24, 1, "shows this more often", False),
        (4, 1, "shows what", None),
    ],
)
def test_the_other_binary_is_asked(failed: int, others: int, says: str, better: bool | None) -> None:
    """What fails on one of them only counts where that is no luck; the numbers of both are said."""
    (change,) = race_changes([], [finding(failed=failed)], on_baseline=shows(others), on_candidate=nobody)
    assert change.sentence.startswith(says) and change.better is better and change.cases == ("seed-5",)
    assert f"QEMU ends by itself: assertion x (baseline {others} of 24, candidate {failed} of 24 " in change.sentence


def test_what_is_broken_stands_before_what_is_mended() -> None:
    """And the baseline's numbers stay the baseline's."""
    found = race_changes([finding(HANG)], [finding()], on_baseline=shows(0), on_candidate=shows(0))
    assert [change.better for change in found] == [False, True]
    assert found[1] == Change(
        "mends this: something never ends (baseline 24 of 24, candidate 0 of 24 performances of seed 5, 0 steps)",
        ("seed-5",),
        better=True,
    )


def test_the_chance_of_so_many() -> None:
    """By hand: 3 failures fall on the first 3 of 6 in 1 of 20 ways, 2 of them or all in 10; a single one in half."""
    assert chance_of_so_many(3, 3, 0, 3) == pytest.approx(1 / 20)
    assert chance_of_so_many(2, 3, 1, 3) == pytest.approx(10 / 20)
    assert chance_of_so_many(1, 24, 0, 24) == pytest.approx(0.5)
