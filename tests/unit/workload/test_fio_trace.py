from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import WorkloadError
from lab.workload.fio_trace import iops_by_worker, parse_iops_log

DATA = Path(__file__).parents[2] / "data" / "fio"


def test_workers_are_added_up_second_by_second() -> None:
    """The lines of four workers become one reading a second: 1533 + 1320 + 1396 + 1752 in the first."""
    assert parse_iops_log((DATA / "guest-randread.log").read_text()) == (6001.0, 14062.0, 12359.0)


def test_directions_are_added_up_too() -> None:
    """Reads and writes of a mixed job are one number a second."""
    assert parse_iops_log((DATA / "guest-randrw.log").read_text()) == (15718.0, 7715.0, 10806.0)


def test_no_log_is_no_trace() -> None:
    """An empty log, and one that holds half a line, give an empty trace."""
    assert parse_iops_log("") == () and parse_iops_log("\n\n") == () and parse_iops_log("1000, 5") == ()


def test_intervals_need_not_begin_at_a_full_second() -> None:
    """After a ramp the clock of fio's log is somewhere between two seconds; 1490 and 1510 are the same interval."""
    log = "1490, 10, 0, 4096, 0\n2490, 20, 0, 4096, 0\n1510, 1, 0, 4096, 0\n2512, 2, 0, 4096, 0\n"
    assert parse_iops_log(log) == (11.0, 22.0)


def test_the_last_interval_counts_only_if_everybody_reported_it() -> None:
    """A worker that ended a moment earlier does not make the last second look slow."""
    log = "1000, 10, 0, 0, 0\n2000, 10, 0, 0, 0\n1000, 10, 0, 0, 0\n2000, 10, 0, 0, 0\n3000, 10, 0, 0, 0\n"
    assert parse_iops_log(log) == (20.0, 20.0)


def test_a_standstill_is_zero() -> None:
    """A second in which nothing completed has no line; it must not disappear."""
    assert parse_iops_log("1000, 50, 0, 0, 0\n3000, 40, 0, 0, 0\n") == (50.0, 0.0, 40.0)


def test_a_worker_that_stands_still_does_not_end_the_trace() -> None:
    """One of two workers completes nothing after the first second; the others' seconds are the run, all the same."""
    log = "1000, 10, 0, 0, 0\n\n1000, 10, 0, 0, 0\n2000, 12, 0, 0, 0\n3000, 13, 0, 0, 0\n4000, 14, 0, 0, 0\n"
    assert parse_iops_log(log) == (20.0, 12.0, 13.0)


def test_a_line_that_was_cut_off_is_left_out() -> None:
    """The last line of a log whose copy ended early is no reading: 4 may have been 40."""
    assert parse_iops_log("1000, 50, 0, 0, 0\n2000, 4") == (50.0,)


def test_a_priority_column_is_accepted() -> None:
    """Newer versions of fio add a sixth field."""
    assert parse_iops_log("1000, 5, 0, 4096, 0, 0x0000\n") == (5.0,)


def test_a_worker_s_iops_are_the_mean_of_its_readings() -> None:
    """Reads and writes together; a second without a line counts, and the third, of one worker alone, does not."""
    log = (
        "1000, 100, 0, 0, 0\n1000, 20, 1, 0, 0\n2000, 200, 0, 0, 0\n2000, 40, 1, 0, 0\n3000, 999, 0, 0, 0\n\n"
        "\n"
        "1010, 70, 0, 0, 0\n\n"
    )
    assert iops_by_worker(log, 4) == (180.0, 0.0, 35.0, 0.0)
    assert parse_iops_log(log) == (190.0, 240.0)


def test_workers_without_any_line_have_no_iops() -> None:
    """An empty log is one of workers that completed nothing."""
    assert iops_by_worker("\n\n", 2) == (0.0, 0.0)


def test_a_log_of_more_workers_than_there_are_is_an_error() -> None:
    """It would be counted for a queue of somebody else."""
    with pytest.raises(WorkloadError, match="more than the 1 workers there are"):
        iops_by_worker("1000, 5, 0, 0\n\n1000, 5, 0, 0\n", 1)


@pytest.mark.parametrize(
    "line",
    ["<<<<<<< HEAD", "1000, many, 0, 0, 0", "1000", "1000, 5", "x, 5, 0, 0", "1000, 5, read, 0", "\x1b[2J, 1, 1, 1"],
)
def test_a_line_that_is_none_is_an_error(line: str) -> None:
    """A log with something else in it is not believed: published logs hold merge markers."""
    with pytest.raises(WorkloadError, match="holds a line that is none"):
        parse_iops_log(f"1000, 5, 0, 0, 0\n{line}\n2000, 5, 0, 0, 0\n")


@pytest.mark.parametrize(
    "line",
    ["1000, -5, 0, 0", "-1, 5, 0, 0", "1000, nan, 0, 0", "1000, inf, 0, 0", "1000, 1e18, 0, 0", "9999999999, 5, 0, 0"],
)
def test_impossible_numbers_are_an_error(line: str) -> None:
    """A rate below zero, or none at all, is not a reading, and no job runs for months."""
    with pytest.raises(WorkloadError, match="impossible numbers"):
        parse_iops_log(f"{line}\n")


@given(st.text(max_size=200))
def test_any_text_is_a_trace_or_a_workload_error(text: str) -> None:
    """Whatever the guest says, the trace is finite numbers or an error of the workload."""
    try:
        trace = parse_iops_log(text)
    except WorkloadError:
        return
    assert all(value >= 0 for value in trace)
