"""Evidence, its seal, and what is found wrong with it."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.experiment.evidence import SEAL, Fault, faults_of, seal
from lab.experiment.schedule import cells_from_points, draw_schedule, points_from_factors
from lab.experiment.store import ResultsFolder
from lab.record import Outcome, RunRecord
from lab.workload.fio_output import parse_fio_output
from lab.workload.fio_trace import parse_iops_log
from tests.unit.workload.test_fio_output import RANDREAD

RUN = draw_schedule(cells_from_points(points_from_factors({"iothreads": (1,)})), blocks=1, seed=1)[0]
LOG = "1000, 100, 0, 4096, 0\n2000, 200, 0, 4096, 0\n"


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    """Return a results folder with one sealed run."""
    text = RANDREAD
    record = RunRecord(
        RUN,
        1,
        Outcome.OK,
        "2025-02-13T18:00:43Z",
        9.5,
        "f00d",
        "tcg",
        parse_fio_output(text).metrics(),
        {"iops": parse_iops_log(LOG)},
    )
    with ResultsFolder(tmp_path / "r") as results:
        results.begin(experiment="", host={}, builds={}, schedule=[RUN])
        evidence = results.evidence_dir(record.id)
        (evidence / "fio.json").write_text(text)
        (evidence / "fio-iops.log").write_text(LOG)
        seal(evidence)
        results.append(record)
    return results


def evidence_of(folder: ResultsFolder) -> Path:
    """Return the evidence of the only run."""
    return folder.path / "runs" / f"{RUN.id}-a1"


def test_what_was_written_and_left_alone_has_no_faults(folder: ResultsFolder) -> None:
    """Sums and numbers agree."""
    assert list(faults_of(folder)) == []


def test_a_seal_is_checked_by_coreutils_too(folder: ResultsFolder) -> None:
    """Nobody needs the lab for it."""
    evidence = evidence_of(folder)
    subprocess.run(["sha256sum", "--check", "--strict", SEAL], cwd=evidence, check=True, stdout=subprocess.DEVNULL)
    (evidence / "fio-iops.log").write_text("edited")
    done = subprocess.run(["sha256sum", "--check", SEAL], cwd=evidence, check=False, capture_output=True)
    assert done.returncode == 1


def edit(evidence: Path) -> None:
    """Add a space to a log."""
    (evidence / "fio-iops.log").write_text(LOG + " \n")


def add(evidence: Path) -> None:
    """Put a file beside the others."""
    (evidence / "note.txt").write_text("hello")


@pytest.mark.parametrize(
    ("damage", "path", "what"),
    [
        (edit, "fio-iops.log", "was changed after the run"),
        (add, "note.txt", "was added after the run"),
        (lambda evidence: (evidence / "fio-iops.log").unlink(), "fio-iops.log", "is gone"),
        (lambda evidence: (evidence / SEAL).unlink(), SEAL, "is gone, or the run was done by"),
        (lambda evidence: (evidence / SEAL).write_bytes(b"\xff"), SEAL, "not UTF-8"),
    ],
)
def test_each_damage_is_named(folder: ResultsFolder, damage: Callable[[Path], object], path: str, what: str) -> None:
    """The file and what happened to it, first."""
    damage(evidence_of(folder))
    first = next(faults_of(folder))
    assert first.path == f"runs/{RUN.id}-a1/{path}" and what in first.what


def test_evidence_that_is_gone_is_one_fault(folder: ResultsFolder) -> None:
    """One sentence, not one for each file."""
    for path in evidence_of(folder).iterdir():
        path.unlink()
    evidence_of(folder).rmdir()
    assert list(faults_of(folder)) == [Fault(f"runs/{RUN.id}-a1", "the evidence of a recorded run is gone")]


def test_numbers_that_fio_did_not_print_are_found_behind_a_good_seal(folder: ResultsFolder) -> None:
    """An edited runs.jsonl has no seal of its own: fio's output contradicts it."""
    record = folder.records()[0]
    runs = folder.path / "runs.jsonl"
    runs.unlink()
    folder.append(replace(record, metrics={**record.metrics, "iops": 1.0}, traces={"iops": (1.0,)}))
    found = [fault.what for fault in faults_of(folder)]
    assert len(found) == 2 and "but the record says 1.0" in found[0] and "another trace" in found[1]


def test_evidence_that_cannot_be_read_any_more_is_told(folder: ResultsFolder) -> None:
    """A damaged fio.json or trace is a fault beside the broken seal, and no traceback."""
    (evidence_of(folder) / "fio.json").write_text("{")
    assert any("cannot be read any more" in fault.what for fault in faults_of(folder))
    (evidence_of(folder) / "fio.json").write_text(RANDREAD)
    (evidence_of(folder) / "fio-iops.log").write_text("no log\n")
    assert any("fio-iops.log" in fault.path and "cannot" in fault.what for fault in faults_of(folder))


def test_a_link_in_the_evidence_is_not_followed(folder: ResultsFolder) -> None:
    """It may lead anywhere, and the lab writes none."""
    (evidence_of(folder) / "link").symlink_to("/etc/passwd")
    assert list(faults_of(folder)) == []
