"""Hotplug, against a QEMU and a guest that answer from tables."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import CrashError, MonitorError, RefusedError
from lab.scenario import hotplug as module
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
    with pytest.raises(ScenarioError, match="hot-disk0-dev is not unplugged after 60 s, though guest and QEMU answer"):
        plug_disk(stage, 0)


def test_a_guest_that_refuses_an_unplug_is_told(tmp_path: Path) -> None:
    """The other event is waited for, too."""
    blocks = Blocks()
    refused: dict[str, list[dict[str, object]]] = {"DEVICE_UNPLUG_GUEST_ERROR": [{"device": "hot-disk0-dev"}]}
    stage = staged(tmp_path, qmp=OK, events=refused, shell={"ls /sys/block": blocks, "dd if=/dev/sdb": ""})
    blocks.stage = stage
    with pytest.raises(ScenarioError, match="the guest refuses to let hot-disk0-dev go"):
        plug_disk(stage, 0)


def test_a_controller_is_plugged_again_by_the_same_name_with_another_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read back the second time is not what the first one left."""
    asked: list[object] = []
    monkeypatch.setattr(module, "mapping_difference", lambda _guest, controller: asked.append(controller.mapping))
    gone: list[dict[str, object]] = [{"device": "hot0"}, {"device": "hot-disk0-dev"}, {"device": "hot0"}]
    stage = staged(tmp_path, qmp=OK, events={"DEVICE_DELETED": gone}, shell={"dd if=/dev/sdb": ""})
    monkeypatch.setattr(stage, "new_disk", lambda _before: "sdb")
    monkeypatch.setattr(stage, "gone_disk", lambda _name: None)
    monkeypatch.setattr(stage, "disks", frozenset)
    plug_scsi_controller(stage, 0)
    first, second = asked
    assert first != second and executed(stage).count("device_del") == 3
    named = ["plug virtio-scsi-pci", "unplug virtio-scsi-pci", "plug again", "unplug again"]
    assert [mark.name for mark in stage.marks] == named


def test_a_mapping_that_was_dropped_is_a_finding(tmp_path: Path) -> None:
    """QMP device_add did so until 2024: the command is accepted, and the property is not there."""
    stage = staged(tmp_path, qmp={**OK, "qom-get": []}, shell={"ls /sys/block": "sda\n"})
    with pytest.raises(ScenarioError, match="does not have the mapping it was given"):
        plug_scsi_controller(stage, 0)


def test_an_iothread_in_use_must_be_kept(tmp_path: Path) -> None:
    """A QEMU that deletes it has failed; one that refuses has passed; one that dies has crashed."""
    delete_iothread_in_use(staged(tmp_path, qmp={"object-del": RefusedError("QEMU refused a command: in use")}), 0)
    gone: dict[str, list[dict[str, object]]] = {"DEVICE_DELETED": [{"device": "ctl0"}]}
    with pytest.raises(ScenarioError, match=r"QEMU deleted iothread0 .* did no harm"):
        delete_iothread_in_use(staged(tmp_path, qmp={**OK, "query-status": {}}, events=gone), 0)
    with pytest.raises(CrashError):
        delete_iothread_in_use(staged(tmp_path, qmp=OK, exited=-6), 0)


def test_what_comes_of_an_iothread_that_was_let_go_is_evidence(tmp_path: Path) -> None:
    """QEMU's last words are in the sentence; nobody asks the guest any more."""
    stage = staged(tmp_path, qmp={**OK, "device_del": MonitorError("the QMP connection failed")})
    settle = stage.settle

    def settle_then_abort(seconds: float = 0.0) -> None:
        settle(seconds)
        if executed(stage)[-1:] == ["object-add"]:
            (tmp_path / "qemu.log").write_text("Bail out! object_finalize: assertion failed\n")
            stage.guest.process.exited = -6  # type: ignore[attr-defined]

    stage.settle = settle_then_abort  # type: ignore[method-assign]
    with pytest.raises(ScenarioError, match=r"QEMU aborted: Bail out! object_finalize"):
        delete_iothread_in_use(stage, 0)
    assert stage.guest_ended


def test_a_disk_without_an_iothread_has_none_to_delete(tmp_path: Path) -> None:
    """Then there is nothing to ask."""
    stage = staged(tmp_path)
    (controller,) = stage.guest.spec.controllers
    stage.guest = replace(stage.guest, spec=replace(stage.guest.spec, controllers=(replace(controller, mapping=None),)))
    with pytest.raises(ScenarioError, match="no IOThread serves ctl0"):
        delete_iothread_in_use(stage, 0)
