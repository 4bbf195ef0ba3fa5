import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import DeadlineError
from lab.testing import FakeClock, FakeMonitor
from lab.virtio.backing import Backing
from lab.virtio.hold_server import BlockRequest, block_pattern
from lab.virtio.qtest_machine import QtestMachine, QtestSpec
from lab.virtio.race.history import History
from lab.virtio.race.judge import FaultKind, judge_race
from lab.virtio.race.perform import Race
from lab.virtio.race.schedule import Action, Schedule, Step
from lab.virtio.tmf.plan import UNITS
from lab.virtio.virtio_scsi import Tmf
from tests.unit.virtio.tmf.model import Model, Task
from tests.unit.virtio.tmf.test_perform import Asleep


@dataclass(frozen=True)
class Answered:
    """A QMP command that was answered, or never is."""

    finished: bool = True
    error: str = ""


class Late:
    """A QMP command that is answered when it was asked about for a few seconds."""

    error = ""

    def __init__(self) -> None:
        self._asked = itertools.count()

    @property
    def finished(self) -> bool:
        """Whether it was answered."""
        return next(self._asked) > 10_000


class RaceModel(Model):
    """The model as a machine of races: it remembers what QMP was told.

    :param silent: the QMP command that is never answered.
    :param late: the one that is answered late.
    """

    def __init__(self, folder: Path, fault: str = "", silent: str = "", late: str = "") -> None:
        super().__init__(folder, fault=fault)
        self.folder = folder
        self.spec = QtestSpec(Path("qemu"), UNITS)
        self.qtest = self
        self.told: list[str] = []
        self.clock_steps = 0
        self._silent = silent
        self._late = late
        plugged = [{"name": unit.device_id} for unit in UNITS]
        self.monitor = FakeMonitor({"qom-list": plugged})

    def start_command(self, command: str, arguments: Mapping[str, object], *, timeout_s: float) -> Any:
        """Take a QMP command."""
        self.told.append(command)
        if command == "device_del":
            return Answered(error="refused")
        if command == self._late:
            return Late()
        return Answered(finished=command != self._silent)

    def release(self, request: BlockRequest, *, error: int = 0) -> None:
        """Answer one request, or fail it."""
        if not error:
            super().release(request)
            return
        task = self._numbers.pop(request.number)
        self.tasks.remove(task)
        self._end(task, status=2, sense=bytes((0x72, 0xB, 0, 6, 0, 0, 0, 0)))

    def _end(self, task: Task, *, status: int = 0, sense: bytes = b"") -> None:
        if self.fault == "reads nothing":
            task.writable = task.writable[:1]
        super()._end(task, status=status, sense=sense)
        if self.fault == "reports a reset for ever" and sense and len(self.told):
            self.attentions.add(task.lun)

    def post_clock_step(self, step_ns: int) -> None:
        """Move the clock on."""
        self.clock_steps += 1


def performed(model: RaceModel, *steps: Step, backing: Backing = Backing.HELD) -> History:
    """Perform these steps on a model, on a fake clock."""
    schedule = Schedule(1, "2", ("t0", "t1"), {}, 4, backing, steps)
    race = Race(cast("QtestMachine", model), schedule, process=Asleep(), make_deadline=FakeClock().deadline)
    race.run()
    return race.history


HELD_READS = (Step(Action.HOLD), Step(Action.READ, queue=1, count=3), Step(Action.READ, unit=1, queue=2))


def ends(history: History) -> list[str]:
    """Return how the READs ended."""
    return [command.end for command in history.commands if command.name == "READ"]


def test_commands_end_when_the_disks_let_go(tmp_path: Path) -> None:
    """Some before the end, the rest at the end, all with their data; afterwards each queue is tried."""
    history = performed(RaceModel(tmp_path), *HELD_READS, Step(Action.RELEASE, count=2))
    assert ends(history) == ["OK"] * 4 and not judge_race(history).faults
    assert sum(command.name == "TEST UNIT READY" for command in history.commands) == 4 * len(UNITS)


