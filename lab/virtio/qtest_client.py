"""Register accesses to lines of text and back: QEMU's qtest protocol over a connected socket.

The protocol is described in QEMU's system/qtest.c ("QTest Protocol"). It is served by QEMU's main loop: while that is
blocked (a LUN reset that waits for I/O, say), an access that waits for its answer would block us as well. Accesses
that need no answer can be *posted*; their answers are read when they are there. They have to be read: QEMU stops
where it cannot write one, and a Unix socket has room for fewer than 300 of them.

Numbers are checked here, because QEMU asserts on one it cannot parse.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from lab.errors import DeadlineError, StageError

_WIDTHS = {1: "b", 2: "w", 4: "l", 8: "q"}


class QtestClient:
    """One qtest session.

    :param connection: a connected stream socket whose other end QEMU has.
    :param timeout_s: how long an access may take before the main loop counts as blocked.
    """

    def __init__(
        self, connection: socket.socket, *, timeout_s: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._clock = clock
        self._buffer = b""
        self._unanswered = 0

    def read(self, address: int, width: int) -> int:
        """Load ``width`` bytes (1, 2, 4 or 8) from guest-physical memory.

        :raise DeadlineError: QEMU's main loop did not answer in time.
        :raise StageError: QEMU went away or refused.
        """
        return self._value(f"read{_WIDTHS[width]} {address:#x}")

    def write(self, address: int, value: int, width: int) -> None:
        """Store ``width`` bytes to guest-physical memory and wait until it is done.

        :raise DeadlineError: QEMU's main loop did not answer in time.
        :raise StageError: QEMU went away or refused.
        """
        self._call(_write_line(address, value, width))

    def post_write(self, address: int, value: int, width: int) -> None:
        """Store ``width`` bytes to guest-physical memory without waiting.

        :raise StageError: QEMU went away.
        """
        self._send(_write_line(address, value, width))
        self._read_what_is_there()

    def port_in(self, port: int, width: int) -> int:
        """Read an I/O port.

        :raise DeadlineError: QEMU's main loop did not answer in time.
        :raise StageError: QEMU went away or refused.
        """
        return self._value(f"in{_WIDTHS[width]} {port:#x}")

    def port_out(self, port: int, value: int, width: int) -> None:
        """Write an I/O port.

        :raise DeadlineError: QEMU's main loop did not answer in time.
        :raise StageError: QEMU went away or refused.
        """
        self._call(f"out{_WIDTHS[width]} {port:#x} {_checked(value, width):#x}")

    def post_clock_step(self, step_ns: int) -> None:
        """Move QEMU's virtual clock on, which stands still under the qtest accelerator, without waiting.

        Does nothing while earlier accesses have not been answered: a main loop that is blocked gets no backlog.

        :raise StageError: QEMU went away.
        """
        self._read_what_is_there()
        if self._unanswered:
            return
        self._send(f"clock_step {step_ns}")
        self._read_what_is_there()

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()

    def _value(self, line: str) -> int:
        answer = self._call(line)
        return int(answer.split()[1], 16)

    def _call(self, line: str) -> str:
        self._send(line)
        deadline = self._clock() + self._timeout_s
        answer = ""
        while self._unanswered:
            while b"\n" not in self._buffer:
                self._receive(max(0.001, deadline - self._clock()), line)
            answer = self._take_line() or answer
        return answer

    def _read_what_is_there(self) -> None:
        """Read answers of posted accesses, without waiting for any."""
        while self._receive(0.0, "a posted access"):
            while b"\n" in self._buffer:
                self._take_line()

    def _take_line(self) -> str | None:
        """Return the next answer that was received; None for a line that is none."""
        line, _, self._buffer = self._buffer.partition(b"\n")
        text = line.decode(errors="replace")
        if text.startswith("IRQ "):  # an interrupt line changed; nobody asked
            return None
        self._unanswered -= 1
        if not text.startswith("OK"):
            raise StageError(f"QEMU answered '{text}' to a register access")
        return text

    def _send(self, line: str) -> None:
        try:
            self._connection.settimeout(self._timeout_s)
            self._connection.sendall(line.encode() + b"\n")
        except OSError as err:
            raise StageError(f"the qtest connection was lost while sending '{line}': {err}") from err
        self._unanswered += 1

    def _receive(self, wait_s: float, waiting_for: str) -> bool:
        """Add what comes within that time to the buffer; without a time, say whether anything was there."""
        self._connection.settimeout(wait_s)
        try:
            data = self._connection.recv(65536)
        except BlockingIOError:
            return False
        except TimeoutError:
            raise DeadlineError(
                f"QEMU's main loop did not answer '{waiting_for}' within {self._timeout_s:g} s"
            ) from None
        except OSError as err:
            raise StageError(f"the qtest connection was lost: {err}") from err
        if not data:
            raise StageError(f"QEMU closed the qtest connection while '{waiting_for}' was under way")
        self._buffer += data
        return True


def _write_line(address: int, value: int, width: int) -> str:
    return f"write{_WIDTHS[width]} {address:#x} {_checked(value, width):#x}"


def _checked(value: int, width: int) -> int:
    assert 0 <= value < 1 << (8 * width), f"{value:#x} does not fit in {width} bytes"
    return value
