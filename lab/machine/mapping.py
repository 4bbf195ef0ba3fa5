"""An iothread-vq-mapping as a value: QEMU's JSON or the short form in, which IOThread serves which virtqueue out.

One model for virtio-blk and virtio-scsi. The value is exactly what QEMU takes and gives back (qapi/virtio.json,
``IOThreadVirtQueueMapping``): nothing is normalised, so that what was asked can be compared with what is stored.
Whether QEMU accepts a mapping is decided in mapping_rules.py, because that depends on the device.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lab.errors import InputError
from lab.machine.mapping_json import PROPERTY, MappingItem, MappingTypeError, items_from_json, json_from_text
from lab.machine.mapping_short import ShortItem, items_from_short, short_from_items

__all__ = [
    "MAIN_LOOP",
    "PROPERTY",
    "Device",
    "Dialect",
    "IOThreadMapping",
    "MappingItem",
    "MappingTypeError",
    "difference",
    "iothreads_named",
]

MAIN_LOOP = "main loop"
"""What serves a queue that no IOThread serves. No IOThread can have this name: object ids hold no space."""


class Device(StrEnum):
    """The devices that take a mapping, by their QEMU driver name."""

    VIRTIO_BLK = "virtio-blk-pci"
    VIRTIO_SCSI = "virtio-scsi-pci"

    @property
    def num_queues_property(self) -> str:
        """How this device spells the number of request or command virtqueues."""
        return "num-queues" if self is Device.VIRTIO_BLK else "num_queues"

    @property
    def fixed_queues(self) -> tuple[str, ...]:
        """The virtqueues before the command virtqueues (``VIRTIO_SCSI_VQ_NUM_FIXED`` in QEMU)."""
        return () if self is Device.VIRTIO_BLK else ("ctrl", "event")

    def queue_names(self, num_queues: int) -> tuple[str, ...]:
        """Return the names of all virtqueues in the order of their indices on the device."""
        return self.fixed_queues + tuple(str(number) for number in range(num_queues))


class Dialect(StrEnum):
    """What the numbers in ``vqs`` of a virtio-scsi mapping count; virtio-blk is the same in both."""

    MERGED = "merged"
    """QEMU 10.0 and newer: 0 is the first command virtqueue; ctrl and event always run in the main loop."""
    ALL_QUEUES = "all-queues"
    """Revision 1 of the series (20250213180043.713434-1-stefanha@redhat.com): 0 is ctrl, 1 event, 2 the first
    command virtqueue, and all of them have to be assigned."""

    def first_command_index(self, device: Device) -> int:
        """Return the index in ``vqs`` that means command virtqueue 0."""
        return len(device.fixed_queues) if self is Dialect.ALL_QUEUES else 0

    def mapped_queue_count(self, device: Device, num_queues: int) -> int:
        """Return how many virtqueues a mapping has to assign: QEMU's ``num_queues`` in its messages."""
        return num_queues + self.first_command_index(device)

    def queue_from_index(self, index: int, device: Device) -> str:
        """Return the name of the queue that an index of ``vqs`` means: ``ctrl``, ``event``, ``0`` and so on."""
        first = self.first_command_index(device)
        return device.fixed_queues[index] if index < first else str(index - first)

    def index_from_queue(self, queue: str, device: Device) -> int:
        """Return the index of ``vqs`` that means a queue, by its name.

        :raise InputError: the device has no such queue, or no mapping of this dialect can name it.
        """
        first = self.first_command_index(device)
        if queue.isdecimal():
            return int(queue) + first
        if queue in device.fixed_queues[:first]:
            return device.fixed_queues.index(queue)
        if queue in device.fixed_queues:
            raise InputError(
                f"queue '{queue}' cannot be assigned: in the {self} dialect it always runs in the main loop",
                remedy=f"leave it out, or say that the binary speaks the {Dialect.ALL_QUEUES} dialect",
            )
        raise InputError(f"{device} has no queue '{queue}'", remedy="its queues are numbers: t0:0-1,t1:2-3")


