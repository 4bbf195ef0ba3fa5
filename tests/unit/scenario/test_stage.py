"""What a scenario may do, and what it is told when it goes wrong."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import CrashError, DeadlineError, GuestError, MonitorError, RefusedError, StageError, WorkloadError
from lab.machine.mapping import Device
from lab.scenario.stage import ScenarioError, Stage
from lab.testing import Answer, FakeShell
from tests.unit.scenario.staged import staged
from tests.unit.scenario.test_load import ENDED

REFUSED = RefusedError("QEMU refused a command: no such node")
GONE = MonitorError("the QMP connection failed while waiting for the answer")


def test_a_refusal_is_a_finding_and_a_lost_connection_is_not(tmp_path: Path) -> None:
    """QEMU's own words are kept."""
    stage = staged(tmp_path, qmp={"stop": REFUSED, "cont": GONE})
    with pytest.raises(ScenarioError, match=r"stop: .*no such node"):
        stage.qmp("stop")
    with pytest.raises(MonitorError, match="connection failed"):
        stage.qmp("cont")


def test_what_must_be_refused_is_told_from_what_was_accepted(tmp_path: Path) -> None:
    """A connection that broke is neither."""
    stage = staged(tmp_path, qmp={"stop": REFUSED, "cont": {}, "quit": GONE})
    assert stage.refuses("stop", {}) and not stage.refuses("cont", {})
    with pytest.raises(MonitorError):
        stage.refuses("quit", {})


def test_a_disturbance_is_marked_on_the_guest_s_clock(tmp_path: Path) -> None:
    """After the load had time to be steady."""
    stage = staged(tmp_path)
    stage.disturb("mirror")
    stage.begin_clock()
    stage.disturb("pivot")
    assert [(mark.name, mark.at_s) for mark in stage.marks] == [("mirror", 1001.3), ("pivot", 1002.6)]
    assert stage.clock is None and stage.rested_s == 2.6
    stage.mark_after("switch-over", 0.4)
    assert stage.marks[-1].name == "switch-over" and stage.marks[-1].at_s == pytest.approx(1003.0)


def test_the_guest_s_clock_is_held_against_the_host_s_before_anything_is_disturbed(tmp_path: Path) -> None:
    """A guest that is stopped has no time, so later readings would not tell."""
    stage = staged(tmp_path)
    stage.begin_clock()
    stage.disturb("stop")
    assert stage.clock is not None and stage.clock.rate == pytest.approx(1.0)


def test_the_first_of_several_events_is_taken(tmp_path: Path) -> None:
    """Those of other devices are left for others; none is a deadline."""
    events: dict[str, list[dict[str, object]]] = {"B": [{"device": "x"}, {"device": "d"}], "A": [{"device": "x"}]}
    stage = staged(tmp_path, events=events)
    assert stage.first_event(("A", "B"), device="d") == "B"
    with pytest.raises(DeadlineError, match="A or B"):
        stage.first_event(("A", "B"), device="d")


def test_a_load_that_ended_by_itself_ends_the_scenario(tmp_path: Path) -> None:
    """fio ends where data is wrong."""
    shell = {**ENDED, "test ! -e /tmp/lab/load.status": (1, "", ""), "cat /tmp/lab/load.status": "1\n"}
    with pytest.raises(WorkloadError, match="a request failed"):
        staged(tmp_path, shell=shell).settle()


def test_a_qemu_that_ended_is_a_crash(tmp_path: Path) -> None:
    """Whatever was being waited for."""
    with pytest.raises(CrashError):
        staged(tmp_path, exited=-6).settle()


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (lambda stage: stage.new_disk(frozenset({"sda"})), "did not appear"),
        (lambda stage: stage.gone_disk("sda"), "did not go away"),
        (lambda stage: stage.wait_disk_size(1 << 20), "does not see the new size"),
        (lambda stage: stage.read_disk("sda"), "cannot be read"),
    ],
)
def test_what_does_not_happen_in_the_guest_is_a_finding(
    tmp_path: Path, wait: Callable[[Stage], object], said: str
) -> None:
    """Each with its sentence; the guest answers all the while."""
    answers: dict[str, Answer] = {
        "ls /sys/block": "sda\n",
        "cat /sys/block/sda/size": "1\n",
        "dd if=": (1, "", "I/O error"),
    }
    with pytest.raises(ScenarioError, match=said):
        wait(staged(tmp_path, shell=answers))


