"""One performance of a schedule, on a machine that is not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import BootError, DeviceError, StageError
from lab.testing import FakeProcess
from lab.virtio.backing import Backing
from lab.virtio.qtest_machine import QtestSpec
from lab.virtio.race import attempt as module
from lab.virtio.race.attempt import attempt, spec_from_schedule
from lab.virtio.race.history import History
from lab.virtio.race.judge import FaultKind
from lab.virtio.race.schedule import Action, Schedule, Step
from lab.virtio.tmf.watchdog import NEW_CONNECTION, Stall

RACE = Schedule(5, "2", ("t0", "t1"), {"iothread": "t0"}, 4, Backing.NULL, (Step(Action.STOP),))


class Machine:
    """A machine that only has a folder and a process.

    :param exited: how QEMU ended by itself.
    """

    def __init__(self, folder: Path, exited: int | None) -> None:
        self.folder = folder
        (folder / "qemu.log").write_text("qemu: assertion failed\n")
        self.process = FakeProcess(log=folder / "qemu.log", exited=exited)


class Bench:
    """What happens in a performance.

    :param happens: changes the history, or raises.
    :param exited: how QEMU ended by itself.
    :param moved_by: what moves a machine that hangs.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.happens: Callable[[History], object] = lambda _: None
        self.exited: int | None = None
        self.moved_by: str | None = None
        self.specs: list[QtestSpec] = []
        self.backtraces = 0
        bench = self

        class Race:
            def __init__(self, machine: Machine, schedule: Schedule) -> None:
                assert machine and schedule.steps == RACE.steps
                self.history = History()

            def run(self) -> None:
                bench.happens(self.history)

            def everything_ended(self) -> bool:
                return False

        monkeypatch.setattr(module, "Race", Race)
        monkeypatch.setattr(module, "start_machine", self._start)
        monkeypatch.setattr("lab.virtio.tmf.watchdog.save_facts", lambda *_: None)
        monkeypatch.setattr("lab.virtio.tmf.watchdog.nudged", lambda *_: self.moved_by)
        monkeypatch.setattr("lab.virtio.tmf.watchdog.save_backtrace", self._save_backtrace)

    @contextmanager
    def _start(self, spec: QtestSpec, folder: Path) -> Iterator[Machine]:
        self.specs.append(spec)
        yield Machine(folder, self.exited)

    def _save_backtrace(self, _: object) -> None:
        self.backtraces += 1


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a performance in which nothing goes wrong, to be changed."""
    return Bench(monkeypatch)


def hang(history: History) -> None:
    """Let nothing go on."""
    history.stall, history.waiting_for = Stall.ASLEEP, "everything to end"


def test_the_machine_is_that_of_the_schedule(bench: Bench) -> None:
    """Its mapping, its queues and its disks, with throttle groups to change."""
    result = attempt(Path("/qemu"), RACE, evidence=None)
    (spec,) = bench.specs
    assert spec == spec_from_schedule(Path("/qemu"), RACE)
    assert (spec.iothreads, spec.controller, spec.num_queues) == (RACE.iothreads, RACE.controller, 4)
    assert spec.backing is Backing.NULL and spec.throttle_groups
    assert result.command_line == "qemu-system-x86_64 -nodefaults" and result.schedule == RACE


def test_nothing_wrong_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    """No fault, no folder; what QEMU refused is told."""
    bench.happens = lambda history: history.refused.append("stop: no")
    result = attempt(Path("/qemu"), RACE, evidence=tmp_path / "kept")
    assert not result.judgement.faults and not result.judgement.undecided and result.refused == ("stop: no",)
    assert result.evidence is None and not (tmp_path / "kept").exists()


def test_a_fault_has_its_story(bench: Bench, tmp_path: Path) -> None:
    """Schedule, faults, and the logs of the machine; without a folder for evidence there is none."""
    bench.happens = lambda history: setattr(history, "strays", 2)
    result = attempt(Path("/qemu"), RACE, evidence=tmp_path / "kept")
    assert result.evidence == tmp_path / "kept"
    story = json.loads((tmp_path / "kept" / "race.json").read_text())
    assert story["schedule"]["seed"] == 5 and "twice" in story["faults"][0]
    assert (tmp_path / "kept" / "qemu.log").exists()
    assert attempt(Path("/qemu"), RACE, evidence=None).evidence is None


def test_a_qemu_that_ended_is_a_crash(bench: Bench) -> None:
    """Seen in the middle or only at the end, and told with its last words."""

    def gone(_: History) -> None:
        raise StageError("the connection was lost")

    bench.exited = -6
    for bench.happens in (gone, lambda _: None):
        (fault,) = attempt(Path("/qemu"), RACE, evidence=None).judgement.faults
        assert fault.kind is FaultKind.CRASH and "assertion failed" in fault.text


def test_a_device_that_breaks_a_rule_is_a_fault(bench: Bench) -> None:
    """Although the race could not go on: it is the device that ended it."""

    def breaks(_: History) -> None:
        raise DeviceError("the device's status is not 0 after a reset")

    bench.happens = breaks
    judgement = attempt(Path("/qemu"), RACE, evidence=None).judgement
    assert [fault.kind for fault in judgement.faults] == [FaultKind.BROKEN] and not judgement.undecided


def test_trouble_of_the_lab_is_no_fault(bench: Bench, tmp_path: Path) -> None:
    """The race says nothing, and the evidence says why."""

    def trouble(_: History) -> None:
        raise StageError("LUN 0:0 is not ready")

    bench.happens = trouble
    result = attempt(Path("/qemu"), RACE, evidence=tmp_path / "kept")
    assert not result.judgement.faults and "LUN 0:0 is not ready" in result.judgement.undecided
    assert "LUN 0:0" in json.loads((tmp_path / "kept" / "race.json").read_text())["undecided"]


@pytest.mark.parametrize(
    ("moved_by", "asked", "backtraces"),
    [(None, True, 1), (None, False, 0), (NEW_CONNECTION, True, 0)],
)
def test_a_hang_is_looked_into(bench: Bench, moved_by: str | None, asked: bool, backtraces: int) -> None:
    """A backtrace only where it is asked for, and not where the disk's client was at fault."""
    bench.happens, bench.moved_by = hang, moved_by
    judgement = attempt(Path("/qemu"), RACE, evidence=None, backtrace=asked).judgement
    assert bench.backtraces == backtraces and len(judgement.faults) == 1 and not judgement.undecided


@pytest.mark.parametrize(
    ("backing", "kind"),
    [(Backing.HELD, FaultKind.NBD_CLIENT), (Backing.NULL, FaultKind.HANG), (Backing.FILE, FaultKind.HANG)],
)
def test_the_disks_client_is_at_fault_where_there_is_one(bench: Bench, backing: Backing, kind: FaultKind) -> None:
    """Hanging up on nobody is only time that passes."""
    bench.happens, bench.moved_by = hang, NEW_CONNECTION
    (fault,) = attempt(Path("/qemu"), replace(RACE, backing=backing), evidence=None).judgement.faults
    assert fault.kind is kind


def test_a_qemu_that_does_not_start_is_no_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error goes to whoever asked."""

    def start(*_: object) -> None:
        raise BootError("no such device")

    monkeypatch.setattr(module, "start_machine", start)
    with pytest.raises(BootError, match="no such device"):
        attempt(Path("/qemu"), RACE, evidence=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
