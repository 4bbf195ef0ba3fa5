from __future__ import annotations

import copy
import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import record
from lab.errors import InputError
from lab.record import Arm, Cell, Outcome, Point, RunRecord, ScheduledRun

SCHEDULED = ScheduledRun(2, 3, Cell(Arm.CANDIDATE, Point.from_levels({"iothreads": 4, "iodepth": 64})), seed=7)
OK = RunRecord(
    scheduled=SCHEDULED,
    attempt=1,
    outcome=Outcome.OK,
    started_at="2026-01-02T03:04:05Z",
    duration_s=12.3456,
    host="abc",
    accelerator="tcg",
    metrics={"iops": 10240.5},
    traces={"iops": (1.0, 2.0)},
    warnings=("few CPUs",),
    facts={"fio": "3.33"},
)


def test_ids_have_sorted_factors() -> None:
    """Cell, scheduled run and run are named after block, position, arm, sorted levels and attempt."""
    assert SCHEDULED.cell.id == "candidate.iodepth=64.iothreads=4"
    assert SCHEDULED.id == "b02-p03-candidate.iodepth=64.iothreads=4"
    assert OK.id == "b02-p03-candidate.iodepth=64.iothreads=4-a1"


def test_point_without_factors_has_a_name() -> None:
    """Where nothing is varied the only point is called all."""
    assert Cell(Arm.BASELINE, Point(())).id == "baseline.all"


@pytest.mark.parametrize(
    ("level", "text"),
    [(4, "4"), (0.5, "0.5"), (True, "true"), ("io_uring", "io_uring"), ("t0:0+2,t1:1", "t0:0+2,t1:1")],
)
def test_levels_are_written_as_in_job_files(level: record.Level, text: str) -> None:
    """A level reads as it is written in a job file."""
    assert record.text_from_level(level) == text
    assert Point.from_levels({"x": level}).id == f"x={text}"


@pytest.mark.parametrize(
    ("level", "name"), [("../../x", "x=..%2F..%2Fx"), ("a\nb\0", "x=a%0Ab%00"), ("50%", "x=50%25")]
)
def test_ids_stay_in_their_folder(level: str, name: str) -> None:
    """An id names a folder, so what would lead out of it, or could not be a file's name, is escaped."""
    assert Point.from_levels({"x": level}).id == name


def test_schedule_comes_back() -> None:
    """A scheduled run survives its JSON form."""
    line = json.dumps(record.json_from_scheduled(SCHEDULED))
    assert record.scheduled_from_json(json.loads(line)) == SCHEDULED


def test_cells_are_shared_by_what_they_are_called() -> None:
    """Lines of one cell share it; levels that are equal in Python but not by name, such as 1 and true, do not."""
    cells: dict[str, Cell] = {}
    line = {"format": 1, "block": 1, "position": 1, "arm": "baseline", "seed": 0}
    one, same, true, real = (
        record.scheduled_from_json({**line, "levels": {"x": level}}, cells).cell for level in (1, 1, True, 1.0)
    )
    assert one is same and [cell.point.id for cell in (one, true, real)] == ["x=1", "x=true", "x=1.0"]


def test_record_comes_back() -> None:
    """A record survives its JSON form, but for microseconds of its duration."""
    line = json.dumps(record.json_from_record(OK), allow_nan=False)
    assert record.record_from_json(json.loads(line)) == dataclasses.replace(OK, duration_s=12.346)


def test_format_comes_first() -> None:
    """A reader of the raw file sees the format before anything else, then which run it is."""
    assert list(record.json_from_record(OK))[:2] == ["format", "run"]
    assert next(iter(record.json_from_scheduled(SCHEDULED))) == "format"


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_can_be_stored(outcome: Outcome) -> None:
    """Failures are records, too."""
    failed = dataclasses.replace(OK, outcome=outcome, metrics={}, traces={}, reason="why", duration_s=1.0)
    assert record.record_from_json(record.json_from_record(failed)) == failed


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_number_that_is_none_is_not_stored(number: float) -> None:
    """A metric, a reading or a duration that is not a finite number never reaches the disk."""
    for wrong in ({"metrics": {"iops": number}}, {"traces": {"iops": (1.0, number)}}, {"duration_s": number}):
        with pytest.raises(InputError, match=r"of run b02-p03-.* is not a finite number"):
            record.json_from_record(dataclasses.replace(OK, **wrong))


