import json
from pathlib import Path

import pytest

from lab.errors import BootError
from lab.virtio.backing import Backing
from lab.virtio.race import replay
from lab.virtio.race.attempt import RaceResult
from lab.virtio.race.judge import Fault, FaultKind, RaceJudgement
from lab.virtio.race.schedule import Action, Schedule, Step

RACE = Schedule(5, "none", (), {}, 4, Backing.NULL, (Step(Action.STOP),))
TEXT = json.dumps(RACE.to_json())


def attempts(monkeypatch: pytest.MonkeyPatch, *faulty: bool) -> list[Path | None]:
    """Let performances go wrong as given; return where each was told to put its evidence."""
    left, folders = list(faulty), []

    def attempt(qemu: Path, schedule: Schedule, *, evidence: Path | None, backtrace: bool) -> RaceResult:
        assert schedule == RACE and qemu.is_absolute() and backtrace
        folders.append(evidence)
        faults = (Fault(FaultKind.HANG, "it hangs"),) if left.pop(0) else ()
        return RaceResult(schedule, RaceJudgement(faults), 1, 1, (), "qemu -x", None, 0.1)

    monkeypatch.setattr(replay, "attempt", attempt)
    return folders


def test_what_went_wrong_is_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each performance has a line, the command line comes first, the count last."""
    attempts(monkeypatch, False, True, True)
    assert replay.main(TEXT, ["qemu", "--times", "3"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "qemu -x" and out[-1] == "wrong in 2 of 3" and "1: nothing wrong" in out


def test_nothing_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The exit status is 0; each performance would have had a folder of its own."""
    folders = attempts(monkeypatch, False, False)
    assert replay.main(TEXT, ["qemu", "--times", "2", "--evidence", str(tmp_path)]) == 0
    assert folders == [tmp_path / "001", tmp_path / "002"]


def test_errors_are_sentences(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A schedule that is none, and a QEMU that does not start."""
    assert replay.main("{}", ["qemu"]) == 2

    def attempt(*_: object, **__: object) -> None:
        raise BootError("QEMU did not start")

    monkeypatch.setattr(replay, "attempt", attempt)
    assert replay.main(TEXT, ["qemu"]) == 3
    assert "error: QEMU did not start" in capsys.readouterr().err
