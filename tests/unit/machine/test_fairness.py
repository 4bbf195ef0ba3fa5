"""How evenly virtqueues are served, in numbers that were worked out by hand."""

from __future__ import annotations

import pytest

from lab.machine.fairness import jain_index, served_by_queue


@pytest.mark.parametrize(
    ("served", "index"),
    [
        ((500, 500), 1.0),
        ((1000, 0), 0.5),
        ((750, 250), 0.8),
        ((0, 0, 7.5, 0), 0.25),
        ((4, 3, 2, 1), 100 / 120),
    ],
)
def test_jains_index(served: tuple[float, ...], index: float) -> None:
    """Three to one is 16 / (2 * 10); one of four that gets everything is a quarter."""
    assert jain_index(served) == pytest.approx(index)


@pytest.mark.parametrize("served", [(), (5,), (0, 0)])
def test_where_there_is_nothing_to_be_fair_about_there_is_no_index(served: tuple[float, ...]) -> None:
    """One queue cannot be served more than another, and nothing is not shared evenly."""
    assert jain_index(served) is None


@pytest.mark.parametrize(
    ("workers", "num_queues", "vcpus", "served"),
    [
        ((10, 20, 30, 40), 4, 4, {0: 10, 1: 20, 2: 30, 3: 40}),
        ((10, 20, 30, 40), 2, 4, {0: 30, 1: 70}),
        ((10, 20, 30, 40), 2, 3, {0: 10 + 20 + 40, 1: 30}),
        ((10, 20), 4, 4, {0: 10, 1: 20}),
        ((10, 20, 30), 8, 2, {0: 40, 1: 20}),
        ((10, 20), 1, 4, {0: 30}),
    ],
)
def test_a_queue_completes_what_the_workers_of_its_vcpus_do(
    workers: tuple[float, ...], num_queues: int, vcpus: int, served: dict[int, float]
) -> None:
    """Workers go round the vCPUs, vCPUs share a queue with their neighbours; a queue without a worker is left out."""
    assert served_by_queue(workers, num_queues, vcpus) == served
