"""Evidence of a QEMU that does not go on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.errors import CommandError
from lab.machine import hang


def test_threads_are_named_with_what_they_wait_for(tmp_path: Path) -> None:
    """As far as the kernel tells: a thread that ended meanwhile has its number only."""
    for task, wchan in (("10", "futex_wait_queue"), ("11", None)):
        folder = tmp_path / "7" / "task" / task
        folder.mkdir(parents=True)
        if wchan is not None:
            (folder / "comm").write_text("IO iothread0\n")
            (folder / "wchan").write_text(wchan)
    assert hang.thread_facts(7, proc=tmp_path) == [
        {"id": "10", "comm": "IO iothread0", "wchan": "futex_wait_queue"},
        {"id": "11"},
    ]


def test_a_backtrace_is_what_gdb_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all threads, without the user's settings."""
    called: list[list[str]] = []

    def run(argv: list[str], **_more: object) -> SimpleNamespace:
        called.append(argv)
        return SimpleNamespace(stdout="#0 ppoll ()")

    monkeypatch.setattr(hang, "is_installed", lambda _name: True)
    monkeypatch.setattr(hang, "run", run)
    hang.save_backtrace(7, tmp_path)
    assert (tmp_path / hang.BACKTRACE).read_text() == "#0 ppoll ()"
    assert called[0][:5] == ["gdb", "-nx", "-batch", "-p", "7"] and "thread apply all backtrace 40" in called[0]


def test_a_gdb_that_is_not_there_or_fails_hides_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one there is no file; with one that failed, why."""
    monkeypatch.setattr(hang, "is_installed", lambda _name: False)
    hang.save_backtrace(7, tmp_path)
    assert not (tmp_path / hang.BACKTRACE).exists()

    def run(_argv: list[str], **_more: object) -> SimpleNamespace:
        raise CommandError("gdb did not end")

    monkeypatch.setattr(hang, "is_installed", lambda _name: True)
    monkeypatch.setattr(hang, "run", run)
    hang.save_backtrace(7, tmp_path)
    assert (tmp_path / hang.BACKTRACE).read_text() == "gdb did not end"