@pytest.mark.parametrize(
    ("subtype", "expected"),
    [(Tmf.ABORT_TASK_SET, ["ABORTED"] * 3 + ["OK"]), (Tmf.LOGICAL_UNIT_RESET, ["RESET"] * 3 + ["OK"])],
)
def test_functions_meet_commands(tmp_path: Path, subtype: Tmf, expected: list[str]) -> None:
    """On the disk they are sent to, and nothing is wrong with that."""
    history = performed(RaceModel(tmp_path), *HELD_READS, Step(Action.FUNCTION, function=subtype))
    assert ends(history) == expected and not judge_race(history).faults


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("never answers", FaultKind.HANG),
        ("aborts in a reset", FaultKind.WRONG_END),
        ("answers early", FaultKind.LATE_END),
    ],
)
def test_faults_are_seen(tmp_path: Path, fault: str, kind: FaultKind) -> None:
    """What the device does wrong is a fault of the race."""
    steps = (*HELD_READS, Step(Action.FUNCTION, function=Tmf.LOGICAL_UNIT_RESET), Step(Action.KICK, pause_us=100))
    assert kind in {item.kind for item in judge_race(performed(RaceModel(tmp_path, fault), *steps)).faults}


@pytest.mark.parametrize("backing", [Backing.HELD, Backing.FILE])
def test_a_read_that_brings_nothing_is_seen(tmp_path: Path, backing: Backing) -> None:
    """Whatever the disks are."""
    assert not judge_race(performed(RaceModel(tmp_path), *HELD_READS, backing=backing)).faults
    faults = judge_race(performed(RaceModel(tmp_path, "reads nothing"), *HELD_READS, backing=backing)).faults
    assert {fault.kind for fault in faults} == {FaultKind.WRONG_DATA}


def test_files_are_filled(tmp_path: Path) -> None:
    """Before the race, so that a READ of another block is seen."""
    disk = tmp_path / "addressed-disk.raw"
    disk.write_bytes(bytes(1024))
    performed(RaceModel(tmp_path), backing=Backing.FILE)
    assert disk.read_bytes() == block_pattern(0) + block_pattern(1)


def test_requests_that_fail_are_counted(tmp_path: Path) -> None:
    """Each explains one error of its disk; one that nobody failed has no reason."""
    history = performed(RaceModel(tmp_path), *HELD_READS, Step(Action.FAIL, count=2))
    assert [item.lun for item in history.disturbances] == [UNITS[0].lun] * 2
    assert sum(end.startswith("CHECK_CONDITION ABORTED") for end in ends(history)) == 2
    assert not judge_race(history).faults
    history.disturbances.pop()
    assert [fault.kind for fault in judge_race(history).faults] == [FaultKind.WRONG_END]


def test_what_is_over_is_noted(tmp_path: Path) -> None:
    """A QMP command when it is answered, a reset when the driver is up again."""
    history = performed(RaceModel(tmp_path), Step(Action.UNPLUG_DISK), Step(Action.DEVICE_RESET), Step(Action.READ))
    unplugged, reset = history.disturbances
    assert unplugged.refused and unplugged.end_pass is not None
    assert reset.end_pass == reset.at_pass <= history.commands[0].sent_pass
    assert not reset.overlaps(history.commands[0])
    (unplugged,) = performed(RaceModel(tmp_path, silent="device_add"), Step(Action.PLUG_DISK)).disturbances
    assert unplugged.end_pass is None


def test_a_disk_that_is_never_ready_is_a_fault(tmp_path: Path) -> None:
    """It reports one reset for ever."""
    reset = Step(Action.FUNCTION, function=Tmf.LOGICAL_UNIT_RESET)
    history = performed(RaceModel(tmp_path, "reports a reset for ever"), Step(Action.CONT), reset)
    assert set(history.never_ready) == {UNITS[0].lun}
    assert {fault.kind for fault in judge_race(history).faults} == {FaultKind.WRONG_END}


