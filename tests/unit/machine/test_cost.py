"""Readings to CPU time per I/O."""

from lab.machine.cost import Reading, metrics_from_cost, steady_cost
from lab.machine.threads import ThreadMap

THREADS = ThreadMap(1, {1: "main-loop", 2: "vcpu0", 3: "iothread0"}, frozenset({2}), frozenset({3}))


def readings(requests: list[int], *, step_s: float = 0.5) -> list[Reading]:
    """One reading per step; every thread uses half of the time."""
    return [
        Reading(i * step_s, count, {1: 0, 2: i * 250_000_000, 3: i * 125_000_000}) for i, count in enumerate(requests)
    ]


def test_the_window_leaves_out_start_and_ramp() -> None:
    """fio begins between 0.5 and 1 s and ramps for 1 s, so the window of 2 s is that from 2.0 to 3.5 s."""
    taken = readings([7, 7, 17, 117, 217, 317, 417, 517, 617, 717, 717])
    cost = steady_cost(taken, THREADS, ramp_time_s=1, runtime_s=2)
    assert cost is not None
    assert (cost.requests, cost.seconds) == (300, 1.5)
    assert metrics_from_cost(cost) == {
        "cpu_ns_per_io": (750_000_000 + 375_000_000) / 300,
        "iothread_cpu_ns_per_io": 375_000_000 / 300,
        "vcpu_cpu_ns_per_io": 750_000_000 / 300,
        "main_loop_cpu_ns_per_io": 0.0,
    }


def test_a_late_reading_shortens_the_window_and_moves_no_number() -> None:
    """A main loop that answers a second late must not add the idle time after fio's end to the cost."""
    counts = [0, 0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 800, 800, 800]
    on_time = readings(counts)
    late = [reading for reading in on_time if reading.at_s not in (1.5, 2.0)]
    one, other = (steady_cost(taken, THREADS, ramp_time_s=0, runtime_s=4) for taken in (on_time, late))
    assert one is not None
    assert other is not None
    assert other.seconds < one.seconds
    assert metrics_from_cost(other) == metrics_from_cost(one)


def test_a_look_at_the_disk_is_no_beginning() -> None:
    """Ten requests of a partition scan do not start the window; a thousand of fio do."""
    taken = readings([0, 10, 10, 10, 10, 1010, 2010, 3010, 4010, 5010])
    cost = steady_cost(taken, THREADS, ramp_time_s=0, runtime_s=2)
    assert cost is not None
    assert cost.requests / cost.seconds == 2000


def test_a_device_that_completes_nothing_has_no_cost() -> None:
    """No request, no number: never a division by zero."""
    assert steady_cost(readings([5, 5, 5, 5, 5, 5]), THREADS, ramp_time_s=0, runtime_s=2) is None


def test_a_device_that_stalls_in_the_window_has_no_cost() -> None:
    """Requests before the window do not count for it."""
    assert steady_cost(readings([0, 9, 9, 9, 9, 9]), THREADS, ramp_time_s=0.5, runtime_s=2) is None


def test_too_few_readings_have_no_cost() -> None:
    """One reading is not a difference."""
    assert steady_cost(readings([0, 10]), THREADS, ramp_time_s=0, runtime_s=1) is None
    assert steady_cost([], THREADS, ramp_time_s=0, runtime_s=1) is None