@pytest.mark.parametrize("key", ["format", "block", "position", "arm", "levels", "seed"])
def test_missing_key_of_a_schedule_is_named(key: str) -> None:
    """A line of the schedule without one of its keys is refused by the key's name."""
    value = record.json_from_scheduled(SCHEDULED)
    del value[key]
    with pytest.raises(InputError, match=f"not a scheduled run: key '{key}' is missing"):
        record.scheduled_from_json(value)


@pytest.mark.parametrize(
    "key",
    [
        "attempt",
        "outcome",
        "started_at",
        "duration_s",
        "host",
        "accelerator",
        "metrics",
        "traces",
        "reason",
        "warnings",
        "facts",
    ],
)
def test_missing_key_of_a_record_is_named(key: str) -> None:
    """A record without one of its keys is refused by the key's name."""
    value = record.json_from_record(OK)
    del value[key]
    with pytest.raises(InputError, match=f"not a run record: key '{key}' is missing"):
        record.record_from_json(value)


@pytest.mark.parametrize(
    ("key", "wrong", "why"),
    [
        ("format", 2, "2 is not 1"),
        ("block", 0, "0 is not a number from 1"),
        ("block", True, "True is not a whole number"),
        ("position", "3", "'3' is not a whole number"),
        ("seed", 1.5, "1.5 is not a whole number"),
        ("seed", math.inf, "inf is not a whole number"),
        ("arm", "control", "'control' is not a valid Arm"),
        ("levels", {"x": [1]}, "level of x is a list"),
        ("levels", ["x"], "is not an object"),
        ("attempt", 0, "0 is not a number from 1"),
        ("outcome", "fine", "'fine' is not a valid Outcome"),
        ("started_at", None, "None is not a text"),
        ("duration_s", "long", "'long' is not a finite number"),
        ("metrics", {"iops": math.nan}, "nan is not a finite number"),
        ("metrics", {"iops": True}, "True is not a finite number"),
        ("metrics", {"iops": 10**400}, "too large"),
        ("traces", {"iops": ["x"]}, "'x' is not a finite number"),
        ("warnings", [1], "1 is not a text"),
        ("traces", {"iops": 1}, "not iterable"),
        ("warnings", "few CPUs", "'few CPUs' is not a list"),
        ("facts", [1], r"\[1\] is not an object"),
    ],
)
def test_wrong_value_is_refused(key: str, wrong: Any, why: str) -> None:
    """A value of the wrong kind is refused, and the message says which and why."""
    value = {**record.json_from_record(OK), key: wrong}
    with pytest.raises(InputError, match=f"{key}: .*{why}"):
        record.record_from_json(value)


def test_record_must_be_the_run_it_says() -> None:
    """A record whose name does not fit its contents was edited or mixed up."""
    value = {**record.json_from_record(OK), "attempt": 2}
    with pytest.raises(InputError, match=r"calls itself 'b02-p03-candidate.*-a1' but describes b02-p03-candidate.*-a2"):
        record.record_from_json(value)


def test_keys_may_be_added() -> None:
    """Keys that this version does not know are no reason to refuse a record."""
    value = {**record.json_from_record(OK), "new": 1}
    assert record.record_from_json(value).id == OK.id


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=6,
)


@given(_JSON)
def test_no_json_value_is_a_traceback(value: Any) -> None:
    """Whatever a file holds, it is a record or an error that says why not."""
    with pytest.raises(InputError):
        record.record_from_json(value)


@given(st.sampled_from(sorted(record.json_from_record(OK))), _JSON)
def test_no_wrong_value_is_a_traceback(key: str, value: Any) -> None:
    """Whatever stands at one of the keys, the record is read or refused."""
    document = copy.deepcopy(record.json_from_record(OK))
    document[key] = value
    try:
        again = record.json_from_record(record.record_from_json(document))
    except InputError:
        return
    assert again["run"] == document["run"]
