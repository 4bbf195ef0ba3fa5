"""``lab shell`` as a user meets it: on a terminal, in a pipe, shut down from inside and killed from outside."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lab.build.arms import Arms
from lab.deadline import Deadline
from lab.errors import DeadlineError
from lab.host.accelerator_choice import AcceleratorChoice
from lab.settings import project_dir
from tests.real.conftest import DEMONSTRATION

pytestmark = pytest.mark.usefixtures("arms", "accelerator")  # made before, so that the waits below are for the guest

JOB = """\
title = "a shell"
fio = "randread.fio"

[machine]
vcpus = 2
memory_mib = 256
iothreads = 2

[profile.quick]
blocks = 1
runtime_s = 1
"""
BOOT_S = 90.0


@pytest.fixture
def words(tmp_path: Path, arms: Arms, accelerator: AcceleratorChoice) -> tuple[str, ...]:
    """Return the call of ``lab shell``."""
    (tmp_path / "randread.fio").write_bytes((project_dir() / "jobs" / "fio" / "randread-4k.fio").read_bytes())
    (tmp_path / "job.toml").write_text(JOB)
    lab = (sys.executable, "-m", "lab", "shell", str(tmp_path / "job.toml"), "--series", str(DEMONSTRATION))
    return (*lab, "--accelerator", accelerator.accelerator)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return where the guest's folder is made; afterwards nothing of it and no QEMU in it is left."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    yield temporary
    assert not list(temporary.iterdir())
    running = (process.info["cmdline"] for process in psutil.process_iter(["cmdline"]))
    assert not [words for words in running if words and str(temporary) in " ".join(words)]


class OnTerminal:
    """``lab shell`` on a pseudo terminal, and somebody who types and reads."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self.person, program = pty.openpty()
        self.modes = termios.tcgetattr(program)
        self.program = program
        self.process = subprocess.Popen(
            words, stdin=program, stdout=program, stderr=subprocess.PIPE, cwd=project_dir(), start_new_session=True
        )
        self.shown = b""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.person, text.encode())

    def wait_for(self, pattern: bytes) -> re.Match[bytes]:
        """Read until something is shown."""

        def found() -> re.Match[bytes] | None:
            assert self.process.poll() is None, (self.shown, self.process.communicate())
            if select.select([self.person], [], [], 0.1)[0]:
                self.shown += os.read(self.person, 4096)
            return re.search(pattern, self.shown)

        try:
            return Deadline(BOOT_S).wait_for(f"{pattern!r} to be shown", found, interval_s=0.01)
        except DeadlineError as err:
            raise AssertionError(f"{err.message}; what was shown: {self.shown!r}") from err

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was said on stderr."""
        _, said = self.process.communicate(timeout=60)
        assert termios.tcgetattr(self.program) == self.modes  # given back as it was
        return self.process.returncode, said.decode()

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:  # a test that failed
            self.process.terminate()
            self.process.communicate(timeout=60)
        os.close(self.person)
        os.close(self.program)


def test_a_shell_on_a_terminal(words: tuple[str, ...], folder: Path) -> None:
    """The guest sees a terminal, Ctrl-C is its own, the QMP socket answers, and the exit status comes out."""
    with OnTerminal(words) as shell:
        shell.wait_for(rb"# ")
        # One process for both: between two commands the guest's ash misses a Ctrl-C.
        shell.type("sh -c 'echo g$((1))o; exec sleep 1000'\r")
        shell.wait_for(rb"g1o\r\n")  # the guest's terminal is the command's now
        shell.type("\x03")
        shell.wait_for(rb"\^C\r\n")
        shell.type("test -t 0 && echo $((6 * 7)) $TERM\r")
        assert shell.wait_for(rb"42 (\S+)\r\n")
        (sock,) = folder.glob("*/qmp.sock")
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(sock))
            assert "QMP" in json.loads(monitor.makefile().readline())
        shell.type("exit 5\r")
        code, said = shell.end()
        assert code == 5 and str(sock) in said


def test_a_command_in_a_pipe_and_a_guest_that_is_shut_down_from_inside(words: tuple[str, ...], folder: Path) -> None:
    """stdin goes in, stdout is the guest's alone, and powering off is no error."""
    script = "cat; nproc; echo no >&2; busybox poweroff -f"
    done = subprocess.run(
        (*words, "--", "sh", "-c", script), input="hello\n", capture_output=True, text=True, timeout=BOOT_S, check=False
    )
    assert (done.returncode, done.stdout) == (0, "hello\n2\n"), done.stderr
    assert "\nno\n" in f"\n{done.stderr}" and "the guest was shut down" in done.stderr


def test_a_shell_that_is_terminated_leaves_nothing(words: tuple[str, ...], folder: Path) -> None:
    """The terminal is given back, QEMU is gone, and so is the folder."""
    with OnTerminal(words) as shell:
        shell.wait_for(rb"# ")
        assert list(folder.iterdir())
        shell.process.send_signal(signal.SIGTERM)
        code, _said = shell.end()
        assert code == 130
