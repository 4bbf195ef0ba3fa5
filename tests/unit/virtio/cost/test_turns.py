import pytest

from lab.virtio.cost.turns import at_equal_turns


def burst(operations: int, turns: int, *, cost: float = 1000, **more: float) -> dict[str, float]:
    """Return what a burst cost: each turn takes 124 instructions of the loop itself and 5000 elsewhere."""
    return {"serve": cost * operations, "main_loop_wait": 124 * turns, "poll": 5000 * turns, **more}


def difference(small: list[dict[str, float]], large: list[dict[str, float]]) -> set[float]:
    """Return by how much each large burst is dearer than each small one, at equal turns."""
    before, after = at_equal_turns(small, large)
    return {sum(one.values()) - sum(other.values()) for one in after for other in before}


def test_turns_by_chance_are_taken_out() -> None:
    """Whichever of the bursts had them, the operations are what is left."""
    small = [burst(20, turns) for turns in (5, 7, 5)]
    large = [burst(820, turns) for turns in (9, 6, 8)]
    assert difference(small, large) == {800_000}


def test_a_burst_that_paid_for_something_else_changes_no_other() -> None:
    """What a turn costs is a median, so one odd burst of five does not make turns dear."""
    small = [burst(20, turns) for turns in (5, 5, 6, 7, 7)]
    large = [burst(820, turns) for turns in (6, 6, 7, 8)]
    odd = burst(820, 9, poll=5000 * 9 + 800_000)
    assert difference(small, large) == {800_000}
    assert difference(small, [*large, odd]) == {800_000, 1_600_000}


def test_equal_turns_are_left_alone() -> None:
    """There is nothing to learn what one costs from, and no need to."""
    assert difference([burst(20, 5)] * 2, [burst(820, 5)] * 2) == {800_000}


def test_a_loop_without_a_name_is_left_alone() -> None:
    """Another program, or a QEMU that calls it otherwise."""
    assert at_equal_turns([{"f": 1.0}], [{"f": 3.0}, {"f": 4.0}]) == (({"f": 1.0},), ({"f": 3.0}, {"f": 4.0}))


@pytest.mark.parametrize(("operations_per_turn", "counted"), [(10, True), (1000, False)])
def test_turns_that_operations_make_are_counted(operations_per_turn: int, counted: bool) -> None:
    """A series that wakes the main loop for every tenth command costs what that costs: more than a hundredth."""
    small = [burst(20, 2 + 20 // operations_per_turn + by_chance) for by_chance in (0, 1, 0)]
    large = [burst(2020, 2 + 2020 // operations_per_turn + by_chance) for by_chance in (0, 0, 1)]
    turns = 200 * 5124 if counted else 0
    assert difference(small, large) == {2_000_000 + turns}
