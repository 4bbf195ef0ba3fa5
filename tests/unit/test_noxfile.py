"""What ``nox`` makes of the lab's exit codes, and when it installs. nox is real here, ``lab`` and pip are not."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nox.command import CommandFailed

import noxfile
from lab.command import CommandResult, run
from tests.unit.project import PROJECT

# A session of nox's own machinery, without an environment, that ends in the function under test.
FAKE_NOXFILE = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
import nox
import noxfile

@nox.session(venv_backend="none")
def fake(session):
    noxfile._lab(session, *session.posargs)
"""


def _nox(folder: Path, code: int, *options: str) -> CommandResult:
    """Run nox with a ``lab`` that ends with a code."""
    program = folder / "lab"
    program.write_text(f'#!/bin/sh\necho "lab $*"\nexit {code}\n', encoding="utf-8")
    program.chmod(0o755)
    (folder / "noxfile.py").write_text(FAKE_NOXFILE, encoding="utf-8")
    env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    nox = [sys.executable, "-m", "nox", "-s", "fake", *options, "--", "bench", "--series", "a b"]
    return run(nox, cwd=folder, env=env, check=False)


@pytest.mark.parametrize("code", [0, 1, 3, 4])
def test_exit_code_of_the_lab_is_that_of_nox(tmp_path: Path, code: int) -> None:
    """Nox ends as the lab ended, and hands over the arguments as they are."""
    result = _nox(tmp_path, code)
    assert (result.returncode, result.stdout) == (code, "lab bench --series a b\n")


def test_preparing_measures_nothing(tmp_path: Path) -> None:
    """CI does that first, because nox ends with 1 where it cannot make an environment; then 1 is the lab's own."""
    result = _nox(tmp_path, 1, "--install-only")
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("Returned code 4", 4),
        ("Returned code -9", 137),
        ("Program lab not found", 3),
        (None, 3),
        ("External program disallowed.", 3),
    ],
)
def test_exit_code_is_read_from_the_failure(reason: str | None, code: int) -> None:
    """A status is itself, a signal what a shell makes of it, and a program that did not start is the host's fault."""
    assert noxfile.exit_code_of(CommandFailed(reason)) == code


class _Session:
    """A session that notes what it is told to install."""

    def __init__(self, folder: Path, *, pip_works: bool = True) -> None:
        self.virtualenv = SimpleNamespace(location=str(folder))
        self.installed: list[tuple[str, ...]] = []
        self.warnings: list[str] = []
        self.warn: Callable[[str], None] = self.warnings.append
        self._pip_works = pip_works

    def install(self, *words: str) -> None:
        if not self._pip_works:
            raise CommandFailed("Returned code 1")
        self.installed.append(words)


def _install(session: Any, extra: str = "") -> None:
    noxfile._install(session, extra)


def test_installation_is_done_once(tmp_path: Path) -> None:
    """The lab is installed into a new environment, and not again while nothing changes."""
    session = _Session(tmp_path)
    _install(session, "dev")
    _install(session, "dev")
    assert session.installed == [("--quiet", "--editable", ".[dev]")]


def test_installation_follows_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other requirements, or another selection of them, are installed anew."""
    session = _Session(tmp_path)
    _install(session)
    _install(session, "dev")
    monkeypatch.setattr(noxfile, "_fingerprint", lambda extra: f"changed {extra}")
    _install(session, "dev")
    assert [words[-1] for words in session.installed] == [".", ".[dev]", ".[dev]"]


def test_failed_installation_is_no_verdict(tmp_path: Path) -> None:
    """Pip's exit status 1 does not become the lab's "a finding", and the next call tries again."""
    session = _Session(tmp_path, pip_works=False)
    with pytest.raises(SystemExit) as caught:
        _install(session)
    assert caught.value.code == 3 and "pip could not install" in session.warnings[0]
    again = _Session(tmp_path)
    _install(again)
    assert again.installed


def test_skipped_installation_is_not_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``nox -R`` nothing may have been installed, so the next call without it installs."""
    session = _Session(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["nox", "-R", "-s", "bench"])
        _install(session)
    _install(session)
    assert len(session.installed) == 2


@pytest.mark.parametrize("there", [True, False])
def test_a_browser_is_installed_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """The tests in a browser then fail rather than skip, whatever the reason that it does not start."""
    calls: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    session: Any = _Session(tmp_path)
    session.posargs = ["-x"]
    session.run = lambda *words, **options: calls.append((words, options))
    monkeypatch.setattr(shutil, "which", lambda name: name if there else None)
    noxfile.browser.func(session)
    assert [words[0] for words, _ in calls] == (["pytest"] if there else ["apt-get", "apt-get", "pytest"])
    words, options = calls[-1]
    assert words == ("pytest", "tests/real/test_page_in_browser.py", "-x")
    assert options["env"] == {"LAB_TEST_BROWSER": "required"}


def test_sessions_are_those_of_the_documentation() -> None:
    """Every session is listed with a sentence, and CONTRIBUTING.md names it."""
    listed = run([sys.executable, "-m", "nox", "--list"], cwd=PROJECT).stdout
    page = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in ("bench", "tests", "browser", "lint", "types", "docs", "report"):
        assert f"- {name} -> " in listed or f"* {name} -> " in listed
        assert f"`nox -s {name}" in page
