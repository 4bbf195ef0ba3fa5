"""A machine that does not go on, to whether it hangs, and to the evidence for it.

"Not yet" and "never" differ: a process that was not scheduled is late, one whose threads all sleep while something is
owed will not move by itself. So a hang is called when every thread sleeps and used no CPU time for a while, or when
QEMU kept a CPU busy for seconds without getting anywhere; anything else is undecided.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from lab.deadline import Deadline
from lab.errors import DeadlineError, GuestError, MonitorError, StageError
from lab.machine import hang
from lab.machine.monitor import Monitor
from lab.machine.process import QemuProcess
from lab.machine.threads import cpu_time_ns
from lab.virtio.qtest_machine import CONTROLLER_ID, QtestMachine

_POLL_S = 0.0005
_QUIET_S = 0.2
_QUIET_CPU_NS = 1_000_000
_QUIET_LOOKS = 60
"""A look may move the machine: that of a race steps a clock every 20th time, without which throttled requests wait."""
_BUSY_CPU_NS = 4_000_000_000
_QMP_S = 0.5
_NUDGE_S = 0.2
_END_S = 0.3
_PROC = Path("/proc")
_CONTROLLER_PATH = f"/machine/peripheral/{CONTROLLER_ID}/virtio-backend"

SECOND_KICK = "a second kick of every virtqueue"
NEW_CONNECTION = "closing the disk's NBD connection"
"""What can move a machine that seems to hang, see :func:`nudged`."""


class Stall(StrEnum):
    """Why something did not end."""

    ASLEEP = "every thread of QEMU sleeps"
    SPINNING = "QEMU keeps a CPU busy and gets nowhere"
    EXITED = "QEMU ended by itself"
    TOO_SLOW = "QEMU was not given enough CPU time to tell"


class Watched(Protocol):
    """A process that can be seen to make progress or not."""

    def cpu_ns(self) -> int:
        """Return the CPU time of all threads so far.

        :raise GuestError: the process is gone.
        """

    def wants_cpu(self) -> bool:
        """Tell whether a thread runs, or waits for a CPU or a disk."""


class WatchedProcess:
    """A QEMU, seen through /proc."""

    def __init__(self, process: QemuProcess, proc: Path = _PROC) -> None:
        self._process = process
        self._proc = proc

    def cpu_ns(self) -> int:
        """Return the CPU time of all threads so far.

        :raise GuestError: QEMU ended.
        """
        if self._process.exit_code() is not None:  # a process that nobody has waited for still has its times
            raise GuestError("QEMU ended by itself")
        return sum(cpu_time_ns(self._process.pid, proc=self._proc).values())

    def wants_cpu(self) -> bool:
        """Tell whether a thread runs, or waits for a CPU or a disk (states R and D of proc(5))."""
        return any(state in "RD" for state in self._states())

    def _states(self) -> Iterator[str]:
        for task in (self._proc / str(self._process.pid) / "task").glob("*/stat"):
            with suppress(OSError):  # a thread that ended meanwhile
                yield task.read_text().rpartition(")")[2].split()[0]


def wait_or_stall(
    process: Watched,
    check: Callable[[], bool],
    *,
    patience_s: float,
    limit_s: float,
    make_deadline: Callable[[float], Deadline] = Deadline,
) -> Stall | None:
    """Wait until ``check`` is true, and say why it will not be.

    :param patience_s: how long to wait before the process is looked at.
    :param limit_s: how long to wait for a process that is doing something.
    :return: None when ``check`` came true.
    """
    looks = 0

    def look() -> bool | None:
        nonlocal looks
        looks += 1
        return check() or None

    def came_true(seconds: float) -> bool:
        try:
            make_deadline(seconds).wait_for("an answer", look, interval_s=_POLL_S)
        except DeadlineError:
            return False
        return True

    whole = make_deadline(limit_s)
    try:
        first = process.cpu_ns()
        if came_true(patience_s):
            return None
        quiet_looks = 0
        while not whole.passed():
            before, looked = process.cpu_ns(), looks
            wanted_cpu = process.wants_cpu()
            if came_true(_QUIET_S):
                return None
            quiet = process.cpu_ns() - before < _QUIET_CPU_NS and not wanted_cpu and not process.wants_cpu()
            quiet_looks = quiet_looks + looks - looked if quiet else 0
            if quiet_looks >= _QUIET_LOOKS:
                return Stall.ASLEEP
        return Stall.SPINNING if process.cpu_ns() - first > _BUSY_CPU_NS else Stall.TOO_SLOW
    except GuestError:
        return None if check() else Stall.EXITED


def save_facts(machine: QtestMachine, stall: Stall, num_queues: int) -> None:
    """Write what QMP, the kernel and the disk say of a machine that does not go on to ``hang.json``."""
    facts: dict[str, Any] = {"stall": stall, "threads": hang.thread_facts(machine.process.pid)}
    facts["qmp"] = _ask(machine.monitor, "query-status")
    facts["queues"] = [
        _ask(machine.monitor, "x-query-virtio-queue-status", {"path": _CONTROLLER_PATH, "queue": queue})
        for queue in (range(num_queues + 2) if "error" not in facts["qmp"] else ())
    ]
    facts["held by the disk"] = [f"{r.export} {r.command.name} lba {r.lba}" for r in machine.disk.held()]
    (machine.folder / "hang.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def examine_stall(
    machine: QtestMachine,
    stall: Stall,
    num_queues: int,
    check: Callable[[], bool],
    *,
    wants_backtrace: Callable[[], bool],
) -> str | None:
    """Store what a machine that hangs can still say, and return what moved it; see :func:`nudged`.

    :param check: whether everything has ended.
    :param wants_backtrace: asked only where one would say something.
    """
    save_facts(machine, stall, num_queues)
    moved_by = nudged(machine, check)
    if moved_by is None and wants_backtrace():
        save_backtrace(machine)
    return moved_by


def save_backtrace(machine: QtestMachine) -> None:
    """Have gdb write every thread's stack to ``backtrace.txt``, where it is installed; takes a second or two."""
    hang.save_backtrace(machine.process.pid, machine.folder)


