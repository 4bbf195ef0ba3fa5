"""``lab proof``: the matrix and the exit code of a proof that was made before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.__main__ import run
from lab.cli import proof as verb
from lab.experiment.arms import ArmsRequest
from lab.experiment.one_cell import OneCell
from lab.experiment.proof import Proof
from lab.machine.observe import QueueSeen
from lab.record import Arm, Cell, Point
from tests.unit.experiment.made_up import BASELINE, IMAGE

CELL = OneCell(Cell(Arm.BASELINE, Point((("iothreads", 1),))), BASELINE, IMAGE, None)  # type: ignore[arg-type]
GOOD = QueueSeen("scsi0", "sda", "0", 0, "t0", "t0", 512, {"t0": 5_000_000}, {"t0": 512}, "0")
WRONG = QueueSeen("scsi0", "sda", "0", 0, "t1", "t1", 512, {"t0": 5_000_000}, {"t0": 512}, "0")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand in for the cell; what was asked for is kept."""
    requests: list[Any] = []

    def one_cell(
        job: Path, cell: str | None, arms: ArmsRequest, *, accelerator: str | None, progress: object
    ) -> OneCell:
        requests.append((job, cell, arms, accelerator))
        return CELL

    monkeypatch.setattr(verb, "one_cell", one_cell)
    return requests


@pytest.mark.parametrize(
    ("queues", "code", "words"),
    [((GOOD,), 0, "is proved"), ((WRONG,), 1, "refuted: scsi0, queue 0: the trace shows t0"), ((), 4, "is undecided")],
)
def test_exit_code_and_matrix(
    asked: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    queues: tuple[QueueSeen, ...],
    code: int,
    words: str,
) -> None:
    """Proved, refuted, undecided; as a table and as JSON; the folder of the boot is gone afterwards."""
    folders: list[Path] = []

    def prove_machine(build: object, image: object, spec: object, evidence: Path) -> Proof:
        folders.append(evidence)
        assert evidence.is_dir()
        return Proof(queues, {"scsi0": ()})

    monkeypatch.setattr(verb, "prove_machine", prove_machine)
    assert run(["proof", "j.toml", "--cell", "c", "--series", "s.mbox", "--quiet"]) == code
    assert words in capsys.readouterr().out
    assert run(["proof", "j.toml", "--accelerator", "tcg", "--json", "--quiet"]) == code
    said = json.loads(capsys.readouterr().out)
    assert said["cell"] == "baseline.iothreads=1" and len(said["queues"]) == len(queues)
    assert asked[0] == (Path("j.toml"), "c", ArmsRequest(series=Path("s.mbox")), None) and asked[1][3] == "tcg"
    assert not any(folder.exists() for folder in folders)
