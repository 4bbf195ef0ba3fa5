"""Cells and a seed to an order."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lab.experiment.schedule import cells_from_points, draw_schedule, points_from_factors
from lab.record import Arm, Point

FACTORS = {"iothreads": (1, 2, 4), "iodepth": (1, 64)}
CELLS = cells_from_points(points_from_factors(FACTORS))


def test_points_are_all_combinations_of_levels() -> None:
    """Two factors of three and two levels make six points, factors sorted in the name."""
    points = points_from_factors(FACTORS)
    assert len(points) == 6
    assert points[0].id == "iodepth=1.iothreads=1"


def test_without_factors_there_is_one_point() -> None:
    """A job that varies nothing still compares the two arms."""
    assert points_from_factors({}) == (Point(()),)
    assert cells_from_points((Point(()),))[0].id == "baseline.all"


@given(seed=st.integers(0, 2**31 - 1), blocks=st.integers(1, 12))
def test_each_block_holds_every_cell_exactly_once(seed: int, blocks: int) -> None:
    """Whatever the seed, no cell is missing from a block or twice in it, and positions count from 1."""
    schedule = draw_schedule(CELLS, blocks=blocks, seed=seed)
    for block in range(1, blocks + 1):
        runs = [run for run in schedule if run.block == block]
        assert Counter(run.cell for run in runs) == Counter(CELLS)
        assert [run.position for run in runs] == list(range(1, len(CELLS) + 1))


def test_the_same_seed_gives_the_same_order() -> None:
    """A schedule can be drawn again from the recorded seed."""
    assert draw_schedule(CELLS, blocks=3, seed=7) == draw_schedule(CELLS, blocks=3, seed=7)


def test_the_order_is_pinned_for_a_known_seed() -> None:
    """The order of seed 1 never changes, so that old schedules stay reproducible."""
    cells = cells_from_points(points_from_factors({"iothreads": (1, 2)}))
    order = [run.cell.id for run in draw_schedule(cells, blocks=1, seed=1)]
    assert order == [
        "candidate.iothreads=2",
        "baseline.iothreads=1",
        "baseline.iothreads=2",
        "candidate.iothreads=1",
    ]


def test_over_many_blocks_neither_arm_is_first_more_often() -> None:
    """Within a point, each arm precedes the other in about half of the blocks."""
    schedule = draw_schedule(CELLS, blocks=400, seed=3)
    first = Counter(
        next(run.cell.arm for run in schedule if run.block == block and run.cell.point == CELLS[0].point)
        for block in range(1, 401)
    )
    assert 160 <= first[Arm.BASELINE] <= 240
