from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from lab.errors import GuestError
from lab.machine.process import QemuProcess
from lab.testing import FakeClock
from lab.virtio.qtest_machine import QtestMachine
from lab.virtio.tmf import watchdog
from lab.virtio.tmf.watchdog import NEW_CONNECTION, SECOND_KICK, Stall, WatchedProcess, nudged, wait_or_stall


class Machine:
    """A process on a fake clock.

    :param share: of a CPU that it uses.
    :param ready: a thread waits for a CPU all the time.
    :param ends_at_s: when it is gone.
    """

    def __init__(self, clock: FakeClock, *, share: float = 0.0, ready: bool = False, ends_at_s: float = 1e9) -> None:
        self._clock = clock
        self._share = share
        self._ready = ready
        self._ends_at_s = ends_at_s

    def cpu_ns(self) -> int:
        """Return the CPU time so far, or say that the process is gone."""
        if self._clock.now() >= self._ends_at_s:
            raise GuestError("gone")
        return int(self._clock.now() * self._share * 1e9)

    def wants_cpu(self) -> bool:
        """Tell what it was made to tell."""
        return self._ready


def stall(clock: FakeClock, machine: Machine, check: Callable[[], bool] = lambda: False) -> Stall | None:
    """Wait as a performance does, on a fake clock."""
    return wait_or_stall(machine, check, patience_s=1.0, limit_s=15.0, make_deadline=clock.deadline)


def test_what_comes_in_time_is_no_stall() -> None:
    """Nobody looks at the process while there is patience left."""
    clock = FakeClock()
    assert stall(clock, Machine(clock, ends_at_s=0.9), lambda: clock.now() >= 0.5) is None


def test_a_sleeping_process_will_not_move() -> None:
    """It is called asleep soon after the patience has run out."""
    clock = FakeClock()
    assert stall(clock, Machine(clock)) is Stall.ASLEEP
    assert 1.0 < clock.now() < 1.5


def test_nothing_is_called_asleep_that_was_hardly_looked_at() -> None:
    """A look may be what moves the machine, and a lab that gets no CPU time itself looks rarely."""
    clock = FakeClock()
    looks = iter(range(50))

    def slow_look() -> bool:
        clock.sleep(0.1)
        return next(looks, None) is None

    assert stall(clock, Machine(clock), slow_look) is None
    assert clock.now() > 5.0


@pytest.mark.parametrize(("share", "ready"), [(0.5, False), (0.0, True)], ids=["works", "gets-no-cpu"])
def test_late_is_not_never(share: float, ready: bool) -> None:
    """A process that works is waited for, and so is one that is not given a CPU."""
    clock = FakeClock()
    machine = Machine(clock, share=share, ready=ready)
    assert stall(clock, machine, lambda: clock.now() >= 9.0) is None


def test_a_process_that_spins_is_a_hang() -> None:
    """Seconds of CPU time without getting anywhere."""
    clock = FakeClock()
    assert stall(clock, Machine(clock, share=1.0)) is Stall.SPINNING


def test_a_process_that_got_no_cpu_decides_nothing() -> None:
    """Neither asleep nor working: the host was too busy."""
    clock = FakeClock()
    assert stall(clock, Machine(clock, share=0.05, ready=True)) is Stall.TOO_SLOW


def test_a_process_that_ended() -> None:
    """It is told apart from one that hangs."""
    clock = FakeClock()
    assert stall(clock, Machine(clock, share=0.5, ends_at_s=3.0)) is Stall.EXITED


def test_an_answer_before_the_end_counts() -> None:
    """What was there when the process ended is no stall: it is looked at once more."""
    clock = FakeClock()
    answers = iter([False])
    assert stall(clock, Machine(clock, ends_at_s=0.0), lambda: next(answers, True)) is Stall.EXITED
    assert stall(clock, Machine(clock, ends_at_s=0.0), lambda: next(answers, True)) is None


class Stuck:
    """A machine that goes on when one thing is done to it.

    :param moved_by: the call that moves it.
    :param holds: its disk holds a request.
    """

    def __init__(self, moved_by: str, *, holds: bool = False) -> None:
        self.driver = self.disk = self
        self.calls: list[str] = []
        self._moved_by = moved_by
        self._holds = holds

    def held(self) -> tuple[str, ...]:
        """Return what the disk holds."""
        return ("a request",) if self._holds else ()

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.calls.append(name)

    def moves(self) -> bool:
        """Tell whether it was moved."""
        return self._moved_by in ("", *self.calls)


@pytest.mark.parametrize(
    ("machine", "what"),
    [
        (Stuck(""), None),
        (Stuck("release_all", holds=True), None),
        (Stuck("kick_all"), SECOND_KICK),
        (Stuck("drop_clients"), NEW_CONNECTION),
        (Stuck("drop_clients", holds=True), NEW_CONNECTION),
        (Stuck("nothing"), None),
    ],
    ids=["moved-by-then", "waited-for-the-disk", "a-lost-kick", "a-lost-reply", "a-lost-reply-of-several", "hangs"],
)
def test_what_moves_a_machine(monkeypatch: pytest.MonkeyPatch, machine: Stuck, what: str | None) -> None:
    """Nothing is said to have moved what had ended, and the connection is closed only after every reply was sent."""
    monkeypatch.setattr(watchdog, "_NUDGE_S", 0.0)
    assert nudged(cast("QtestMachine", machine), machine.moves) == what
    order = ["release_all", "kick_all", "drop_clients"]
    assert machine.calls == order[: len(machine.calls)]


class FakeProcess:
    """A process id and an exit status."""

    def __init__(self, code: int | None) -> None:
        self.pid = 77
        self._code = code

    def exit_code(self) -> int | None:
        """Return the status, or None while it runs."""
        return self._code


def task(proc: Path, thread: int, state: str, nanoseconds: int) -> None:
    """Add a thread to a made-up /proc."""
    folder = proc / "77" / "task" / str(thread)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{thread} (CPU 0/TCG) ) {state} 1 2 3\n")
    (folder / "schedstat").write_text(f"{nanoseconds} 5 6\n")


def test_threads_are_added_up(tmp_path: Path) -> None:
    """CPU time is that of all threads; a name with parentheses does not hide a state."""
    task(tmp_path, 77, "S", 1000)
    task(tmp_path, 78, "S", 500)
    process = WatchedProcess(cast("QemuProcess", FakeProcess(None)), tmp_path)
    assert process.cpu_ns() == 1500 and not process.wants_cpu()
    task(tmp_path, 79, "R", 0)
    assert process.wants_cpu()


def test_a_process_that_nobody_buried_is_gone(tmp_path: Path) -> None:
    """A zombie has CPU times, and makes no progress."""
    task(tmp_path, 77, "Z", 1000)
    with pytest.raises(GuestError, match="ended by itself"):
        WatchedProcess(cast("QemuProcess", FakeProcess(-6)), tmp_path).cpu_ns()
