"""Disks, controllers and IOThreads that come and go while another disk is loaded.

Events: ``DEVICE_DELETED`` and ``DEVICE_UNPLUG_GUEST_ERROR`` (qapi/qdev.json). A scsi-hd is unplugged at once; a PCI
device when the guest agrees, so an unplug may be refused, and the event of it may never come.
"""

from __future__ import annotations

from lab.errors import DeadlineError
from lab.machine.command_line import devices_from_controller, object_from_iothread
from lab.machine.guest import mapping_difference
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.spec import Controller, Disk, IOThread, NullBackend
from lab.scenario.stage import STEP_S, ScenarioError, Stage

_HOT_LUN = 5
_HOT_QUEUES = 2
_NULL = {"driver": "null-co", "size": 64 << 20, "read-zeroes": True}


def plug_disk(stage: Stage, number: int) -> None:
    """Plug a scsi-hd into the loaded controller, read it, and unplug it."""
    node = f"hot-disk{number}"
    stage.qmp("blockdev-add", {**_NULL, "node-name": node})
    before = stage.disks()
    device = {"driver": "scsi-hd", "id": f"{node}-dev", "bus": f"{stage.controller.id}.0", "drive": node}
    stage.disturb("plug scsi-hd")
    stage.qmp("device_add", {**device, "lun": _HOT_LUN})
    name = stage.new_disk(before)
    stage.read_disk(name)
    stage.disturb("unplug scsi-hd")
    _unplug(stage, f"{node}-dev")
    stage.gone_disk(name)
    stage.qmp("blockdev-del", {"node-name": node})


def plug_scsi_controller(stage: Stage, number: int) -> None:
    """Plug IOThreads and a virtio-scsi controller with a mapping over them and a disk; unplug all of it."""
    _plug_controller(stage, Device.VIRTIO_SCSI, number)


def plug_blk(stage: Stage, number: int) -> None:
    """Plug IOThreads and a virtio-blk disk with a mapping over them; unplug all of it."""
    _plug_controller(stage, Device.VIRTIO_BLK, number)


def delete_iothread_in_use(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """Ask QEMU to delete an IOThread that serves the loaded disk: it must refuse.

    QEMU up to 10.2 does not; adding an IOThread of that name again and unplugging the device then aborts it.
    """
    used = stage.guest.spec.iothreads[0].id
    stage.disturb(f"object-del {used}")
    if not stage.refuses("object-del", {"id": used}):
        raise ScenarioError(
            f"QEMU deleted {used} while it serves {stage.controller.id}: an IOThread in use must be kept, or unplugging"
            " the device later uses what is gone"
        )


def _plug_controller(stage: Stage, model: Device, number: int) -> None:
    names = tuple(f"hot{number}-iothread{index}" for index in range(2))
    node = f"hot-disk{number}"
    mapping = IOThreadMapping.round_robin(names)
    controller = Controller(f"hot{number}", model, _HOT_QUEUES, (Disk(node, NullBackend()),), mapping)
    for name in names:
        stage.qmp("object-add", object_from_iothread(IOThread(name)))
    stage.qmp("blockdev-add", {**_NULL, "node-name": node})
    before = stage.disks()
    stage.disturb(f"plug {model.value}")
    for device in devices_from_controller(controller):
        stage.qmp("device_add", device)
    difference = mapping_difference(stage.guest, controller)
    if difference is not None:
        raise ScenarioError(f"the plugged {model.value} does not have the mapping it was given: {difference}")
    name = stage.new_disk(before)
    stage.read_disk(name)
    stage.disturb(f"unplug {model.value}")
    if model is Device.VIRTIO_SCSI and number % 2 == 0:  # every other time the disk goes with its controller
        _unplug(stage, f"{node}-dev")
    _unplug(stage, controller.id)
    stage.gone_disk(name)
    stage.qmp("blockdev-del", {"node-name": node})
    for thread in names:
        stage.qmp("object-del", {"id": thread})


def _unplug(stage: Stage, device: str) -> None:
    """Unplug a device and wait until QEMU has deleted it.

    :raise ScenarioError: the guest refuses, or the event does not come.
    :raise StageError: QEMU does not answer.
    """
    stage.qmp("device_del", {"id": device})
    try:
        stage.event("DEVICE_DELETED", device=device)
    except DeadlineError as err:
        stage.guest.check_alive()
        stage.qmp("query-status")
        raise ScenarioError(f"DEVICE_DELETED of {device} did not come in {STEP_S:g} s, though QEMU answers") from err
