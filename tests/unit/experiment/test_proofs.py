"""Proofs of the cells of an experiment: made once, kept, and what they mean for the runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from lab.build.build import Build
from lab.errors import BootError
from lab.experiment import proofs as module
from lab.experiment.proof import Proof
from lab.experiment.proofs import Proofs, prove_cells
from lab.experiment.realise import Bench
from lab.experiment.schedule import cells_from_points, points_from_factors
from lab.experiment.store import ResultsFolder
from lab.image.guest_image import GuestImage
from lab.machine.observe import QueueSeen
from lab.machine.spec import MachineSpec
from lab.record import Arm, Cell, Outcome, RunRecord, ScheduledRun
from lab.testing import RecordingProgress
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, IMAGE, loaded_job

GOOD = QueueSeen("scsi0", "sda", "0", 0, "t0", "t0", 512, {"t0": 512_000_0}, {"t0": 512}, "0")
WRONG = QueueSeen("scsi0", "sda", "0", 0, "t0", "t0", 512, {"t0": 0}, {"t1": 512}, "0")


class Prover:
    """Proves machines without booting them.

    :param answers: by the binary's key; an exception is raised.
    """

    def __init__(self, **answers: Proof | Exception) -> None:
        self.answers = answers
        self.booted: list[tuple[str, int]] = []

    def __call__(self, build: Build, image: GuestImage, spec: MachineSpec, evidence: Path) -> Proof:
        """Answer."""
        assert evidence.is_dir() and not any(evidence.iterdir())
        (evidence / "qemu.log").write_text("")
        arm = "baseline" if build is BASELINE else "candidate"
        self.booted.append((arm, len(spec.iothreads)))
        answer = self.answers.get(arm, Proof((GOOD,), {}))
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """The good job, with builds that nobody made."""
    builds = {Arm.BASELINE: BASELINE, Arm.CANDIDATE: CANDIDATE}
    loaded = loaded_job(tmp_path)
    return Bench(loaded, loaded.profile(None)[1], builds, IMAGE, "tcg", "host-1", cast("Any", None))


@pytest.fixture
def cells(bench: Bench) -> tuple[Cell, ...]:
    """Two levels of iothreads, two of iodepth, both arms."""
    return cells_from_points(points_from_factors(bench.loaded.job.factors))


def proofs_of(
    bench: Bench, cells: Sequence[Cell], folder: Path, prover: Prover, monkeypatch: pytest.MonkeyPatch
) -> tuple[Proofs, RecordingProgress]:
    """Prove, and return what was said."""
    monkeypatch.setattr(module, "prove_machine", prover)
    progress = RecordingProgress()
    return prove_cells(bench, cells, ResultsFolder(folder), progress), progress


def test_each_machine_is_proved_once(
    tmp_path: Path, bench: Bench, cells: Sequence[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells that differ in the workload share a proof; a second call finds it in the folder."""
    prover = Prover()
    for _ in range(2):
        proofs, _progress = proofs_of(bench, cells, tmp_path / "r", prover, monkeypatch)
        assert proofs == Proofs()
        assert sorted(prover.booted) == [("baseline", 1), ("baseline", 2), ("candidate", 1), ("candidate", 2)]
    kept = sorted((tmp_path / "r" / "proofs").glob("*/proof.json"))
    assert len(kept) == 4
    stored = json.loads(kept[0].read_text())
    assert stored["verdict"] == "proved" and len(stored["cells"]) == 2 and kept[0].parent.name == stored["cells"][0]


@pytest.mark.parametrize("damage", ["", "{", '{"cells": []}', '{"verdict": "proved"}', "[]"])
def test_a_damaged_proof_is_made_again(
    tmp_path: Path, bench: Bench, cells: Sequence[Cell], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Also one of an interrupted call, whose logs go."""
    proofs_of(bench, cells[:1], tmp_path, Prover(), monkeypatch)
    (path,) = (tmp_path / "proofs").glob("*/proof.json")
    path.write_text(damage)
    prover = Prover()
    proofs_of(bench, cells[:1], tmp_path, prover, monkeypatch)
    assert len(prover.booted) == 1 and json.loads(path.read_text())["verdict"] == "proved"


def run_of(cell: Cell) -> ScheduledRun:
    """Return the first run of a cell."""
    return ScheduledRun(1, 1, cell, 7)


def ran(run: ScheduledRun, attempt: int, evidence: Path) -> RunRecord:
    """Stand in for a run."""
    return RunRecord(run, attempt, Outcome.OK, "2026-01-02T03:04:05Z", 9.0, "host-1", "tcg", {"iops": 1e4})


def test_a_refuted_mapping_voids_its_runs(
    tmp_path: Path, bench: Bench, cells: Sequence[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without booting them; the other arm is measured, and the matrix is shown."""
    prover = Prover(candidate=Proof((WRONG,), {}))
    for _ in range(2):  # found out, and found in the folder
        proofs, progress = proofs_of(bench, cells, tmp_path, prover, monkeypatch)
        realise = proofs.guarding(ran, bench)
        for cell in cells:
            record = realise(run_of(cell), 1, tmp_path)
            assert record.outcome is (Outcome.VOID if cell.arm is Arm.CANDIDATE else Outcome.OK)
            assert bool(record.metrics) is (cell.arm is Arm.BASELINE) and not record.warnings
            if cell.arm is Arm.CANDIDATE:
                assert "t1 taking its requests, not t0" in record.reason and record.duration_s == 0.0
        assert any("the mapping is refuted: scsi0, queue 0" in line for line in progress.lines)
    assert len(prover.booted) == 4


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (BootError("the guest did not come up\nin time"), "the guest did not come up"),
        (Proof((), {}), "what was observed leaves doubt"),
    ],
)
def test_doubt_is_a_warning(
    tmp_path: Path, bench: Bench, cells: Sequence[Cell], monkeypatch: pytest.MonkeyPatch, answer: Any, words: str
) -> None:
    """The runs count, and whoever reads them is told."""
    proofs, _progress = proofs_of(bench, cells, tmp_path, Prover(baseline=answer), monkeypatch)
    realise = proofs.guarding(ran, bench)
    for cell in cells:
        record = realise(run_of(cell), 1, tmp_path)
        doubtful = cell.arm is Arm.BASELINE
        assert record.outcome is Outcome.OK
        assert record.warnings == ((f"the mapping was not proved: {words}",) if doubtful else ())


def test_a_proof_that_failed_is_tried_again(
    tmp_path: Path, bench: Bench, cells: Sequence[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest that hung once leaves no proof behind."""
    proofs_of(bench, cells, tmp_path, Prover(baseline=BootError("hung")), monkeypatch)
    prover = Prover()
    proofs, _progress = proofs_of(bench, cells, tmp_path, prover, monkeypatch)
    assert proofs == Proofs() and {arm for arm, _ in prover.booted} == {"baseline"}


def test_a_refutation_is_looked_into_again_where_no_run_worked(
    tmp_path: Path, bench: Bench, cells: Sequence[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all runs of a folder whose mapping was once refuted would be void for ever."""
    proofs_of(bench, cells[:1], tmp_path / "r", Prover(baseline=Proof((WRONG,), {})), monkeypatch)
    with ResultsFolder(tmp_path / "r") as folder:
        folder.append(replace(ran(run_of(cells[0]), 1, tmp_path), outcome=Outcome.VOID, metrics={}, reason="refuted"))
    prover = Prover()
    proofs, _progress = proofs_of(bench, cells[:1], tmp_path / "r", prover, monkeypatch)
    assert proofs == Proofs() and len(prover.booted) == 1
