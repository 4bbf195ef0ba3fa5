"""A machine that fell silent: does it hang, or is it late?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.errors import BootError, CrashError, DeadlineError, GuestError, MonitorError, StageError, WorkloadError
from lab.machine import hang
from lab.machine.guest import Guest
from lab.machine.process import QemuProcess
from lab.scenario import fault as module
from lab.scenario.fault import fault_of
from lab.scenario.load import StuckError
from lab.scenario.stage import ScenarioError
from lab.testing import FakeClock
from lab.virtio.tmf.watchdog import Stall
from tests.unit.scenario.staged import staged

SILENT = DeadlineError("no answer")
STILL = [{"stats": {"rd_operations": 10, "wr_operations": 5}}]


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace what looks at real processes; the list gets a process id for each backtrace."""
    found: list[int] = []
    monkeypatch.setattr(hang, "save_backtrace", lambda pid, _folder: found.append(pid))
    monkeypatch.setattr(QemuProcess, "pid", 4711)
    monkeypatch.setattr(hang, "thread_facts", lambda _pid: [{"comm": "IO iothread0"}])
    return found


def guest_of(folder: Path, qmp: dict[str, object]) -> Guest:
    """A guest whose QEMU answers so."""
    quiet: dict[str, object] = {"query-jobs": [], "x-query-virtio-queue-status": {"inuse": 3}}
    return staged(folder, qmp={**quiet, "query-blockstats": STILL, **qmp}).guest


def stall_is(monkeypatch: pytest.MonkeyPatch, stall: Stall | None) -> None:
    """What the watchdog finds."""
    monkeypatch.setattr(module, "_stall", lambda _guest: stall)


def asked(guest: Guest, err: StageError) -> str | None:
    """The answer, without waiting."""
    return fault_of(guest, err, make_deadline=FakeClock().deadline)


@pytest.mark.parametrize(
    ("stall", "said"),
    [
        (Stall.ASLEEP, "QEMU's main loop does not answer (every thread of QEMU sleeps)"),
        (Stall.SPINNING, "QEMU's main loop does not answer (QEMU keeps a CPU busy and gets nowhere)"),
        (Stall.TOO_SLOW, None),
    ],
)
def test_a_main_loop_that_had_cpu_time_must_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: list[int], stall: Stall, said: str | None
) -> None:
    """One that was given none decides nothing."""
    stall_is(monkeypatch, stall)
    guest = guest_of(tmp_path, {"query-status": SILENT, "query-jobs": SILENT, "query-blockstats": SILENT})
    assert asked(guest, DeadlineError("waited")) == said
    assert len(saved) == 1


@pytest.mark.parametrize("error", [DeadlineError("waited"), GuestError("gone"), MonitorError("gone")])
def test_a_qemu_that_sleeps_although_requests_are_owed_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: list[int], error: StageError
) -> None:
    """With the state of its threads and queues as evidence."""
    stall_is(monkeypatch, Stall.ASLEEP)
    said = asked(guest_of(tmp_path, {"query-status": {"running": True}}), error)
    assert said == "every thread of QEMU sleeps, and no request completes" and len(saved) == 1
    kept = json.loads((tmp_path / "hang.json").read_text())
    assert kept["threads"] == [{"comm": "IO iothread0"}] and len(kept["queues"]) == 4
    assert kept["queues"][0] == {"answer": {"inuse": 3}}


def test_a_busy_qemu_that_answers_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: list[int]
) -> None:
    """A guest without KVM keeps its CPUs busy by itself."""
    stall_is(monkeypatch, Stall.SPINNING)
    assert asked(guest_of(tmp_path, {"query-status": {}}), DeadlineError("waited")) is None
    assert len(saved) == 1 and json.loads((tmp_path / "hang.json").read_text())["fault"] is None


def test_a_machine_whose_requests_complete_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: list[int]
) -> None:
    """An idle moment, in which every thread sleeps, is no hang; nor is a fio that is slow to end."""
    stall_is(monkeypatch, Stall.ASLEEP)
    counts = iter(range(100))
    monkeypatch.setattr(module, "_completed", lambda _monitor: next(counts))
    guest = guest_of(tmp_path, {"query-status": {}})
    assert asked(guest, DeadlineError("waited")) is None and asked(guest, StuckError("fio")) is None
    assert len(saved) == 2  # undecided, so whoever wonders why needs it the more


@pytest.mark.parametrize("error", [DeadlineError("waited"), StuckError("fio")])
def test_a_qemu_that_does_not_say_what_completed_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: list[int], error: StageError
) -> None:
    """It answered one question and was too slow for the next: two silences are not the same number twice."""
    stall_is(monkeypatch, Stall.ASLEEP)
    assert asked(guest_of(tmp_path, {"query-status": {}, "query-blockstats": SILENT}), error) is None
    assert len(saved) == 1


def test_a_request_that_never_completes_is_a_fault_whatever_qemu_does_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: list[int]
) -> None:
    """The guest answered, so it had the time."""
    stall_is(monkeypatch, Stall.SPINNING)
    assert asked(guest_of(tmp_path, {"query-status": {}}), StuckError("fio")) == "no request completes any more"
    assert len(saved) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Kernel panic - not syncing: Fatal exception in interrupt", "the guest's kernel ended"),
        ("Kernel panic - not syncing: IO-APIC + timer doesn't work!", None),
    ],
)
def test_a_panic_is_a_fault_unless_a_busy_host_makes_it(
    tmp_path: Path, saved: list[int], words: str, said: str | None
) -> None:
    """Linux gives up at boot where timer interrupts come too late."""
    guest = guest_of(tmp_path, {})
    (tmp_path / "console.log").write_text(f"{words}\n")
    assert asked(guest, GuestError("the guest's kernel failed")) == said and not saved


@pytest.mark.parametrize("error", [ScenarioError("a"), CrashError("b"), BootError("c"), WorkloadError("d")])
def test_what_is_no_silence_is_not_looked_at(tmp_path: Path, error: StageError) -> None:
    """QEMU is not even asked."""
    assert asked(staged(tmp_path).guest, error) is None
