"""A request that breaks the rules, as data: descriptors, rings, notification, and what is in the buffers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from typing import Any

from lab.errors import InputError

FORMAT = 1
"""1: the first."""

QUEUE_SIZE = 16
"""Small, so that a chain can be longer than its queue."""

RESPONSE_OFFSET = 256
"""Where in the data zone the device's answer goes in requests that have one."""
DATA_BYTES = 4096


class Flag(IntFlag):
    """Descriptor flags, VIRTIO 1.2, section 2.7.5."""

    NEXT = 1
    WRITE = 2
    INDIRECT = 4


class Place(StrEnum):
    """What the offset of a descriptor counts from."""

    DATA = "data"
    """A zone of :data:`DATA_BYTES` in guest memory; begins with the request's data."""
    TABLE = "table"
    """The indirect table."""
    RAM_END = "ram end"
    """The first address behind guest memory."""
    DEVICE = "device"
    """The device's own registers."""
    ZERO = "zero"
    """Guest-physical address 0: the offset is the address."""


@dataclass(frozen=True)
class Descriptor:
    """An entry of a descriptor table.

    :param offset: from the place; may be negative.
    """

    place: Place
    offset: int
    size: int
    flags: int = 0
    next: int = 0


@dataclass(frozen=True)
class ConfigWrite:
    """A store to the device's configuration while its queues run."""

    offset: int
    width: int
    value: int


@dataclass(frozen=True)
class MalformedRequest:
    """What is put before the device.

    :param queue: virtqueue number, ctrl 0, event 1.
    :param table: the descriptor table's first entries.
    :param heads: entries of the available ring.
    :param index: what ``avail.idx`` becomes; by default the number of heads.
    :param indirect: entries at :attr:`Place.TABLE`.
    :param data: what the data zone begins with.
    :param features: feature bits to negotiate beside VERSION_1.
    :param early: notify before DRIVER_OK.
    :param notify: what is written to the queue's notification address; by default its number.
    :param used_ring: guest-physical address of the used ring; by default one in guest memory.
    """

    queue: int
    table: tuple[Descriptor, ...]
    heads: tuple[int, ...] = (0,)
    index: int | None = None
    indirect: tuple[Descriptor, ...] = ()
    data: bytes = b""
    features: int = 0
    early: bool = False
    notify: int | None = None
    used_ring: int | None = None
    config: tuple[ConfigWrite, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the request as it is stored."""
        plain: dict[str, Any] = {"format": FORMAT, **vars(self), "data": self.data.hex(), "heads": list(self.heads)}
        tables: Mapping[str, tuple[Any, ...]] = {"table": self.table, "indirect": self.indirect, "config": self.config}
        return plain | {name: [dict(vars(item)) for item in items] for name, items in tables.items()}


def request_from_text(text: str) -> MalformedRequest:
    """Read a stored request.

    :raise InputError: it is not one, or a number in it does not fit its field.
    """
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise InputError(f"the request has format {data['format']!r}, and this lab reads {FORMAT}")
        return MalformedRequest(
            queue=_number(data["queue"], 1),
            table=_table(data["table"]),
            heads=tuple(_number(head, 2) for head in _few(data["heads"])),
            index=_optional(data["index"], 2),
            indirect=_table(data["indirect"], most=DATA_BYTES // 16),
            data=bytes.fromhex(data["data"])[:DATA_BYTES],
            features=_number(data["features"], 8),
            early=bool(data["early"]),
            notify=_optional(data["notify"], 2),
            used_ring=_optional(data["used_ring"], 8),
            config=tuple(_config(item) for item in _few(data["config"])),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as err:
        raise InputError(f"not a malformed request: {err}", remedy="give the request.json that the lab wrote") from err


def _table(items: list[dict[str, Any]], most: int = QUEUE_SIZE) -> tuple[Descriptor, ...]:
    return tuple(
        Descriptor(
            Place(item["place"]),
            _number(item["offset"], 8, signed=True),
            _number(item["size"], 4),
            _number(item["flags"], 2),
            _number(item["next"], 2),
        )
        for item in _few(items, most)
    )


def _config(item: dict[str, Any]) -> ConfigWrite:
    width = item["width"]
    if width not in (1, 2, 4):
        raise ValueError(f"a width of {width!r} bytes")
    return ConfigWrite(_number(item["offset"], 1), width, _number(item["value"], width))


def _few(items: list[Any], most: int = QUEUE_SIZE) -> list[Any]:
    if not isinstance(items, list) or len(items) > most:
        raise ValueError(f"a list of at most {most} was expected")
    return items


def _optional(value: Any, width: int) -> int | None:
    return None if value is None else _number(value, width)


def _number(value: Any, width: int, *, signed: bool = False) -> int:
    lowest = -(1 << 8 * width - 1) if signed else 0
    if type(value) is not int or not lowest <= value < 1 << 8 * width:
        raise ValueError(f"{value!r} where a number of {width} bytes was expected")
    return value
