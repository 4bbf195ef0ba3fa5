"""``lab shell``: what it runs, says and ends with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.__main__ import run
from lab.cli import shell as verb
from lab.experiment.by_hand import ByHand
from lab.experiment.one_cell import OneCell
from tests.unit.cli.test_proof import CELL


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand in for the guest; what it was asked to run and what it ends with is kept."""
    heard: list[Any] = []

    @contextmanager
    def booted_by_hand(cell: OneCell, folder: Path) -> Iterator[ByHand]:
        assert cell is CELL
        yield ByHand(None, folder / "qmp.sock")  # type: ignore[arg-type]
        heard.append("down")

    monkeypatch.setattr(verb, "one_cell", lambda *words, **options: CELL)
    monkeypatch.setattr(verb, "booted_by_hand", booted_by_hand)
    return heard


@pytest.mark.parametrize(
    ("words", "command", "status", "code"),
    [
        ((), None, 0, 0),
        ((), None, 130, 130),
        (("--", "sh", "-c", "echo $HOME; exit 7"), "sh -c 'echo $HOME; exit 7'", 7, 7),
        (("--quiet", "--", "ls", "--help"), "ls --help", 0, 0),
    ],
)
def test_the_exit_status_is_the_guest_s(
    ended: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    command: str | None,
    status: int,
    code: int,
) -> None:
    """Words reach the guest as they were typed; stdout is the guest's alone."""

    def talk(guest: object, command: str | None, ends: object) -> int:
        ended.append(command)
        return status

    monkeypatch.setattr(verb, "talk", talk)
    assert run(["shell", "j.toml", *words]) == code
    assert ended == [command, "down"]
    said = capsys.readouterr()
    assert not said.out and ("qmp.sock" in said.err) is ("--quiet" not in words)
    assert (f"booting {CELL.cell.id} ..." in said.err) is ("--quiet" not in words)


def test_a_guest_that_was_shut_down_is_no_error(
    ended: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the exit code is 0."""
    monkeypatch.setattr(verb, "talk", lambda guest, command, ends: None)
    assert run(["shell", "j.toml"]) == 0
    assert "the guest was shut down" in capsys.readouterr().err


def test_ctrl_c_cleans_up(ended: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Interrupted is 130, and the folder is gone."""

    def interrupted(*words: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(verb, "talk", interrupted)
    assert run(["shell", "j.toml", "--quiet"]) == 130
    assert not list(tmp_path.iterdir())