@dataclass(frozen=True)
class IOThreadMapping:
    """The value of an ``iothread-vq-mapping`` property.

    :param items: in QEMU's order, which decides who serves what in a round robin.
    """

    items: tuple[MappingItem, ...] = ()

    @classmethod
    def round_robin(cls, iothreads: Sequence[str]) -> IOThreadMapping:
        """Return the mapping in which item k of N serves the queues k, k+N, k+2N and so on."""
        return cls(tuple(MappingItem(name) for name in iothreads))

    @classmethod
    def explicit(cls, queues: Mapping[str, Sequence[int]]) -> IOThreadMapping:
        """Return the mapping in which each IOThread serves the queues listed for it, as indices of ``vqs``."""
        return cls(tuple(MappingItem(name, tuple(vqs)) for name, vqs in queues.items()))

    @classmethod
    def from_json(cls, value: object) -> IOThreadMapping:
        """Return the mapping of a decoded JSON value: a job file's, or what ``qom-get`` answered.

        :raise MappingTypeError: not a list of ``{"iothread": ID, "vqs": [NUMBER, ...]}``; the message is QEMU's own.
        """
        return cls(items_from_json(value))

    @classmethod
    def from_short(
        cls, text: str, dialect: Dialect = Dialect.MERGED, device: Device = Device.VIRTIO_SCSI
    ) -> IOThreadMapping:
        """Return the mapping that the short form means (grammar: mapping_short.py and docs/mapping.md).

        :raise InputError: not in the grammar, or it names a queue that a mapping of this dialect cannot name.
        """
        return cls(tuple(_item_from_short(item, dialect, device) for item in items_from_short(text)))

    @classmethod
    def from_text(
        cls, text: str, dialect: Dialect = Dialect.MERGED, device: Device = Device.VIRTIO_SCSI
    ) -> IOThreadMapping:
        """Return the mapping of a text that is QEMU's JSON list or the short form.

        :raise InputError: neither of the two.
        """
        if text.lstrip().startswith(("[", "{", '"')):
            return cls.from_json(json_from_text(text))
        return cls.from_short(text, dialect, device)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the value of the property as QEMU takes it."""
        return [item.to_json() for item in self.items]

    def to_short(self, dialect: Dialect = Dialect.MERGED, device: Device = Device.VIRTIO_SCSI) -> str:
        """Return the short form; an empty ``vqs`` is written as an absent one, which means the same.

        :raise InputError: an IOThread's name is not one that QEMU gives to objects, so only JSON can say it.
        """
        return short_from_items(
            ShortItem(item.iothread, tuple(dialect.queue_from_index(vq, device) for vq in item.vqs or ()))
            for item in self.items
        )

    @property
    def iothreads(self) -> tuple[str, ...]:
        """The IOThreads named, each once, in order of appearance."""
        return tuple(dict.fromkeys(item.iothread for item in self.items))

    @property
    def is_round_robin(self) -> bool:
        """Tell whether QEMU deals the queues out itself: no queue is listed."""
        return not any(item.vqs for item in self.items)

    def queue_assignment(
        self, num_queues: int, dialect: Dialect = Dialect.MERGED, device: Device = Device.VIRTIO_SCSI
    ) -> dict[str, str | None]:
        """Return the IOThread of each virtqueue by queue name, None for the main loop.

        For mappings that QEMU accepts (mapping_rules.py): indices outside the device are passed over here. The ctrl
        virtqueue is in the main loop whatever a mapping says, because resets need it.

        :param num_queues: command or request virtqueues.
        """
        names = device.queue_names(num_queues)
        mapped = names[len(names) - dialect.mapped_queue_count(device, num_queues) :]
        assignment: dict[str, str | None] = dict.fromkeys(names)
        is_round_robin = self.is_round_robin
        for number, item in enumerate(self.items):
            served = range(number, len(mapped), len(self.items)) if is_round_robin else item.vqs or ()
            assignment.update({mapped[index]: item.iothread for index in served if index < len(mapped)})
        if "ctrl" in assignment:
            assignment["ctrl"] = None
        return assignment


def iothreads_named(mapping: IOThreadMapping | None, iothread: str | None) -> tuple[str, ...]:
    """Return the IOThreads that a device names in its two properties, each once."""
    in_mapping = mapping.iothreads if mapping is not None else ()
    return tuple(dict.fromkeys((*in_mapping, *(() if iothread is None else (iothread,)))))


def difference(asked: IOThreadMapping | None, stored: IOThreadMapping) -> str | None:
    """Say in words how a mapping read back differs from the one asked for; None where it does not.

    QEMU stores the list as it was given, an absent ``vqs`` as absent and an empty one as empty; a property that was
    never set reads as an empty list. Anything else means that the mapping did not arrive.

    :param stored: what ``qom-get /machine/peripheral/ID/virtio-backend iothread-vq-mapping`` answered.
    """
    wanted = asked or IOThreadMapping()
    if wanted == stored:
        return None
    if not stored.items:
        return f"the mapping {_text(wanted)} was asked for, but QEMU stored none"
    if not wanted.items:
        return f"no mapping was asked for, but QEMU stored {_text(stored)}"
    return f"the mapping {_text(wanted)} was asked for, but QEMU stored {_text(stored)}"


def _text(mapping: IOThreadMapping) -> str:
    return json.dumps(mapping.to_json())


def _item_from_short(item: ShortItem, dialect: Dialect, device: Device) -> MappingItem:
    if not item.queues:
        return MappingItem(item.iothread)
    return MappingItem(item.iothread, tuple(dialect.index_from_queue(queue, device) for queue in item.queues))
