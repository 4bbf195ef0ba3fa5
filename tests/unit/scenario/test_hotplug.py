"""Hotplug, against a QEMU and a guest that answer from tables."""

from pathlib import Path

import pytest

from lab.errors import CrashError, MonitorError
from lab.scenario.hotplug import delete_iothread_in_use, plug_disk, plug_scsi_controller
from lab.scenario.stage import ScenarioError, Stage
from tests.unit.scenario.staged import executed, staged

OK: dict[str, object] = {
    name: {} for name in ("blockdev-add", "device_add", "device_del", "blockdev-del", "object-add", "object-del")
}


class Blocks:
    """The guest's /sys/block: a disk is there from the second look on, and gone when the device is deleted."""

    def __init__(self) -> None:
        self.stage: Stage | None = None

    def __call__(self) -> str:
        """Return the names of the disks."""
        assert self.stage is not None
        done = executed(self.stage)
        return "sda\nsdb\n" if done.count("device_add") > done.count("device_del") else "sda\n"


def test_a_disk_comes_is_read_and_goes(tmp_path: Path) -> None:
    """Its node goes last, and both moments are marked."""
    blocks = Blocks()
    stage = staged(
        tmp_path,
        qmp=OK,
        events={"DEVICE_DELETED": [{"device": "hot-disk0-dev"}]},
        shell={"ls /sys/block": blocks, "dd if=/dev/sdb": ""},
    )
    blocks.stage = stage
    plug_disk(stage, 0)
    assert executed(stage) == ["blockdev-add", "device_add", "device_del", "blockdev-del"]
    assert [mark.name for mark in stage.marks] == ["plug scsi-hd", "unplug scsi-hd"]


def test_an_unplug_that_never_ends_is_a_finding_where_qemu_answers(tmp_path: Path) -> None:
    """The event is what it waits for, never a guess."""
    blocks = Blocks()
    stage = staged(tmp_path, qmp={**OK, "query-status": {}}, shell={"ls /sys/block": blocks, "dd if=/dev/sdb": ""})
    blocks.stage = stage
    with pytest.raises(ScenarioError, match="DEVICE_DELETED of hot-disk0-dev did not come"):
        plug_disk(stage, 0)


def test_a_mapping_that_was_dropped_is_a_finding(tmp_path: Path) -> None:
    """QMP device_add did so until 2024: the command is accepted, and the property is not there."""
    stage = staged(tmp_path, qmp={**OK, "qom-get": []}, shell={"ls /sys/block": "sda\n"})
    with pytest.raises(ScenarioError, match="does not have the mapping it was given"):
        plug_scsi_controller(stage, 0)


def test_an_iothread_in_use_must_be_kept(tmp_path: Path) -> None:
    """A QEMU that deletes it has failed; one that refuses has passed; one that dies has crashed."""
    delete_iothread_in_use(staged(tmp_path, qmp={"object-del": MonitorError("QEMU refused a command: in use")}), 0)
    with pytest.raises(ScenarioError, match="QEMU deleted iothread0"):
        delete_iothread_in_use(staged(tmp_path, qmp=OK), 0)
    with pytest.raises(CrashError):
        delete_iothread_in_use(staged(tmp_path, qmp=OK, exited=-6), 0)