@pytest.mark.parametrize(("first", "kinds"), [(Step(Action.KICK), {FaultKind.HANG}), (Step(Action.THROTTLE), set())])
def test_a_throttled_machine_may_sleep_for_seconds(tmp_path: Path, first: Step, kinds: set[FaultKind]) -> None:
    """Its disks wait for a timer, and nothing is wrong; any other machine hangs."""
    history = performed(RaceModel(tmp_path, late="stop"), first, Step(Action.STOP))
    assert {fault.kind for fault in judge_race(history).faults} == kinds


def test_load_is_kept_up(tmp_path: Path) -> None:
    """As many READs are in flight as asked for, until the end."""
    load = Step(Action.LOAD, queue=3, count=5)
    history = performed(RaceModel(tmp_path), Step(Action.HOLD), load, Step(Action.KICK), Step(Action.KICK))
    assert ends(history) == ["OK"] * 5


def test_a_silent_monitor_is_a_hang(tmp_path: Path) -> None:
    """The QMP command is named; what was refused is kept and is no fault."""
    history = performed(RaceModel(tmp_path, silent="stop"), Step(Action.UNPLUG_DISK), Step(Action.STOP))
    (fault,) = judge_race(history).faults
    assert fault.kind is FaultKind.HANG and "stop" in fault.text
    assert history.refused == ['device_del {"id": "disk-addressed"}: refused']


def test_what_holds_is_taken_away(tmp_path: Path) -> None:
    """A paused machine is continued, a throttled one is unthrottled and its clock moved on."""
    model = RaceModel(tmp_path)
    history = performed(model, Step(Action.STOP), Step(Action.THROTTLE, count=10), *[Step(Action.KICK)] * 60)
    assert model.told == ["stop", "qom-set", "qom-set", "cont", "query-status"]
    assert model.clock_steps and not judge_race(history).faults


def test_a_device_reset_drops_what_was_there(tmp_path: Path) -> None:
    """Nothing is owed any more, and READs that were notified before DRIVER_OK end once."""
    history = performed(RaceModel(tmp_path), *HELD_READS, Step(Action.EARLY_KICK, count=2))
    assert [command.end for command in history.commands if not command.dropped and command.name == "READ"][-1] == "OK"
    assert not judge_race(history).faults


def test_a_controller_that_is_gone_is_left_alone(tmp_path: Path) -> None:
    """Nothing is sent to it any more, and QMP has to answer."""
    model = RaceModel(tmp_path)
    history = performed(model, *HELD_READS, Step(Action.CONTROLLER_DEL), Step(Action.READ), Step(Action.SYSTEM_RESET))
    assert model.told == ["device_del", "system_reset", "query-status"]
    assert len(ends(history)) == 4 and all(command.dropped for command in history.commands)


@pytest.mark.parametrize(("looks", "kinds"), [(100, set()), (10**9, {FaultKind.HANG})])
def test_a_reset_that_comes_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: int, kinds: set[FaultKind]
) -> None:
    """What the machine had before it is owed no more, however late. A reset that never comes is a hang."""
    model, asked = RaceModel(tmp_path), itertools.count()

    def wait_event(name: str, *, timeout_s: float) -> None:
        if next(asked) < looks:
            raise DeadlineError(f"{name} did not come in {timeout_s} s")

    monkeypatch.setattr(model.monitor, "wait_event", wait_event)
    monkeypatch.setattr("lab.virtio.race.perform.find_virtio_device", lambda _: model.driver.device)
    history = performed(model, *HELD_READS, Step(Action.SYSTEM_RESET), Step(Action.RESTART_DRIVER))
    assert {fault.kind for fault in judge_race(history).faults} == kinds
