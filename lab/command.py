"""Running host commands: an argv in, a result or a :class:`CommandError` out. No shell anywhere.

Long-lived processes (QEMU) are in lab/machine/process.py; everything that ends by itself is run here.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab.errors import CommandError, DeadlineError

_REMEDY = "install it, or see that PATH names its folder; 'lab doctor' says what this host lacks"
_TAIL_LINES = 10
_GRACE_S = 3.0
"""What a command that is told to end may take to end what it started: ninja waits for its compilers."""
_GONE_S = 10.0
"""What the kernel may take to end a process that was killed; one that waits for a dead disk may never end."""
_LEFT_BEHIND_S = 1.0
"""How often it is looked whether a command has ended although somebody still holds the pipes that it wrote to."""
_CHUNK_BYTES = 1 << 16
_LINE_BYTES = 1 << 20


@dataclass(frozen=True)
class CommandResult:
    """What a command that ended left behind.

    :param argv: what was run.
    :param returncode: its exit status; negative is a signal number, as subprocess has it.
    :param stdout: decoded with replacement characters: output is foreign text.
    :param stderr: likewise; empty where it was sent to a log.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    def tail(self, lines: int = _TAIL_LINES) -> str:
        """Return the last lines of what was said, stderr preferred."""
        text = self.stderr.strip() or self.stdout.strip()
        return "\n".join(text.splitlines()[-lines:])


def text_from_argv(argv: Sequence[str]) -> str:
    """Return the argv as one line that a shell reads back as the same argv."""
    return shlex.join(argv)


def is_installed(program: str) -> bool:
    """Tell whether a program can be found on PATH."""
    return shutil.which(program) is not None


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = True,
    stdin: bytes = b"",
    timeout_s: float = 60.0,
    check: bool = True,
) -> CommandResult:
    """Run a command to its end and return what it said.

    The command gets a session of its own, so that a deadline or Ctrl-C ends it with all its children.

    :param env: added to this process's environment.
    :param inherit_env: False makes ``env`` the whole environment, for what must not see the user's settings.
    :param check: raise when the exit status is not 0.
    :raise CommandError: it could not be started, or (with ``check``) it failed; the message ends with its last lines.
    :raise DeadlineError: it was still running after ``timeout_s`` and was killed.
    """
    words = tuple(str(word) for word in argv)
    with _started(words, cwd, _environment(env, inherit_env), subprocess.PIPE) as process:
        try:
            out, err = _output(process, stdin, timeout_s)
        except subprocess.TimeoutExpired:
            raise DeadlineError(f"'{text_from_argv(words)}' was still running after {timeout_s:g} s") from None
        finally:
            _end_session(process)
    result = CommandResult(words, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
    if check and result.returncode != 0:
        raise CommandError(f"'{text_from_argv(words)}' failed with exit status {result.returncode}:\n{result.tail()}")
    return result


def run_logged(
    argv: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = True,
    timeout_s: float = 3600.0,
    on_line: Callable[[str], None] = lambda _: None,
) -> None:
    """Run a long command, its output appended to a log and handed on line by line.

    :param inherit_env: as for :func:`run`.
    :param on_line: called with each line as it comes; a progress display reads it.
    :raise CommandError: it could not be started or failed; the message shows the end of the log, which is kept.
    :raise DeadlineError: it was still running after ``timeout_s``.
    """
    words = tuple(str(word) for word in argv)
    end = time.monotonic() + timeout_s
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("ab", buffering=0) as sink,
        _started(words, cwd, _environment(env, inherit_env), subprocess.STDOUT) as process,
    ):
        sink.write(f"$ {text_from_argv(words)}\n".encode())
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            for line in _lines(process.stdout.fileno(), end):
                sink.write(line)
                on_line(line.decode(errors="replace").rstrip("\n"))
            process.wait(max(0.0, end - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise DeadlineError(f"'{words[0]}' was still running after {timeout_s:g} s", evidence=log) from None
        finally:
            _end_session(process)
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES * 2 :])
        raise CommandError(
            f"'{text_from_argv(words)}' failed with exit status {process.returncode}; the log ends with:\n{tail}",
            remedy=f"the whole log is {log}",
            evidence=log,
        )


