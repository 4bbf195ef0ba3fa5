"""The short form of a mapping: ``t0,t1`` or ``t0:0-1,t1:2-3`` as text in, (IOThread, queue names) out, and back.

The grammar, in which blanks may stand around ``,``, ``:`` and ``+``::

    mapping  = "[]" | item { "," item }
    item     = iothread [ ":" queues ]
    queues   = queue { "+" queue }
    queue    = number | number "-" number | "ctrl" | "event"

It needs no quoting in a shell and holds nothing that a file name could not, because levels of a factor end up in
both. Queues go by name here; what index a name has is a matter of the device and the dialect (mapping.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.errors import InputError

QUEUE_INDEX_LIMIT = 2**16
"""Indices are ``uint16`` in qapi/virtio.json, so this is the first that cannot be written."""

_EMPTY = "[]"
_IOTHREAD = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")  # id_wellformed() in QEMU's util/id.c
_QUEUE = re.compile(r"(?P<first>[0-9]{1,5})(\s*-\s*(?P<last>[0-9]{1,5}))?|(?P<name>ctrl|event)")
_REMEDY = "write t0,t1 for round robin, or t0:0-1,t1:2+3 to say who serves which queue"


@dataclass(frozen=True)
class ShortItem:
    """One item as the short form has it.

    :param queues: names, ranges spelt out; empty where QEMU is to deal the queues out.
    """

    iothread: str
    queues: tuple[str, ...] = ()


def is_iothread_name(text: str) -> bool:
    """Tell whether QEMU lets an object have this id."""
    return _IOTHREAD.fullmatch(text) is not None


def items_from_short(text: str) -> tuple[ShortItem, ...]:
    """Return the items of a short form, queues in the order written.

    :raise InputError: not in the grammar, or more queues than any device can have.
    """
    if text.strip() == _EMPTY:
        return ()
    items = tuple(_item_from_text(part, text) for part in text.split(","))
    if sum(len(item.queues) for item in items) > QUEUE_INDEX_LIMIT:
        raise InputError(f"the mapping lists more than {QUEUE_INDEX_LIMIT} queues", remedy=_REMEDY)
    return items


def short_from_items(items: Iterable[ShortItem]) -> str:
    """Return the short form, neighbouring queue numbers drawn together to ranges.

    :raise InputError: an IOThread's name is not in the grammar.
    """
    parts = []
    for item in items:
        if not is_iothread_name(item.iothread):
            raise InputError(
                f"the IOThread name '{item.iothread}' has no short form",
                remedy="QEMU's object ids begin with a letter and go on with letters, digits, '-', '.' and '_'",
            )
        parts.append(f"{item.iothread}:{_text_from_queues(item.queues)}" if item.queues else item.iothread)
    return ",".join(parts) or _EMPTY


def _item_from_text(part: str, whole: str) -> ShortItem:
    name, colon, queues = (piece.strip() for piece in part.partition(":"))
    if not is_iothread_name(name):
        raise InputError(f"'{name}' in the mapping '{whole}' is not the name of an IOThread", remedy=_REMEDY)
    if not colon:
        return ShortItem(name)
    return ShortItem(name, tuple(word for piece in queues.split("+") for word in _queues_from_text(piece, whole)))


def _queues_from_text(piece: str, whole: str) -> Sequence[str]:
    match = _QUEUE.fullmatch(piece.strip())
    if match is None:
        raise InputError(f"'{piece.strip()}' in the mapping '{whole}' is not a queue", remedy=_REMEDY)
    if match["name"]:
        return (match["name"],)
    first = int(match["first"])
    last = int(match["last"] or first)
    if not first <= last < QUEUE_INDEX_LIMIT:
        raise InputError(
            f"'{piece.strip()}' in the mapping '{whole}' is not a range of queues",
            remedy=f"a range goes up, to {QUEUE_INDEX_LIMIT - 1} at most: 0-3",
        )
    return tuple(str(number) for number in range(first, last + 1))


def _text_from_queues(queues: Sequence[str]) -> str:
    runs: list[tuple[str, str]] = []
    for word in queues:
        if runs and word.isdecimal() and runs[-1][1].isdecimal() and int(word) == int(runs[-1][1]) + 1:
            runs[-1] = (runs[-1][0], word)
        else:
            runs.append((word, word))
    return "+".join(first if first == last else f"{first}-{last}" for first, last in runs)
