"""A terminal, or a pipe, to a session in the guest: bytes both ways until the session ends, and its exit status.

The terminal is made raw, so that every key goes to the guest, Ctrl-C included, and is given back as it was however the
session ends. Its size is looked at twice a second instead of on SIGWINCH: signals are the main program's.
"""

from __future__ import annotations

import os
import select
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

_LOOK_S = 0.5
_PIECE_BYTES = 1 << 15
_SEND_S = 10.0
_NO_STATUS = -1


@dataclass(frozen=True)
class TerminalSize:
    """What a terminal is called (``TERM``) and how large it is, in characters."""

    name: str
    columns: int
    rows: int

    @classmethod
    def of(cls, descriptor: int) -> TerminalSize | None:
        """Return those of an open file; None for one that is no terminal."""
        if not os.isatty(descriptor):
            return None
        size = os.get_terminal_size(descriptor)
        return cls(os.environ.get("TERM", "vt100"), size.columns or 80, size.lines or 24)


class Session(Protocol):
    """What is needed of a paramiko channel."""

    def fileno(self) -> int:
        """Return a descriptor that can be read from when there is news."""

    def settimeout(self, timeout: float | None) -> None:
        """Bound how long sending may take."""

    def sendall(self, s: bytes) -> object:
        """Send to the session's stdin."""

    def shutdown_write(self) -> None:
        """Send end of file."""

    def recv_ready(self) -> bool:
        """Tell whether there is output."""

    def recv(self, nbytes: int) -> bytes:
        """Return output."""

    def recv_stderr_ready(self) -> bool:
        """Tell whether there is output on stderr."""

    def recv_stderr(self, nbytes: int) -> bytes:
        """Return output of stderr."""

    def resize_pty(self, width: int, height: int) -> None:
        """Tell the size of the terminal."""

    def exit_status_ready(self) -> bool:
        """Tell whether the session has ended, or the connection."""

    def recv_exit_status(self) -> int:
        """Return the exit status; -1 for none."""


@dataclass(frozen=True)
class Ends:
    """Descriptors of whoever talks to the session."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


def relay(session: Session, ends: Ends, size: TerminalSize | None) -> int | None:
    """Carry bytes both ways until the session ends.

    :param size: of the terminal that the session was started with; None where it has none, and stdin is left as it is.
    :return: its exit status; None where the connection broke before there was one.
    :raise OSError: stdout or stderr cannot be written to.
    """
    listening = True
    session.settimeout(_SEND_S)
    with _raw(ends.stdin) if size is not None else nullcontext():
        while True:
            watched = [session.fileno(), *((ends.stdin,) if listening else ())]
            ready, _, _ = select.select(watched, [], [], _LOOK_S)
            now = TerminalSize.of(ends.stdin)
            if size is not None and now is not None and now != size:
                size = now
                session.resize_pty(now.columns, now.rows)
            _deliver(session, ends)
            if session.exit_status_ready() and not session.recv_ready() and not session.recv_stderr_ready():
                break
            if listening and ends.stdin in ready:
                listening = _forward(session, ends.stdin)
    status = session.recv_exit_status()
    return None if status == _NO_STATUS else status


def _deliver(session: Session, ends: Ends) -> None:
    """Write what the session has said."""
    if session.recv_ready():
        _write(ends.stdout, session.recv(_PIECE_BYTES))
    if session.recv_stderr_ready():
        _write(ends.stderr, session.recv_stderr(_PIECE_BYTES))


def _forward(session: Session, stdin: int) -> bool:
    """Send what was typed; tell whether there can be more."""
    typed = os.read(stdin, _PIECE_BYTES)
    try:
        if typed:
            session.sendall(typed)
        else:
            session.shutdown_write()
    except OSError:  # the session is ending; its last words and its status are still to come
        return False
    return bool(typed)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """Make a terminal raw, and give it back as it was."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)  # what was typed ahead counts
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
