"""Steps that are QMP commands: a step to the commands, and what is remembered between them."""

from __future__ import annotations

import json
from pathlib import Path

from lab.virtio.backing import copy_name
from lab.virtio.qtest_machine import CONTROLLER_ID, LogicalUnit
from lab.virtio.race.schedule import Action, Step
from lab.virtio.virtio_scsi import Lun

THROTTLE_GROUPS = ("slow", "other")

QmpCommand = tuple[str, dict[str, object]]


class Operations:
    """Which node is on top of each disk, which group it is throttled in, what jobs and files are called.

    :param units: disks by number.
    :param iothreads: ids by number.
    :param folder: for snapshots.
    """

    def __init__(self, units: tuple[LogicalUnit, ...], iothreads: tuple[str, ...], folder: Path) -> None:
        self._units = units
        self._iothreads = iothreads
        self._folder = folder
        self._top = {unit: unit.name for unit in units}
        self._group = dict.fromkeys(units, THROTTLE_GROUPS[0])
        self._snapshots = 0

    def commands(self, step: Step) -> tuple[QmpCommand, ...]:
        """Return the QMP commands of a step, in order; none for a step that is something else."""
        unit = self._units[step.unit % len(self._units)]
        thread = self._iothreads[step.queue % len(self._iothreads)] if self._iothreads else "t0"
        simple: dict[Action, tuple[QmpCommand, ...]] = {
            Action.UNPLUG_DISK: (("device_del", {"id": unit.device_id}),),
            Action.PLUG_DISK: (("device_add", unit.device_json() | {"drive": self._top[unit]}),),
            Action.STOP: (("stop", {}),),
            Action.CONT: (("cont", {}),),
            Action.SYSTEM_RESET: (("system_reset", {}),),
            Action.MIRROR_END: (("block-job-complete", {"device": _job(unit)}),),
            Action.MIRROR_CANCEL: (("block-job-cancel", {"device": _job(unit)}),),
            Action.THROTTLE: (throttle_limit(step.count),),
            Action.IOTHREAD_DEL: (("object-del", {"id": thread}),),
            Action.IOTHREAD_ADD: (("object-add", {"qom-type": "iothread", "id": thread}),),
            Action.CONTROLLER_DEL: (("device_del", {"id": CONTROLLER_ID}), ("system_reset", {})),
        }
        made = {Action.MIRROR: self._mirror, Action.SNAPSHOT: self._snapshot, Action.REOPEN: self._reopen}
        return (made[step.action](unit),) if step.action in made else simple.get(step.action, ())

    def lun_of_export(self, export: str) -> Lun:
        """Return the disk that an export of the hold server is behind, as itself or as the copy."""
        return next(
            unit.lun for unit in self._units if export.removesuffix("-disk") in (unit.name, copy_name(unit.name))
        )

    def _mirror(self, unit: LogicalUnit) -> QmpCommand:
        where = {"device": self._top[unit], "target": copy_name(unit.name)}
        return "blockdev-mirror", {"job-id": _job(unit), "sync": "full", **where}

    def _snapshot(self, unit: LogicalUnit) -> QmpCommand:
        self._snapshots += 1
        name = f"{unit.name}-{self._snapshots}"
        file = {"snapshot-file": str(self._folder / f"{name}.qcow2"), "format": "qcow2"}
        below, self._top[unit] = self._top[unit], name
        return "blockdev-snapshot-sync", {"node-name": below, "snapshot-node-name": name, **file}

    def _reopen(self, unit: LogicalUnit) -> QmpCommand:
        group = next(name for name in THROTTLE_GROUPS if name != self._group[unit])
        self._group[unit] = group
        options = {"driver": "throttle", "node-name": unit.name, "throttle-group": group, "file": f"{unit.name}-disk"}
        return "blockdev-reopen", {"options": [options]}


def throttle_limit(per_second: int) -> QmpCommand:
    """Return the command that limits the first throttle group, or lifts its limit with 0."""
    path = f"/objects/{THROTTLE_GROUPS[0]}"
    return "qom-set", {"path": path, "property": "limits", "value": {"iops-total": per_second}}


def text_of(command: QmpCommand) -> str:
    """Return a command as it is shown."""
    name, arguments = command
    return f"{name} {json.dumps(arguments)}" if arguments else name


def _job(unit: LogicalUnit) -> str:
    return f"mirror-{unit.name}"
