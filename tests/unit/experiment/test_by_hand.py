"""A guest for somebody at a terminal, without a guest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.errors import BootError, CrashError, GuestError, HostError
from lab.experiment import by_hand as module
from lab.experiment.by_hand import booted_by_hand, evidence_folder, talk
from lab.experiment.one_cell import OneCell
from lab.machine.guest import Guest
from lab.machine.spec import MachineSpec
from lab.machine.terminal import Ends, TerminalSize
from lab.testing import FakeProcess
from tests.unit.experiment.made_up import BASELINE, IMAGE

CELL = OneCell(cast("Any", None), BASELINE, IMAGE, MachineSpec("tcg", 1, 256, (), ()))


def guest_with(folder: Path, exited: int | None = None) -> Any:
    """Return a guest whose shell hands out sessions, and remembers them."""
    started: list[tuple[str | None, TerminalSize | None]] = []
    closed: list[bool] = []

    def session(command: str | None, *, size: TerminalSize | None) -> Any:
        started.append((command, size))
        return SimpleNamespace(close=lambda: closed.append(True))

    process = FakeProcess(log=folder / "qemu.log", exited=exited)
    shell = SimpleNamespace(session=session, started=started, closed=closed)
    return SimpleNamespace(process=process, shell=shell, evidence=folder)


def test_a_guest_has_a_second_monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket is in the folder; a comma in the path is doubled, as QEMU wants it; all disks are waited for."""
    folder = tmp_path / "a,b"
    folder.mkdir()
    guest = guest_with(folder)
    seen: dict[str, Any] = {}
    waited: list[object] = []

    @contextmanager
    def booted(*words: object, **options: Any) -> Iterator[Guest]:
        seen.update(options)
        yield guest

    monkeypatch.setattr(module, "booted", booted)
    monkeypatch.setattr(module, "disks_of", waited.append)
    monkeypatch.setattr(module, "_LONGEST_SOCKET_PATH", 1000)
    with booted_by_hand(CELL, folder) as found:
        assert found.qmp == folder / "qmp.sock" and waited == [guest] and seen["evidence"] == folder
    words = " ".join(seen["words"])
    assert "a,,b/qmp.sock,server=on,wait=off" in words and words.endswith("-mon chardev=by-hand,mode=control")


def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    """QEMU would not start; which variable helps is said."""
    with pytest.raises(HostError, match="too long") as caught, booted_by_hand(CELL, tmp_path / ("x" * 120)):
        pass
    assert "TMPDIR" in caught.value.remedy


@pytest.mark.parametrize("command", [None, "uname -r"])
def test_a_command_has_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str | None) -> None:
    """The login shell has one where there is one at this end; the session is closed, and its status handed on."""
    guest = guest_with(tmp_path)
    monkeypatch.setattr(TerminalSize, "of", lambda descriptor: TerminalSize("xterm", 80, 24))
    monkeypatch.setattr(module, "relay", lambda session, ends, size: 7)
    assert talk(guest, command, Ends()) == 7
    assert guest.shell.started == [(command, None if command else TerminalSize("xterm", 80, 24))]
    assert guest.shell.closed == [True]


def test_a_guest_that_was_shut_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU ended well: that is no error. A guest that went away without QEMU, or a QEMU that crashed, is one."""
    monkeypatch.setattr(module, "relay", lambda session, ends, size: None)
    assert talk(guest_with(tmp_path, exited=0), None, Ends(stdin=os.pipe()[0])) is None
    with pytest.raises(GuestError, match="went away"):
        talk(guest_with(tmp_path), None, Ends(stdin=os.pipe()[0]))
    (tmp_path / "qemu.log").write_text("Assertion failed\n")
    with pytest.raises(CrashError, match="SIGABRT"):
        talk(guest_with(tmp_path, exited=-6), None, Ends(stdin=os.pipe()[0]))


def test_evidence_is_kept_for_an_error_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An error may name a file in the folder; an end and an interruption leave nothing behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with evidence_folder("shell") as folder:
        (folder / "qemu.log").write_text("")
    assert not folder.exists()
    with pytest.raises(KeyboardInterrupt), evidence_folder("shell") as folder:
        raise KeyboardInterrupt
    assert not folder.exists()
    with pytest.raises(BootError), evidence_folder("shell") as folder:
        raise BootError("no", evidence=folder / "qemu.log")
    assert folder.exists() and folder.name.startswith("lab-shell-")
