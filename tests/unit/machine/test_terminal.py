"""Bytes between a terminal or pipe and a session that is made up."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from lab.machine.terminal import Ends, TerminalSize, relay

PTY = TerminalSize("vt100", 80, 24)


class MadeUpSession:
    """A session that answers what it is sent, until it has heard enough.

    :param ends_after: bytes or an end of file, after which it ends.
    """

    def __init__(self, status: int, *, ends_after: bytes = b"", says: bytes = b"", broken: bool = False) -> None:
        self.reader, self.writer = os.pipe()
        self.status = status
        self.ends_after = ends_after
        self.output, self.errors = says, b""
        self.sent = b""
        self.sizes: list[tuple[int, int]] = []
        self.closed = False
        self.broken = broken
        self.timeout: float | None = None
        self.on_start: Callable[[], None] = lambda: None
        self.on_resize: Callable[[], None] = lambda: None
        if says:
            os.write(self.writer, b"!")

    def fileno(self) -> int:
        """Readable when there is news."""
        started, self.on_start = self.on_start, lambda: None
        started()
        return self.reader

    def settimeout(self, timeout: float | None) -> None:
        """Keep it."""
        self.timeout = timeout

    def sendall(self, s: bytes) -> None:
        """Take what is typed, and echo it in capitals."""
        if self.broken:
            raise OSError("Socket is closed")
        assert self.timeout is not None
        self.sent += s
        self.output += s.upper()
        os.write(self.writer, b"!")

    def shutdown_write(self) -> None:
        """End of file."""
        self.closed = True
        self.errors += b"end\n"
        os.write(self.writer, b"!")

    def recv_ready(self) -> bool:
        """Tell whether there is output."""
        return bool(self.output)

    def recv(self, nbytes: int) -> bytes:
        """Hand over a few bytes at a time."""
        piece, self.output = self.output[:5], self.output[5:]
        return piece

    def recv_stderr_ready(self) -> bool:
        """Tell whether there is output on stderr."""
        return bool(self.errors)

    def recv_stderr(self, nbytes: int) -> bytes:
        """Hand over all of it."""
        piece, self.errors = self.errors, b""
        return piece

    def resize_pty(self, width: int, height: int) -> None:
        """Keep it, and end."""
        self.sizes.append((width, height))
        self.on_resize()

    def exit_status_ready(self) -> bool:
        """Tell whether it has heard enough."""
        return self.broken or self.closed or (bool(self.ends_after) and self.sent.endswith(self.ends_after))

    def recv_exit_status(self) -> int:
        """Return it."""
        return self.status


@dataclass
class Terminal:
    """A pseudo terminal: what a person has in front of them, and the program's side of it."""

    person: int
    program: int

    def type(self, text: bytes) -> None:
        """Press keys."""
        os.write(self.person, text)

    def resize(self, columns: int, rows: int) -> None:
        """Pull at the window."""
        fcntl.ioctl(self.program, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def modes(self) -> list[object]:
        """Its settings."""
        return list(termios.tcgetattr(self.program))


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Open one."""
    person, program = pty.openpty()
    yield Terminal(person, program)
    os.close(person)
    os.close(program)


def piped(text: bytes) -> tuple[int, int, int]:
    """Return a pipe that holds a text and its end, and a pipe for what comes out: stdin, its reader, its writer."""
    stdin, typed = os.pipe()
    os.write(typed, text)
    os.close(typed)
    reader, writer = os.pipe()
    return stdin, reader, writer


def test_a_pipe_goes_in_and_output_comes_out() -> None:
    """All of it, stderr apart, and the exit status."""
    stdin, reader, writer = piped(b"hello world")
    errors, says = os.pipe()
    session = MadeUpSession(7)
    assert relay(session, Ends(stdin, writer, says), None) == 7
    os.close(writer)
    os.close(says)
    assert session.sent == b"hello world" and session.closed
    assert os.read(reader, 100) == b"HELLO WORLD" and os.read(errors, 100) == b"end\n"


def test_a_connection_that_broke_has_no_status() -> None:
    """What had arrived is shown all the same."""
    stdin, reader, writer = piped(b"lost")
    session = MadeUpSession(-1, says=b"last words", broken=True)
    assert relay(session, Ends(stdin, writer), None) is None
    assert os.read(reader, 100) == b"last words"


def test_every_key_of_a_terminal_goes_to_the_guest(terminal: Terminal) -> None:
    """Ctrl-C is a byte like any other, nothing is echoed here, and the terminal is given back as it was."""
    before = terminal.modes
    session = MadeUpSession(0, ends_after=b"exit\r")
    session.on_start = lambda: terminal.type(b"sleep 9\r\x03exit\r")
    reader, writer = os.pipe()
    assert relay(session, Ends(terminal.program, writer), PTY) == 0
    assert session.sent == b"sleep 9\r\x03exit\r"
    assert os.read(reader, 100) == b"SLEEP 9\r\x03EXIT\r"
    assert terminal.modes == before


def test_a_terminal_is_given_back_after_an_interruption(terminal: Terminal) -> None:
    """However the session ends."""
    before = terminal.modes

    class Interrupted(MadeUpSession):
        def sendall(self, s: bytes) -> None:
            assert terminal.modes != before
            raise KeyboardInterrupt

    session = Interrupted(0)
    session.on_start = lambda: terminal.type(b"x")
    with pytest.raises(KeyboardInterrupt):
        relay(session, Ends(terminal.program), PTY)
    assert terminal.modes == before


def test_a_new_size_is_told(terminal: Terminal) -> None:
    """The window was pulled before the first key."""
    session = MadeUpSession(0, ends_after=b"q", says=b"?")
    session.on_start = lambda: terminal.resize(132, 50)
    session.on_resize = lambda: terminal.type(b"q")
    _, writer = os.pipe()
    assert relay(session, Ends(terminal.program, writer), PTY) == 0
    assert session.sizes == [(132, 50)]


def test_size_of_a_terminal_and_of_something_else(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of no size is taken for the smallest that programs expect; a pipe has none."""
    monkeypatch.setenv("TERM", "screen")
    assert TerminalSize.of(terminal.program) == TerminalSize("screen", 80, 24)
    terminal.resize(100, 40)
    assert TerminalSize.of(terminal.program) == TerminalSize("screen", 100, 40)
    assert TerminalSize.of(os.pipe()[0]) is None
