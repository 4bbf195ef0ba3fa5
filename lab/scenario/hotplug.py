"""Disks, controllers and IOThreads that come and go while another disk is loaded.

Events: ``DEVICE_DELETED`` and ``DEVICE_UNPLUG_GUEST_ERROR`` (qapi/qdev.json). A scsi-hd is unplugged at once; a PCI
device when the guest agrees, so an unplug may be refused, and the event of it may never come.
"""

from __future__ import annotations

from lab.errors import DeadlineError, StageError
from lab.machine.command_line import devices_from_controller, object_from_iothread
from lab.machine.guest import mapping_difference
from lab.machine.mapping import Device, IOThreadMapping, iothreads_named
from lab.machine.spec import Controller, Disk, IOThread, NullBackend
from lab.scenario.stage import STEP_S, ScenarioError, Stage

_ENDING_S = 2.0
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

    QEMU 10.0.13 does not. What comes of it is shown, too: an IOThread of that name is added again and the controller
    unplugged, which looks the IOThread up by its name (docs/findings/0003-iothread-that-is-replaced-while-in-use.md).
    """
    used = _serving(stage.controller)
    stage.disturb(f"object-del {used}")
    if stage.refuses("object-del", {"id": used}):
        return
    said = f"QEMU deleted {used} while it serves {stage.controller.id}: an IOThread in use must be kept"
    try:
        stage.qmp("object-add", object_from_iothread(IOThread(used)))
        stage.disturb(f"unplug {stage.controller.id}")
        _unplug(stage, stage.controller.id)
        stage.qmp("query-status")
    except StageError as err:
        ended = stage.guest.process.ended_within(_ENDING_S) is not None
        stage.guest_ended = ended
        what = "QEMU aborted" if ended else "this happened"
        why = _last_line(stage.guest.process.output_tail()) if ended else err.message
        raise ScenarioError(
            f"{said}; and then, with a new one of that name and {stage.controller.id} unplugged, {what}: {why}",
            evidence=stage.guest.process.log,
        ) from err
    raise ScenarioError(f"{said}; this time a new one of that name and the unplugged controller did no harm")


def _serving(controller: Controller) -> str:
    """Return an IOThread that serves a controller.

    :raise ScenarioError: none does.
    """
    names = iothreads_named(controller.mapping, controller.iothread)
    if not names:
        raise ScenarioError(f"no IOThread serves {controller.id}, so none can be deleted while in use")
    return next(iter(names))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it printed nothing"])[-1]


def _plug_controller(stage: Stage, model: Device, number: int) -> None:
    names = tuple(f"hot{number}-iothread{index}" for index in range(2))
    node = f"hot-disk{number}"
    for name in names:
        stage.qmp("object-add", object_from_iothread(IOThread(name)))
    stage.qmp("blockdev-add", {**_NULL, "node-name": node})
    for again, order in ((False, names), (True, names[::-1])):  # the same id with another mapping
        mapping = IOThreadMapping.round_robin(order)
        controller = Controller(f"hot{number}", model, _HOT_QUEUES, (Disk(node, NullBackend()),), mapping)
        _plug_and_unplug(stage, controller, again=again)
    stage.qmp("blockdev-del", {"node-name": node})
    for thread in names:
        stage.qmp("object-del", {"id": thread})


def _plug_and_unplug(stage: Stage, controller: Controller, *, again: bool) -> None:
    """Plug a controller with its disk, prove its mapping, read the disk, and unplug both."""
    model = controller.model.value
    named = "again" if again else model
    before = stage.disks()
    stage.disturb(f"plug {named}")
    for device in devices_from_controller(controller):
        stage.qmp("device_add", device)
    difference = mapping_difference(stage.guest, controller)
    if difference is not None:
        raise ScenarioError(f"the plugged {model} does not have the mapping it was given: {difference}")
    name = stage.new_disk(before)
    stage.read_disk(name)
    stage.disturb(f"unplug {named}")
    if controller.model is Device.VIRTIO_SCSI and not again:  # the second time the disk goes with its controller
        _unplug(stage, f"{controller.disks[0].id}-dev")
    _unplug(stage, controller.id)
    stage.gone_disk(name)


def _unplug(stage: Stage, device: str) -> None:
    """Unplug a device and wait until QEMU has deleted it.

    :raise ScenarioError: the guest refuses, or nothing comes of it although guest and QEMU answer.
    :raise StageError: one of them does not answer.
    """
    stage.qmp("device_del", {"id": device})
    try:
        event = stage.first_event(("DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR"), device=device)
    except DeadlineError as err:
        stage.guest.check_alive()
        stage.shell.run("true", timeout_s=STEP_S)
        stage.qmp("query-status")
        raise ScenarioError(f"{device} is not unplugged after {STEP_S:g} s, though guest and QEMU answer") from err
    if event != "DEVICE_DELETED":
        raise ScenarioError(f"the guest refuses to let {device} go ({event})")