def crash_text(process: QemuProcess) -> str | None:
    """Return how QEMU ended by itself and what it said last; None where it runs.

    A lost connection is noticed a moment before the process has ended, so this waits a little.
    """
    with suppress(DeadlineError):
        Deadline(_END_S).wait_for("QEMU to end", process.exit_code)
    if process.exit_code() is None:
        return None
    return process.failure("in the middle of the case").message.partition("\ncommand:")[0]


def nudged(machine: QtestMachine, check: Callable[[], bool]) -> str | None:
    """Try what would move a machine that is not hung for good, and say what it was that moved it.

    The disk lets go of everything first. Then each request has been answered, so that a machine which goes on only when
    the connection is closed has lost a reply; an NBD client that holds one back (docs/findings/0001) never does so with
    the last.

    :return: None also where everything had ended, or did when the disk let go.
    """
    held = machine.disk.held()
    for what, action, seconds in (
        (None, machine.disk.release_all, _NUDGE_S if held else 0.0),
        (SECOND_KICK, machine.driver.kick_all, _NUDGE_S),
        (NEW_CONNECTION, machine.disk.drop_clients, _NUDGE_S),
    ):
        try:
            action()
            Deadline(seconds).wait_for("an answer", lambda: check() or None, interval_s=0.002)
        except DeadlineError:
            continue
        except StageError:  # QEMU went away meanwhile
            return None
        return what
    return None


def _ask(monitor: Monitor, command: str, arguments: dict[str, object] | None = None) -> dict[str, Any]:
    try:
        return dict(monitor.execute(command, arguments, timeout_s=_QMP_S))
    except (MonitorError, DeadlineError) as err:
        return {"error": err.message}
