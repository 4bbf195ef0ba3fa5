"""An argv to a running QEMU, and back to nothing.

QEMU is started through ``setpriv --pdeathsig KILL`` (util-linux): when the lab is killed with -9, the kernel ends
QEMU too. The signal is tied to the *thread* that started it, so start machines from a thread that outlives them. A lab
that dies before setpriv has run would be missed, so a guard looks once more whether its parent is still there.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from lab.command import is_installed, text_from_argv
from lab.errors import BootError, HostError, StageError

_GUARD = 'test "$PPID" = "$0" && exec "$@"'
"""A constant; the words of the command line are its arguments and are never read by the shell."""

_ENDING_S = 1.0
_ASK_S = 5.0
_TERMINATE_S = 3.0
_KILL_S = 5.0
_TAIL_LINES = 10
_TAIL_BYTES = 1 << 16


class QemuProcess:
    """A QEMU process, its output in a log; a context manager that leaves nothing behind.

    :param argv: the whole command.
    :param log: where stdout and stderr go; a file, never a pipe that nobody drains.
    :param pass_fds: file descriptors QEMU inherits under the same numbers.
    :raise HostError: ``setpriv`` is not installed.
    :raise BootError: the program could not be started.
    """

    def __init__(self, argv: Sequence[str], *, log: Path, pass_fds: Sequence[int] = ()) -> None:
        if not is_installed("setpriv"):
            raise HostError("'setpriv' is needed so that no QEMU outlives the lab", remedy="install util-linux")
        self.argv = tuple(argv)
        self.log = log
        with log.open("ab") as sink:
            try:
                self._process = subprocess.Popen(
                    ("setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", _GUARD, str(os.getpid()), *self.argv),
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    pass_fds=tuple(pass_fds),
                    start_new_session=True,
                )
            except OSError as err:
                raise BootError(f"QEMU could not be started: {err.strerror}") from err

    @property
    def pid(self) -> int:
        """The process id; setpriv and the guard replace themselves by QEMU, so it is QEMU's."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit status, negative for a signal, or None while QEMU runs."""
        return self._process.poll()

    def ended_within(self, seconds: float) -> int | None:
        """Return the exit status of a QEMU that is ending, or None if it runs on.

        The kernel closes a process's sockets before anybody can learn its exit status, so whoever has just lost a
        connection waits a moment before deciding that QEMU still runs.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def output_tail(self) -> str:
        """Return the last lines that QEMU printed."""
        return "\n".join(tail_of(self.log).splitlines()[-_TAIL_LINES:])

    def failure(self, attempted: str) -> BootError:
        """Return the error for a QEMU that ended by itself: exit status, last output and the whole command."""
        return BootError(
            f"{attempted}: QEMU ended by itself with {_status_text(self.exit_code())}:\n"
            f"{self.output_tail() or '(it printed nothing)'}\ncommand: {text_from_argv(self.argv)}",
            evidence=self.log,
        )

    def start_failure(self, attempted: str, err: StageError) -> BootError:
        """Return the error for a QEMU that was started and did not answer, whether it has ended or goes on.

        :param err: what was waited for, in vain.
        """
        if self.ended_within(_ENDING_S) is not None:
            return self.failure(attempted)
        said = self.output_tail() or "(it printed nothing)"
        return BootError(
            f"{attempted}: {err.message}, though QEMU runs:\n{said}\ncommand: {text_from_argv(self.argv)}",
            evidence=self.log,
        )

    def stop(self, ask: Callable[[], None] | None = None) -> int | None:
        """End QEMU by a ladder: ask (QMP quit), SIGTERM, SIGKILL; each rung has a deadline.

        :param ask: asks QEMU to quit; whatever it raises only moves on to the next rung.
        :return: the exit status, or None for a process that the kernel does not let go.
        """
        try:
            if ask is not None and self.exit_code() is None:
                with suppress(Exception):  # a QEMU that cannot be asked is terminated instead
                    ask()
                    return self._process.wait(_ASK_S)
            if self.exit_code() is None:
                self._process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    return self._process.wait(_TERMINATE_S)
        finally:
            self._kill()
        return self._process.returncode

    def _kill(self) -> None:
        """Kill what is left of the group, also what a QEMU that has ended left behind, which may hold its sockets.

        A QEMU that even this does not end sits in the host's kernel.
        """
        pid = self._process.pid
        if self._process.returncode is not None and Path(f"/proc/{pid}").exists():
            return  # another process has its number, which the kernel gives to nobody while a member of the group lives
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_S)

    def __enter__(self) -> QemuProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def tail_of(path: Path, *, from_byte: int = 0) -> str:
    """Return the end of a log, at most 64 KiB: what is in it is foreign, and may be any amount.

    Line ends of a serial console are made plain; a file that is not there yet is empty.

    :param from_byte: nothing before it is returned.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(max(from_byte, path.stat().st_size - _TAIL_BYTES))
            return stream.read(_TAIL_BYTES).decode(errors="replace").replace("\r\n", "\n")
    except FileNotFoundError:
        return ""


def _status_text(code: int | None) -> str:
    if code is None:
        return "no exit status"
    if code < 0:
        known = {item.value: item.name for item in signal.Signals}  # it lacks most real-time signals
        return f"signal {known.get(-code, -code)}"
    return f"exit status {code}"
