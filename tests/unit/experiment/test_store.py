"""The results folder."""

import os
from pathlib import Path

import pytest

from lab.errors import HostError, InputError
from lab.experiment.schedule import cells_from_points, draw_schedule, points_from_factors
from lab.experiment.store import BUILDS, RUNS, SCHEDULE, ResultsFolder
from lab.record import Outcome, RunRecord, ScheduledRun

RUNS_PLANNED = draw_schedule(cells_from_points(points_from_factors({"iothreads": (1,)})), blocks=2, seed=1)


def record_of(run: ScheduledRun, attempt: int = 1) -> RunRecord:
    """A finished run."""
    return RunRecord(run, attempt, Outcome.OK, "2025-02-13T18:00:43Z", 9.5, "f00d", "tcg", {"iops": 10_000.0})


def begun(path: Path) -> ResultsFolder:
    """A folder whose experiment was begun and that nobody holds."""
    with ResultsFolder(path) as folder:
        folder.begin(experiment='title = "t"\n', host={"cpus": 2}, builds={"baseline": {}}, schedule=RUNS_PLANNED)
    return folder


def test_a_begun_experiment_reads_back(tmp_path: Path) -> None:
    """Question, builds and schedule come back as they were written."""
    folder = begun(tmp_path / "r")
    assert folder.exists
    assert folder.schedule() == RUNS_PLANNED
    assert folder.experiment_text() == 'title = "t"\n'
    assert folder.read_json(BUILDS) == {"baseline": {}}
    assert folder.records() == ()


def test_an_appended_record_reads_back(tmp_path: Path) -> None:
    """Records come back in the order in which they were appended."""
    folder = begun(tmp_path / "r")
    records = tuple(record_of(run) for run in RUNS_PLANNED)
    for record in records:
        folder.append(record)
    assert folder.records() == records


def test_appending_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record's file and its folder are synchronised before append returns."""
    folder = begun(tmp_path / "r")
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    folder.append(record_of(RUNS_PLANNED[0]))
    assert synced == [RUNS, "r"]


def test_a_second_experiment_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """begin never overwrites a schedule."""
    folder = begun(tmp_path / "r")
    with pytest.raises(InputError, match="holds an experiment already"):
        folder.begin(experiment="", host={}, builds={}, schedule=())


def test_two_labs_cannot_write_to_one_folder(tmp_path: Path) -> None:
    """The second one is told so, with exit code 3."""
    with ResultsFolder(tmp_path / "r"), pytest.raises(HostError, match="another lab is writing"):
        ResultsFolder(tmp_path / "r").__enter__()


def test_a_last_line_cut_off_by_a_power_failure_is_dropped(tmp_path: Path) -> None:
    """The complete records stay, and the next append begins a line of its own."""
    first, second = (record_of(run) for run in RUNS_PLANNED[:2])
    with begun(tmp_path / "r") as folder:
        folder.append(first)
        with (folder.path / RUNS).open("ab") as sink:
            sink.write(b'{"format": 1, "run": "b0')
        assert folder.records() == (first,)
        folder.append(second)
        assert folder.records() == (first, second)


def test_who_does_not_hold_the_lock_repairs_nothing(tmp_path: Path) -> None:
    """What looks like a cut line may be one that another process is writing."""
    folder = begun(tmp_path / "r")
    (folder.path / RUNS).write_bytes(b'{"format": 1')
    assert folder.records() == ()
    assert (folder.path / RUNS).read_bytes() == b'{"format": 1'


def test_a_record_that_cannot_be_written_is_a_host_error(tmp_path: Path) -> None:
    """A full or read-only disk ends the experiment with a sentence."""
    folder = begun(tmp_path / "r")
    (folder.path / RUNS).mkdir()
    with pytest.raises(HostError, match="could not be written"):
        folder.append(record_of(RUNS_PLANNED[0]))


@pytest.mark.parametrize("where", ["/proc/nothing", "/dev/null"])
def test_a_path_that_cannot_be_a_folder_is_a_host_error(where: str) -> None:
    """It is found when the folder is opened, before anything is built."""
    with pytest.raises(HostError, match="cannot be a results folder"):
        ResultsFolder(Path(where)).__enter__()


