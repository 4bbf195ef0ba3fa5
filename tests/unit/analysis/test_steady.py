import numpy as np
import pytest

from lab.analysis.steady import unsteady_reasons

SECONDS = np.arange(60)


def unsteady_reason(trace: tuple[float, ...]) -> str:
    """Judge one trace."""
    (reason,) = unsteady_reasons([trace])
    return reason


def rough(scale: float, seed: int = 1) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return a minute of steady readings."""
    return 45_000 * (1 + np.random.default_rng(seed).normal(0, scale, 60))


def test_a_steady_run_has_nothing_to_say() -> None:
    """Neither 1 % nor 20 % of noise per second is a lack of steadiness."""
    assert unsteady_reason(tuple(rough(0.01))) == ""
    assert unsteady_reason(tuple(rough(0.20))) == ""


def test_a_step_is_found_with_its_place() -> None:
    """A run that loses 8.3 % at second 15 steps."""
    trace = rough(0.008) * np.where(SECONDS < 15, 1, 1 - 0.083)
    assert unsteady_reason(tuple(trace)) in (f"steps by {change} % after reading 15 of 60" for change in (-8, -9))


def test_a_slope_is_found() -> None:
    """A run that gains 20 % bit by bit drifts."""
    reason = unsteady_reason(tuple(rough(0.008) * (1 + 0.2 * SECONDS / 59)))
    assert reason.startswith("drifts by +") and "%" in reason


def test_flipping_between_two_speeds_is_found() -> None:
    """A run that flips between 43.5k and 48k has two speeds."""
    flips = np.random.default_rng(3).integers(0, 2, 60)
    assert "flips between two speeds 10 % apart" in unsteady_reason(tuple(rough(0.004) * np.where(flips, 48 / 43.5, 1)))


def test_small_steps_do_not_count() -> None:
    """3 % is below what is reported, however clear."""
    assert unsteady_reason(tuple(rough(0.001) * np.where(SECONDS < 30, 1, 1.03))) == ""


@pytest.mark.parametrize("trace", [(), (1.0,) * 9, (0.0,) * 60, (float("nan"),) * 60, (-1.0,) * 60])
def test_what_cannot_be_judged_is_not_accused(trace: tuple[float, ...]) -> None:
    """Short traces and readings that are no speeds are left alone."""
    assert unsteady_reason(trace) == ""


def test_traces_of_several_lengths_are_judged_each() -> None:
    """Every trace gets its own answer, in the order in which they were given."""
    step = (100.0,) * 10 + (80.0,) * 10
    reasons = unsteady_reasons([(1.0,) * 3, step, (0.0,) * 20, (5.0,) * 30, step])
    assert [bool(reason) for reason in reasons] == [False, True, False, False, True]


def test_a_constant_trace_is_steady() -> None:
    """Equal readings have no scatter at all, which must not divide by zero."""
    assert unsteady_reason((100.0,) * 20) == ""


@pytest.mark.parametrize("length", [10, 12, 30, 60])
def test_false_accusations_are_rare(length: int) -> None:
    """Of 400 steady runs with 5 % noise per second at most 3 % are accused."""
    rng = np.random.default_rng(length)
    accused = sum(bool(unsteady_reason(tuple(100 * np.exp(rng.normal(0, 0.05, length))))) for _ in range(400))
    assert accused <= 12