def test_a_guest_that_falls_silent_meanwhile_is_not_blamed(tmp_path: Path) -> None:
    """It may have had no time to see its disk."""
    stage = staged(tmp_path, shell={"ls /sys/block": "sda\n", "true": GuestError("silent")})
    with pytest.raises(GuestError, match="silent"):
        stage.new_disk(frozenset({"sda"}))


def test_a_disk_that_comes_and_one_that_goes_are_seen(tmp_path: Path) -> None:
    """By name."""
    stage = staged(tmp_path, shell={"ls /sys/block": "sda\nsdb\n", "cat /sys/block/sda/size": "2048\n"})
    assert stage.new_disk(frozenset({"sda"})) == "sdb"
    stage.gone_disk("sdc")
    stage.wait_disk_size(1 << 20)


def test_a_guest_finds_out_about_its_disk_by_itself(tmp_path: Path) -> None:
    """One that is asked to look sees a new size without the event that it is owed."""
    shell = FakeShell({"size": "2048\n", "taskset": ""})
    stage = staged(tmp_path)
    stage.guest = replace(stage.guest, shell=shell)
    stage.wait_disk_size(1 << 20)
    assert shell.commands == ["cat /sys/block/sda/size"]


def test_a_disk_is_read_on_every_vcpu(tmp_path: Path) -> None:
    """Linux gives each its queue."""
    shell = FakeShell({"taskset": ""})
    stage = staged(tmp_path)
    stage.guest = replace(stage.guest, shell=shell)
    stage.read_disk("sdb")
    assert re.findall(r"taskset (\d+) dd if=(\S+)", shell.commands[0]) == [("1", "/dev/sdb"), ("2", "/dev/sdb")]


def test_the_device_of_a_disk_is_qemu_s(tmp_path: Path) -> None:
    """A virtio-blk device is its own disk."""
    assert staged(tmp_path).disk_device == "disk0-dev"
    assert staged(tmp_path, device=Device.VIRTIO_BLK).disk_device == "ctl0"


def test_a_block_job_that_fails_is_a_finding(tmp_path: Path) -> None:
    """Its error is told; one that never ends is a deadline."""
    events: dict[str, list[dict[str, object]]] = {"BLOCK_JOB_COMPLETED": [{"device": "j", "error": "No space"}]}
    with pytest.raises(ScenarioError, match="No space"):
        staged(tmp_path, events=events).end_block_job("j")
    with pytest.raises(DeadlineError):
        staged(tmp_path).end_block_job("j")


def test_a_job_that_pivots_is_told_to_when_it_is_ready(tmp_path: Path) -> None:
    """And that moment is a disturbance of its own."""
    events: dict[str, list[dict[str, object]]] = {
        "BLOCK_JOB_READY": [{"device": "j"}],
        "BLOCK_JOB_COMPLETED": [{"device": "other"}, {"device": "j"}],
    }
    stage = staged(tmp_path, qmp={"job-complete": {}}, events=events)
    stage.end_block_job("j", pivot=True)
    assert [mark.name for mark in stage.marks] == ["job-complete"]


def test_a_scenario_error_is_an_error_of_a_stage() -> None:
    """So that a run of an experiment can turn it into an outcome."""
    assert issubclass(ScenarioError, StageError)


def test_a_job_that_ends_before_it_is_ready_is_a_finding(tmp_path: Path) -> None:
    """Whoever waits for it to be ready would wait for ever."""
    events: dict[str, list[dict[str, object]]] = {"BLOCK_JOB_COMPLETED": [{"device": "j", "error": "Is too small"}]}
    with pytest.raises(ScenarioError, match="j ended before it was ready"):
        staged(tmp_path, events=events).end_block_job("j", pivot=True)
