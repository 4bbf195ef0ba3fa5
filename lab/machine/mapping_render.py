"""A mapping in the forms people paste: a mapping and its device in, QEMU arguments, QMP commands or a table out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from lab.machine.mapping import MAIN_LOOP, PROPERTY, Device, IOThreadMapping, iothreads_named
from lab.machine.mapping_placement import Placement
from lab.machine.mapping_rules import MappedDevice
from lab.units import text_from_cpus

_HEAD = ("queue", "IOThread", "CPU")
_ANYWHERE = "any"


@dataclass(frozen=True)
class QueueRow:
    """One row of the table.

    :param queue: its name.
    :param iothread: who serves it; ``"main loop"`` where no IOThread does.
    :param cpus: where that thread may run, as the kernel writes it; ``"any"`` where nothing says so.
    """

    queue: str
    iothread: str
    cpus: str = _ANYWHERE

    def to_json(self) -> dict[str, str]:
        """Return the row as JSON."""
        return asdict(self)


def objects_from_mapping(mapping: IOThreadMapping | None, device: MappedDevice) -> list[dict[str, Any]]:
    """Return the arguments of ``-object`` or ``object-add`` for every IOThread that is needed."""
    return [{"qom-type": "iothread", "id": name} for name in iothreads_named(mapping, device.iothread)]


def device_from_mapping(
    mapping: IOThreadMapping | None, device: MappedDevice, device_id: str, drive: str
) -> dict[str, Any]:
    """Return the arguments of ``-device`` or ``device_add``; they need no others to be accepted.

    :param drive: node-name of a virtio-blk's block device; virtio-scsi has its disks as devices of their own.
    """
    arguments: dict[str, Any] = {"driver": device.model.value, "id": device_id}
    if device.model is Device.VIRTIO_BLK:
        arguments["drive"] = drive
    arguments[device.model.num_queues_property] = device.num_queues
    if not device.ioeventfd:
        arguments["ioeventfd"] = False
    if device.iothread is not None:
        arguments["iothread"] = device.iothread
    if mapping is not None:
        arguments[PROPERTY] = mapping.to_json()
    return arguments


def argv_from_mapping(
    mapping: IOThreadMapping | None, device: MappedDevice, device_id: str, drive: str
) -> tuple[str, ...]:
    """Return the ``-object`` and ``-device`` words of a QEMU command line, all in JSON."""
    words: list[str] = []
    for arguments in objects_from_mapping(mapping, device):
        words += ["-object", json.dumps(arguments)]
    return (*words, "-device", json.dumps(device_from_mapping(mapping, device, device_id, drive)))


def qmp_from_mapping(
    mapping: IOThreadMapping | None, device: MappedDevice, device_id: str, drive: str
) -> tuple[dict[str, Any], ...]:
    """Return the QMP commands that add the IOThreads and then the device to a running machine."""
    arguments = device_from_mapping(mapping, device, device_id, drive)
    return (
        *({"execute": "object-add", "arguments": options} for options in objects_from_mapping(mapping, device)),
        {"execute": "device_add", "arguments": arguments},
    )


def rows_from_queues(queues: dict[str, str], placement: Placement | None = None) -> tuple[QueueRow, ...]:
    """Return the table "queue, IOThread, CPU".

    :param queues: queue name to IOThread or ``"main loop"``, as a check gives them.
    """
    placed = placement.iothreads if placement is not None else {}
    return tuple(
        QueueRow(
            name, thread, text_from_cpus(placed[thread]) if thread != MAIN_LOOP and thread in placed else _ANYWHERE
        )
        for name, thread in queues.items()
    )


def text_from_rows(rows: tuple[QueueRow, ...]) -> str:
    """Return the table as text in columns."""
    lines = (_HEAD, *((row.queue, row.iothread, row.cpus) for row in rows))
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
