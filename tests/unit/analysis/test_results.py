import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.analysis.results import read_results
from lab.errors import InputError
from lab.record import Level, Outcome, json_from_record
from tests.unit.analysis.campaign import EXPERIMENT, Campaign, write_campaign, write_lines

SMALL = Campaign(blocks=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a results folder of two blocks."""
    return write_campaign(tmp_path / "experiment", SMALL)


def test_a_folder_is_read(folder: Path) -> None:
    """All records, the schedule, host and builds come back."""
    results = read_results(folder)
    assert results.records == SMALL.records() and results.schedule == SMALL.schedule()
    assert results.tier == "tcg" and results.undone == 0 and results.warnings == ()
    assert results.host["usable_cpus"] == 2.0 and "candidate" in results.builds


def test_a_folder_before_its_first_run(folder: Path) -> None:
    """Without runs.jsonl everything is still to be done, and the tier is that of the host."""
    (folder / "runs.jsonl").unlink()
    results = read_results(folder)
    assert results.records == () and results.undone == len(results.schedule) == 12
    assert results.tier == "tcg"


def test_a_half_written_last_line_is_not_used(folder: Path) -> None:
    """After a crash the line without an end is left out with a warning; the file is not touched."""
    runs = folder / "runs.jsonl"
    before = runs.read_bytes()
    runs.write_bytes(before + b'{"format": 1, "run": "b0')
    results = read_results(folder)
    assert len(results.records) == 12 and "half-written" in results.warnings[0]
    assert runs.read_bytes().startswith(before)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("<<<<<<< HEAD", "merge-conflict"),
        ("=======", "merge-conflict"),
        ('{"format": 1, "metrics": {"iops": NaN}}', "NaN"),
        ('{"format": 1, "metrics": {"iops": Infinity}}', "Infinity"),
        ('{"format": 99}', "99 is not 1"),
        ('{"format": 1}', "missing"),
        ("not json", "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("\udcff", "not JSON"),
        ("[]", "not a scheduled run"),
    ],
)
def test_a_damaged_line_is_named(folder: Path, line: str, words: str) -> None:
    """Whatever is wrong with a line, the message has file and line number, and the exit code is 2."""
    lines = (folder / "runs.jsonl").read_text().splitlines()
    damaged = "\n".join([*lines[:3], line, *lines[4:], ""])
    (folder / "runs.jsonl").write_bytes(damaged.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=words) as caught:
        read_results(folder)
    assert "runs.jsonl:4:" in caught.value.message and caught.value.exit_code == 2


def test_a_number_too_large_is_not_a_metric(folder: Path) -> None:
    """1e999 is JSON, but it is read as infinity."""
    text = (folder / "runs.jsonl").read_text().replace('"iops": ', '"iops": 1e999, "was": ', 1)
    (folder / "runs.jsonl").write_text(text)
    with pytest.raises(InputError, match="finite"):
        read_results(folder)


def test_a_run_that_is_there_twice(folder: Path) -> None:
    """The same run id on two lines is an error that names both."""
    records = [json_from_record(record) for record in SMALL.records()]
    write_lines(folder / "runs.jsonl", [*records, records[1]])
    with pytest.raises(InputError, match=r"runs.jsonl:13: .* in line 2"):
        read_results(folder)


def test_a_run_that_was_never_scheduled(folder: Path) -> None:
    """A record of another experiment does not slip in."""
    first = SMALL.records()[0]
    stranger = replace(first, scheduled=replace(first.scheduled, block=9))
    write_lines(folder / "runs.jsonl", [json_from_record(stranger)])
    with pytest.raises(InputError, match=r"runs.jsonl:1: .* not in the schedule"):
        read_results(folder)


def test_a_half_written_schedule_is_damage(folder: Path) -> None:
    """It is written whole before the first boot; without its last run, that run would not be missed."""
    write_lines(folder / "runs.jsonl", [json_from_record(record) for record in SMALL.records()[:-1]])
    schedule = folder / "schedule.jsonl"
    schedule.write_text(schedule.read_text()[:-20])
    with pytest.raises(InputError, match=r"schedule\.jsonl: its last line is half-written"):
        read_results(folder)


def test_a_cell_that_is_twice_in_a_block(folder: Path) -> None:
    """At another position it is another run, and one of the two would be chosen."""
    lines = [json.loads(line) for line in (folder / "schedule.jsonl").read_text().splitlines()]
    write_lines(folder / "schedule.jsonl", [*lines, lines[0] | {"position": 99}])
    with pytest.raises(InputError, match=r"schedule\.jsonl:13: .* is in block 1 already"):
        read_results(folder)


@pytest.mark.parametrize("cut", [lambda run: run["block"] == 2, lambda run: True], ids=["one-block", "all-blocks"])
def test_a_block_lacks_no_cell(folder: Path, cut: Callable[[Any], bool]) -> None:
    """A candidate that is not asked for in a block would not owe it."""
    lines = [json.loads(line) for line in (folder / "schedule.jsonl").read_text().splitlines()]
    (folder / "runs.jsonl").unlink()
    left = [run for run in lines if not (run["arm"] == "candidate" and run["levels"] == {"iothreads": 2} and cut(run))]
    write_lines(folder / "schedule.jsonl", left)
    with pytest.raises(InputError, match=r"block [12] lacks candidate\.iothreads=2"):
        read_results(folder)


@pytest.mark.parametrize("asked", ["", "blocks = 2\n"])
def test_all_blocks_that_were_asked_for_are_read(tmp_path: Path, asked: str) -> None:
    """Of folders from before the question said how many, nobody knows."""
    folder = write_campaign(tmp_path / "experiment", SMALL, experiment=EXPERIMENT + asked)
    assert len(read_results(folder).schedule) == 12


def test_blocks_that_were_cut_are_missed(tmp_path: Path) -> None:
    """Stopping early where it looks good would be invisible."""
    folder = write_campaign(tmp_path / "experiment", SMALL, experiment=f"{EXPERIMENT}blocks = 3\n")
    with pytest.raises(InputError, match="it has 2 blocks of the 3 that were scheduled"):
        read_results(folder)


def test_a_run_that_went_well_is_not_repeated(folder: Path) -> None:
    """The lab never does, and the last one would count: whoever tries again until it looks good chooses."""
    first, *rest = SMALL.records()
    write_lines(folder / "runs.jsonl", [json_from_record(r) for r in (first, *rest, replace(first, attempt=2))])
    with pytest.raises(InputError, match=r"runs\.jsonl:13: .*-a2 repeats a run that had ended well"):
        read_results(folder)


def test_later_attempts_are_kept_apart(folder: Path) -> None:
    """Two attempts at one scheduled run are two records, and the run counts as done once."""
    first, *rest = SMALL.records()
    failed = replace(first, outcome=Outcome.GUEST_HUNG, metrics={}, reason="hung")
    again = replace(first, attempt=2)
    write_lines(folder / "runs.jsonl", [json_from_record(record) for record in (failed, again, *rest)])
    results = read_results(folder)
    assert len(results.records) == 13 and len(results.ok) == 12 and results.undone == 0


def test_runs_of_two_accelerators_are_mixed(folder: Path) -> None:
    """The tier is only named where all runs agree."""
    first, *rest = SMALL.records()
    write_lines(folder / "runs.jsonl", [json_from_record(r) for r in (replace(first, accelerator="kvm"), *rest)])
    assert read_results(folder).tier == "mixed"


@pytest.mark.parametrize("name", ["host.json", "builds.json", "schedule.jsonl", "experiment.toml"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    """A folder that lacks a file is not a results folder, and the message says which."""
    (folder / name).unlink()
    with pytest.raises(InputError, match=name):
        read_results(folder)


@pytest.mark.parametrize("text", ["[]", "{", '{"a": NaN}', "\x00"])
def test_damaged_host_facts(folder: Path, text: str) -> None:
    """host.json must be one JSON object."""
    (folder / "host.json").write_text(text)
    with pytest.raises(InputError, match=r"host\.json"):
        read_results(folder)


def test_the_schedule_may_not_repeat_itself(folder: Path) -> None:
    """The same scheduled run twice would make a block that is not a block."""
    first = json.loads((folder / "schedule.jsonl").read_text().splitlines()[0])
    write_lines(folder / "schedule.jsonl", [first, first])
    with pytest.raises(InputError, match=r"schedule\.jsonl:2"):
        read_results(folder)


@pytest.mark.parametrize("number", ["1.7e308", "-1e18", "1e-300"])
def test_a_value_that_cannot_have_been_measured(folder: Path, number: str) -> None:
    """What arithmetic has no room for is damage, with its line."""
    text = (folder / "runs.jsonl").read_text().replace('"iops": ', f'"iops": {number}, "was": ', 1)
    (folder / "runs.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"runs\.jsonl:1: iops is"):
        read_results(folder)


@pytest.mark.parametrize("levels", [(1, True), (1, 1.0), (1, "1")])
def test_levels_that_cannot_be_told_apart(folder: Path, levels: tuple[Level, ...]) -> None:
    """Two levels that are equal, or are written alike, would be one column here and two there."""
    line = json.loads((folder / "schedule.jsonl").read_text().splitlines()[0])
    (folder / "runs.jsonl").unlink()
    lines = [line | {"position": place, "levels": {"a": level}} for place, level in enumerate(levels, start=1)]
    write_lines(folder / "schedule.jsonl", lines)
    with pytest.raises(InputError, match="cannot be told apart"):
        read_results(folder)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [('"block": 1', f'"block": {10**10}', "block"), ('"iothreads": 1', '"iothreads": 1' + "0" * 400, "iothreads")],
)
def test_a_schedule_of_absurd_numbers(folder: Path, old: str, new: str, words: str) -> None:
    """A block or level that no array and no axis can hold is named with its line."""
    lines = (folder / "schedule.jsonl").read_text().splitlines(keepends=True)
    place = next(index for index, line in enumerate(lines) if old in line)
    lines[place] = lines[place].replace(old, new)
    (folder / "schedule.jsonl").write_text("".join(lines))
    with pytest.raises(InputError, match=rf"schedule\.jsonl:{place + 1}: {words}"):
        read_results(folder)


@pytest.mark.parametrize("name", ["experiment.toml", "schedule.jsonl", "runs.jsonl", "host.json"])
def test_a_pipe_is_not_waited_for(folder: Path, name: str) -> None:
    """Only regular files are read."""
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(InputError, match="not a regular file"):
        read_results(folder)