@contextmanager
def fed(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, inherit_env: bool = True
) -> Iterator[IO[bytes]]:
    """Run a command that reads what the block writes to it, for input too large to hold in memory.

    Where the block fails the command is killed, so that it cannot take half an input for the whole.

    :param inherit_env: as for :func:`run`.
    :raise CommandError: it could not be started, went away early, or failed; the message ends with its last lines.
    """
    words = tuple(str(word) for word in argv)
    with (
        tempfile.TemporaryFile() as said,
        _started(words, None, _environment(env, inherit_env), said.fileno(), stdout=said.fileno()) as process,
    ):
        assert process.stdin is not None
        try:
            with suppress(BrokenPipeError):  # it went away early: its exit status and words say why
                yield process.stdin
                process.stdin.close()
            process.wait()
        finally:
            _kill_session(process)
            with suppress(BrokenPipeError):  # what is left in the buffer must not hide the error under way
                process.stdin.close()
        if process.returncode != 0:
            said.seek(0)
            tail = "\n".join(said.read().decode(errors="replace").splitlines()[-_TAIL_LINES:])
            status = process.returncode
            raise CommandError(f"'{text_from_argv(words)}' failed with exit status {status}:\n{tail}")


def _output(process: subprocess.Popen[bytes], stdin: bytes, timeout_s: float) -> tuple[bytes, bytes]:
    """Return what a command wrote to its end, which is not that of a child it left behind with its pipes."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            return process.communicate(stdin, timeout=max(0.0, min(_LEFT_BEHIND_S, end - time.monotonic())))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= end:
                raise
            if process.poll() is not None:
                _kill_session(process)
            stdin = b""  # communicate() has it already


def _lines(descriptor: int, end: float) -> Iterator[bytes]:
    """Yield the lines that come through a pipe; a very long one comes in pieces.

    :param end: when to give up, in seconds of :func:`time.monotonic`: who holds the other end may never close it.
    :raise TimeoutError: the pipe was still open then.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    rest = b""
    while True:
        left_s = end - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise TimeoutError
        chunk = os.read(descriptor, _CHUNK_BYTES)
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in lines)
        if rest and (not chunk or len(rest) > _LINE_BYTES):
            yield rest
            rest = b""
        if not chunk:
            return


def _environment(env: Mapping[str, str] | None, inherit: bool) -> dict[str, str]:
    return {**(os.environ if inherit else {}), **(env or {})}


def _started(
    words: tuple[str, ...], cwd: Path | None, env: Mapping[str, str], stderr: int, *, stdout: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as err:  # names the program or, where that is what is missing, the folder
        culprit = f" ({err.filename})" if err.filename not in (None, words[0]) else ""
        remedy = _REMEDY if isinstance(err, FileNotFoundError) and not culprit else ""
        raise CommandError(f"'{words[0]}' could not be started: {err.strerror}{culprit}", remedy=remedy) from err
    except ValueError as err:  # a NUL byte, which only foreign text brings along
        raise CommandError(f"'{text_from_argv(words)}' could not be started: {err}") from err


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """End a command and all it started: asked first, so that it can tidy up, then killed.

    ninja gives each compiler a process group of its own, so only ninja or the session reaches those.
    """
    try:
        if process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
    finally:  # a second Ctrl-C cuts the waiting short, not this
        _kill_session(process)


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill what runs in a command's session, whose id is its pid (start_new_session), and wait until it is gone."""
    end = time.monotonic() + _GONE_S
    not_ours: set[int] = set()  # children that changed their user
    while members := _session_members(process.pid) - not_ours:
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            except PermissionError:
                not_ours.add(pid)
        for pid in members - not_ours:
            _wait_for_end(pid, end)
        if time.monotonic() > end:
            return


def _wait_for_end(pid: int, end: float) -> None:
    """Wait for the end of a process that need not be our child."""
    with suppress(OSError):  # ended already
        handle = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(max(0.0, end - time.monotonic()) * 1000)
        finally:
            os.close(handle)


def _session_members(session: int) -> set[int]:
    """Return the processes of a session but those that have ended and nobody has asked about (zombies)."""
    members = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # ended meanwhile
                if os.getsid(int(folder.name)) == session and _state(folder) not in "ZX":
                    members.add(int(folder.name))
    return members


def _state(process: Path) -> str:
    """Return a process's state letter, the field after its name, which may hold anything (proc_pid_stat(5))."""
    return (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
