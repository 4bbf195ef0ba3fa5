"""What ``lab`` tells the shell. A verb of the tests' own is added to the real command line for the time of a test."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from lab import __main__ as entry
from lab import __version__, errors
from lab.cli import app
from lab.errors import ExitCode, LabError


@pytest.fixture
def verb() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Add ``lab probe``, which does what the test says; taken away again afterwards."""

    def add(does: Callable[[], object]) -> None:
        app.add_command(click.Command("probe", callback=does))

    yield add
    app.commands.pop("probe", None)


def _error_classes() -> list[type[LabError]]:
    return [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, LabError)]


@pytest.mark.parametrize("error", _error_classes(), ids=lambda error: error.__name__)
def test_error_becomes_its_exit_code(
    error: type[LabError], verb: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """An error that a verb raises ends the lab with the error's code and its message, without a traceback."""

    def fail() -> None:
        raise error("it went wrong", remedy="do this")

    verb(fail)
    assert entry.run(["probe"]) == error.exit_code
    captured = capsys.readouterr()
    assert captured.err == "lab: error: it went wrong\n  what to do: do this\n" and captured.out == ""


@pytest.mark.parametrize(
    ("returned", "code"), [(None, 0), (0, 0), (1, 1), (ExitCode.UNDECIDED, 4), (ExitCode.HOST, 3), (True, 1)]
)
def test_verb_returns_its_exit_code(returned: object, code: int, verb: Callable[..., None]) -> None:
    """What a verb returns is the exit code; nothing is 0."""
    verb(lambda: returned)
    assert entry.run(["probe"]) == code


def test_verb_that_returns_something_else(verb: Callable[..., None]) -> None:
    """A verb that returns no exit code is a bug in the lab, not a success."""
    verb(lambda: "fine")
    with pytest.raises(TypeError, match="returned a str"):
        entry.run(["probe"])


def test_verb_that_exits_through_click(verb: Callable[..., None]) -> None:
    """An exit code given to click counts like one that is returned."""
    verb(lambda: click.get_current_context().exit(4))
    assert entry.run(["probe"]) == 4


@pytest.mark.parametrize("argv", [["no-such-verb"], ["--no-such-option"], []])
def test_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown verb or option, or none at all, is the user's to correct: exit code 2, and help on stderr."""
    assert entry.run(argv) == 2
    captured = capsys.readouterr()
    assert "Usage: lab" in captured.err and captured.out == ""


@pytest.mark.parametrize(
    ("option", "says"), [("--help", "Exit codes: 0 done"), ("-h", "Exit codes"), ("--version", __version__)]
)
def test_help_and_version(option: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help and version go to stdout with exit code 0."""
    assert entry.run([option]) == 0
    assert says in capsys.readouterr().out


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.exceptions.Abort])
def test_interruption(
    interruption: type[BaseException], verb: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C is exit code 130 and one line that says how to go on."""

    def interrupt() -> None:
        raise interruption

    verb(interrupt)
    assert entry.run(["probe"]) == 130
    assert capsys.readouterr().err == "lab: interrupted; what was finished is kept, call again to go on\n"


@pytest.mark.parametrize("bug", [ValueError, EOFError, BrokenPipeError, OSError])
def test_bug_is_not_a_verdict(bug: type[Exception], verb: Callable[..., None]) -> None:
    """Anything that is not an error of the lab passes through, a connection that a guest closed, too."""

    def fail() -> None:
        raise bug

    verb(fail)
    with pytest.raises(bug):
        entry.run(["probe"])


def _lab(body: str) -> list[str]:
    """Return an argv that runs the entry point with ``lab probe``, whose body is Python."""
    program = f"""
import os, signal, sys
from lab import __main__ as entry
from lab.cli import app
@app.command("probe")
def probe():
    {body}
sys.argv = ["lab", "probe"]
entry.main()
"""
    return [sys.executable, "-c", program]


def test_internal_error_is_exit_code_70() -> None:
    """A bug in the lab shows its traceback and ends with a code that is no verdict."""
    done = subprocess.run(_lab("raise ValueError('boom')"), capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "ValueError: boom" in done.stderr and "a bug in the lab" in done.stderr


def _run_without_reader(argv: list[str]) -> tuple[int, str]:
    """Run a command whose stdout nobody reads; return its exit code and what it said on stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, "PYTHONUNBUFFERED": ""}  # empty means buffered, as usual
    with os.fdopen(writer) as stdout:
        done = subprocess.run(argv, stdout=stdout, stderr=subprocess.PIPE, text=True, env=env, check=False)
    return done.returncode, done.stderr


def test_reader_that_goes_away_after_the_verdict() -> None:
    """With ``lab ... | head`` the exit code is the verb's, if the verb came to its end."""
    assert _run_without_reader(_lab("print('x'); return 1")) == (1, "")


def test_reader_that_goes_away_before_the_verdict() -> None:
    """A verb that could not say all it had to say found neither nothing nor something."""
    assert _run_without_reader(_lab("print('x' * 10_000_000); return 1")) == (130, "")


def test_termination_is_an_interruption() -> None:
    """SIGTERM runs the clean-up of whatever is under way, as Ctrl-C does, and again SIGTERM does not cut it short."""
    body = """
    try:
        print("ready", flush=True)
        signal.pause()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        print("cleaned up", flush=True)
    """
    with subprocess.Popen(_lab(body), stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "cleaned up\n"
        assert process.wait() == 130


def test_locale_that_lacks_letters() -> None:
    """Text that the locale cannot say is escaped rather than a traceback."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(_lab("print('é')"), capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stdout) == (0, "\\xe9\n")


def test_shell_completion_is_offered() -> None:
    """A shell that asks gets a script that completes verbs and options."""
    env = {**os.environ, "_LAB_COMPLETE": "bash_source"}
    done = subprocess.run(_lab("pass"), capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0 and "_lab_completion" in done.stdout


def test_module_is_the_command() -> None:
    """``python -m lab`` is the same as ``lab``."""
    done = subprocess.run([sys.executable, "-m", "lab", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"lab {__version__}\n")


def test_hang_up_is_an_interruption() -> None:
    """A connection that drops runs the clean-up, too; under nohup it is nothing."""
    body = """
    print("ready", flush=True)
    os.kill(os.getpid(), signal.SIGHUP)
    print("went on", flush=True)
    """
    for before, says, code in (("", "ready\n", 130), ("trap '' HUP; ", "ready\nwent on\n", 0)):
        # these tests may be under nohup themselves, and a shell cannot undo that
        argv = ["env", "--default-signal=HUP", "sh", "-c", f'{before}exec "$@"', "sh", *_lab(body)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (code, says)


@pytest.mark.parametrize(
    ("redirection", "code"), [(">&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 3), (">/dev/full 2>/dev/full", 3)]
)
def test_output_that_nobody_can_read(redirection: str, code: int) -> None:
    """Closed streams are as good as /dev/null; a full disk is the host's, and said where that is possible."""
    argv = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "lab", "--version"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert ("No space left" in done.stderr) == (redirection == ">/dev/full")


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM])
def test_host_that_refuses(number: int, verb: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk or a folder of somebody else is the host's, and the file is named."""

    def fail() -> None:
        raise OSError(number, os.strerror(number), "/some/file")

    verb(fail)
    assert entry.run(["probe"]) == 3
    said = capsys.readouterr().err
    assert f"/some/file: {os.strerror(number)}" in said and "LAB_CACHE" in said


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.ELOOP])
def test_path_that_cannot_be_used(number: int, verb: Callable[..., None]) -> None:
    """A path that no file can have is the user's."""

    def fail() -> None:
        raise OSError(number, os.strerror(number), "x" * 300)

    verb(fail)
    assert entry.run(["probe"]) == 2


def test_working_folder_that_was_removed(
    verb: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails because of that says so."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    verb(Path.cwd)
    assert entry.run(["probe"]) == 3
    assert "working folder was removed" in capsys.readouterr().err


def test_words_of_the_command_line_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """An option that a script passed on is shown with its control characters visible, below the usage."""
    assert entry.run(["--x\x1b[31m"]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said and r"--x\x1b[31m" in said and said.startswith("Usage: lab")


def test_wrong_word_that_click_finds_later(verb: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """What click says without a usage is an input error like any other."""

    def fail() -> None:
        raise click.ClickException("no \x1b good")

    verb(fail)
    assert entry.run(["probe"]) == 2
    assert capsys.readouterr().err == "lab: error: no \\x1b good\n"


def test_ctrl_c_while_the_lab_is_being_loaded() -> None:
    """One line and 130, as at any other time: no traceback of an import."""
    program = """
import sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
sys.argv = ["lab", "--help"]
from lab.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "lab: interrupted; what was finished is kept, call again to go on\n"