def test_a_damaged_line_is_named_with_its_number(tmp_path: Path) -> None:
    """A merge-conflict marker among the records is an error with file and line, exit code 2."""
    folder = begun(tmp_path / "r")
    folder.append(record_of(RUNS_PLANNED[0]))
    with (folder.path / RUNS).open("ab") as sink:
        sink.write(b"<<<<<<< HEAD\n")
    with pytest.raises(InputError, match=r"runs\.jsonl:2: this is not JSON"):
        folder.records()


def test_a_damaged_schedule_is_never_repaired(tmp_path: Path) -> None:
    """A schedule without its end is an error: it was written in one step, so somebody cut it."""
    folder = begun(tmp_path / "r")
    with (folder.path / SCHEDULE).open("ab") as sink:
        sink.write(b'{"form')
    with pytest.raises(InputError, match=r"schedule\.jsonl:5"):
        folder.schedule()


def test_evidence_of_a_killed_attempt_is_cleared(tmp_path: Path) -> None:
    """An attempt begins with an empty folder."""
    folder = begun(tmp_path / "r")
    (folder.evidence_dir("x") / "console.log").write_text("old")
    assert list(folder.evidence_dir("x").iterdir()) == []


@pytest.mark.parametrize(("name", "content"), [("host.json", "{"), ("host.json", "[]"), ("host.json", None)])
def test_an_unreadable_json_file_is_an_input_error(tmp_path: Path, name: str, content: str | None) -> None:
    """Damaged and missing files are named."""
    folder = begun(tmp_path / "r")
    if content is None:
        (folder.path / name).unlink()
    else:
        (folder.path / name).write_text(content)
    with pytest.raises(InputError, match=r"host\.json cannot be read"):
        folder.read_json(name)


def test_a_line_that_would_exhaust_the_parser_is_an_input_error(tmp_path: Path) -> None:
    """Brackets without end are damage like any other, not a bug in the lab."""
    folder = begun(tmp_path / "r")
    (folder.path / RUNS).write_text("[" * 200_000 + "\n")
    with pytest.raises(InputError, match=r"runs\.jsonl:1: this is not JSON"):
        folder.records()


@pytest.mark.parametrize("name", ["runs.jsonl", "precious.txt"])
def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, name: str) -> None:
    """Records that lost their schedule, and files of somebody else, are neither mixed with nor overwritten."""
    taken = tmp_path / "r"
    taken.mkdir()
    (taken / name).write_text("kept")
    (taken / "host.json").write_text("kept")
    with ResultsFolder(taken) as folder, pytest.raises(InputError, match=f"holds something else already: {name}"):
        folder.begin(experiment="", host={}, builds={}, schedule=RUNS_PLANNED)
    assert [file.read_text() for file in taken.iterdir()] == ["kept", "kept"]


def test_what_an_interrupted_beginning_left_is_begun_again(tmp_path: Path) -> None:
    """Without a schedule nothing was begun, so the same folder can be."""
    folder = begun(tmp_path / "r")
    (folder.path / SCHEDULE).rename(folder.path / f".{SCHEDULE}.part")
    assert not folder.exists
    assert begun(folder.path).schedule() == RUNS_PLANNED


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """Each file of the folder is refused unless it is a regular one."""
    folder = begun(tmp_path / "r")
    for name in ("experiment.toml", "host.json", SCHEDULE, RUNS):
        (folder.path / name).unlink(missing_ok=True)
        os.mkfifo(folder.path / name)
    for read in (folder.experiment_text, lambda: folder.read_json("host.json"), folder.schedule, folder.records):
        with pytest.raises(InputError, match="it is not a regular file"):
            read()


def test_missing_files_are_input_errors(tmp_path: Path) -> None:
    """A folder that was never begun has neither a question nor a schedule."""
    folder = ResultsFolder(tmp_path)
    with pytest.raises(InputError, match=r"experiment\.toml cannot be read"):
        folder.experiment_text()
    with pytest.raises(InputError, match=r"schedule\.jsonl cannot be read"):
        folder.schedule()


def test_the_lock_is_free_when_nobody_holds_it(tmp_path: Path) -> None:
    """A folder can be opened again, and holds results only."""
    folder = begun(tmp_path / "r")
    with folder:
        pass
    assert {path.name for path in folder.path.iterdir()} == {
        "experiment.toml",
        "host.json",
        "builds.json",
        "schedule.jsonl",
        "runs",
    }
