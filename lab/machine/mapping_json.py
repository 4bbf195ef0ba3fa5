"""The JSON of a mapping: decoded JSON or its text in, items out, with QEMU's words for whatever is not of the type.

QEMU checks the type when the property is set (qapi/qobject-input-visitor.c), long before it looks at queues; the
type is a list of ``IOThreadVirtQueueMapping`` (qapi/virtio.json).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from lab.errors import InputError
from lab.machine.mapping_short import QUEUE_INDEX_LIMIT

PROPERTY = "iothread-vq-mapping"
"""The device property that takes a mapping; a list, so it needs JSON ``-device`` or QMP ``device_add``."""

_UINT64_LIMIT = 2**64
_INT64_LOWEST = -(2**63)


class MappingTypeError(InputError):
    """A value is not of the type of the property; the message is the one QEMU's input visitor gives."""


@dataclass(frozen=True)
class MappingItem:
    """One IOThread and its virtqueues.

    :param iothread: id of the ``iothread`` object.
    :param vqs: indices as QEMU counts them in the dialect at hand; None where absent. An empty tuple is kept apart
        from None because QEMU stores it so, although both mean round robin.
    """

    iothread: str
    vqs: tuple[int, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the item as QEMU takes it."""
        return {"iothread": self.iothread} | ({} if self.vqs is None else {"vqs": list(self.vqs)})


def items_from_json(value: object) -> tuple[MappingItem, ...]:
    """Return the items of a decoded JSON value.

    :raise MappingTypeError: not a list of ``{"iothread": ID, "vqs": [NUMBER, ...]}``.
    """
    if not isinstance(value, list | tuple):
        _refuse(f"Invalid parameter type for '{PROPERTY}', expected: array")
    return tuple(_item_from_json(item, f"{PROPERTY}[{number}]") for number, item in enumerate(value))


def json_from_text(text: str) -> object:
    """Return the value that a JSON text means.

    :raise InputError: not JSON, or a key twice in one object, which QEMU refuses as well.
    """

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            raise ValueError("a key appears twice in one object")
        return value

    try:
        return json.loads(text, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as err:
        raise InputError(
            f"the mapping is not valid JSON: {err}",
            remedy="""write [{"iothread": "t0"}, {"iothread": "t1"}] (in a shell within single quotes), or t0,t1""",
        ) from None


def _refuse(message: str) -> NoReturn:
    raise MappingTypeError(
        message, remedy='a mapping is a list such as [{"iothread": "t0", "vqs": [0]}, {"iothread": "t1", "vqs": [1]}]'
    )


def _item_from_json(value: object, where: str) -> MappingItem:
    if not isinstance(value, Mapping):
        _refuse(f"Invalid parameter type for '{where}', expected: object")
    if "iothread" not in value:
        _refuse(f"Parameter '{where}.iothread' is missing")
    if not isinstance(value["iothread"], str):
        _refuse(f"Invalid parameter type for '{where}.iothread', expected: string")
    vqs = _vqs_from_json(value["vqs"], f"{where}.vqs") if "vqs" in value else None
    for key in sorted(set(map(str, value)) - {"iothread", "vqs"}):
        _refuse(f"Parameter '{where}.{key}' is unexpected")
    return MappingItem(value["iothread"], vqs)


def _vqs_from_json(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        _refuse(f"Invalid parameter type for '{where}', expected: array")
    for number, index in enumerate(value):
        # An integer that fits no 64-bit type becomes a floating point number in QEMU's parser (qobject/json-parser.c).
        if isinstance(index, bool) or not isinstance(index, int) or not _INT64_LOWEST <= index < _UINT64_LIMIT:
            _refuse(f"Parameter '{where}[{number}]' expects uint64")
        if not 0 <= index < QUEUE_INDEX_LIMIT:
            _refuse("Parameter 'null' expects uint16_t")  # QEMU's own words: list elements have no name there
    return tuple(value)
