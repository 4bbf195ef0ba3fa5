"""The project's commands: ``nox -s bench`` measures, ``nox -s tests`` checks; each in an environment of its own.

An exit code of ``lab`` becomes the exit code of nox (see docs/exit-codes.md); nox alone would turn each of them
into 1, which means "a regression was found".
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2024.4.15"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

HOST_CANNOT = 3
"""Exit code of ``lab`` for "this host cannot do it": what a failed installation means, too."""

BROWSER = ("chromium", "chromedriver")
BROWSER_PACKAGES = ("chromium", "chromium-driver")
"""Some 400 MB, so only this session installs them; all tests use a browser that is there."""

CLEAN_UP_S = 30.0
"""How long an interrupted ``lab`` may take to stop its guests before nox ends it less politely."""


@nox.session
def bench(session: nox.Session) -> None:
    """Measure a patch series: nox -s bench [-- --tree DIR --base COMMIT --series FILE ...]."""
    _install(session)
    _lab(session, "bench", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests, those that build and boot a real QEMU too: nox -s tests [-- PYTEST-ARGUMENTS]."""
    _install(session, "dev")
    _lab(session, "doctor", "--fix", "--quiet")
    session.run("pytest", *session.posargs, interrupt_timeout=CLEAN_UP_S, terminate_timeout=CLEAN_UP_S)


@nox.session
def browser(session: nox.Session) -> None:
    """Test report.html in a headless Chromium, which is installed if it is not there (Debian and Ubuntu, as root)."""
    _install(session, "dev")
    if not all(map(shutil.which, BROWSER)):
        session.run("apt-get", "update", "--quiet", "--quiet", external=True)
        session.run(
            "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *BROWSER_PACKAGES, external=True
        )
    session.run("pytest", "tests/real/test_page_in_browser.py", *session.posargs, env={"LAB_TEST_BROWSER": "required"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and spelling."""
    session.install("--quiet", "codespell>=2.3", "ruff>=0.6")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    _install(session, "dev")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Run the examples of README.md and docs/, and check their links."""
    _install(session, "dev")
    session.run("pytest", "tests/unit/test_docs.py", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Write the report of a result again: nox -s report -- results/EXPERIMENT."""
    _install(session)
    _lab(session, "report", *session.posargs)


def _lab(session: nox.Session, *words: str) -> None:
    """Run ``lab`` and, where it fails, end nox with its exit code.

    Ctrl-C reaches ``lab`` as well as nox; by default nox would kill it 0.3 s later, in the middle of its clean-up.

    :raise SystemExit: ``lab`` ended with anything but 0.
    """
    try:
        session.run("lab", *words, interrupt_timeout=CLEAN_UP_S, terminate_timeout=CLEAN_UP_S)
    except CommandFailed as err:
        raise SystemExit(exit_code_of(err)) from None


def exit_code_of(failure: CommandFailed) -> int:
    """Return the exit status of a command that nox ran; 3 where it could not be started at all.

    The status is read from the reason, because only newer versions of nox (not 2024.4, say) have it as a number.
    """
    match = re.fullmatch(r"Returned code (-?\d+)", failure.reason or "")
    if match is None:
        return HOST_CANNOT
    code = int(match.group(1))
    return code if code >= 0 else 128 - code  # killed by a signal: as a shell says it


def _install(session: nox.Session, extra: str = "") -> None:
    """Install the lab, editable, unless nothing changed since the last time.

    pip needs some seconds and the network to find out that there is nothing to do, so what was installed is noted in
    the environment. Only pyproject.toml can make an editable installation stale.

    :raise SystemExit: pip failed; with the exit code for a host that cannot do it, so that nobody reads a verdict.
    """
    wanted = _fingerprint(extra)
    stamp = Path(session.virtualenv.location) / "installed-by-noxfile"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    stamp.unlink(missing_ok=True)
    try:
        session.install("--quiet", "--editable", f".[{extra}]" if extra else ".")
    except CommandFailed:
        session.warn("pip could not install the lab; what it says above is the reason (no network? no room?)")
        raise SystemExit(HOST_CANNOT) from None
    if not {"-R", "--no-install"} & set(sys.argv):  # with these nox may have skipped the installation
        stamp.write_text(wanted, encoding="utf-8")


def _fingerprint(extra: str) -> str:
    project = Path(__file__).resolve().parent
    text = "\n".join([str(project), sys.version, extra, (project / "pyproject.toml").read_text(encoding="utf-8")])
    return hashlib.sha256(text.encode()).hexdigest()
