"""The malformed requests that have a name, and how a device may react to each.

What is allowed is written from the specifications. VIRTIO 1.2, section 2.1.2: a device that meets an error from which
it cannot go on SHOULD set DEVICE_NEEDS_RESET; sections 2.7.5.3.1 and 2.7.13: what a driver must not do to a ring, which
says nothing about what follows, so asking for a reset and leaving the request alone are both right. Section 5.6.6.1:
what is a request in form and not in content is answered, with a response or a status that says so. In no case may QEMU
end, write elsewhere or be beyond repair by a reset.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lab.virtio.malformed.perform import Outcome
from lab.virtio.malformed.request import (
    QUEUE_SIZE,
    RESPONSE_OFFSET,
    ConfigWrite,
    Descriptor,
    Flag,
    MalformedRequest,
    Place,
)
from lab.virtio.scsi import Command, inquiry, read_10, test_unit_ready, write_10
from lab.virtio.virtio_scsi import (
    COMMAND_RESPONSE_BYTES,
    CTRL_QUEUE,
    FIRST_COMMAND_QUEUE,
    TMF_RESPONSE_BYTES,
    ControlType,
    Lun,
    Tmf,
    an_request,
    command_request,
    tmf_request,
)

LUN = Lun(0, 0)
FEATURE_INDIRECT = 1 << 28
"""VIRTIO_F_INDIRECT_DESC, section 6."""

_REQUEST_BYTES = 51
_DATA_OFFSET = 1024
_BROKEN = frozenset({Outcome.NEEDS_RESET, Outcome.IGNORED})
_ANSWERED = frozenset({Outcome.RETURNED})
_EITHER = frozenset(Outcome)


@dataclass(frozen=True)
class MalformedCase:
    """A request that breaks a rule.

    :param allowed: how a device may react.
    :param ends: how the command may end where it is returned with a response, as
        :class:`lab.virtio.virtio_scsi.CommandResponse` prints it; empty where nothing is said about that.
    """

    name: str
    request: MalformedRequest
    allowed: frozenset[Outcome]
    ends: tuple[str, ...] = ()


def malformed_cases() -> tuple[MalformedCase, ...]:
    """Return all named cases."""
    return (*_sizes(), *_chains(), *_addresses(), *_rings(), *_indirects(), *_controls(), *_contents(), *_set_ups())


def any_reaction(name: str, request: MalformedRequest) -> MalformedCase:
    """Return a request, of which nothing is known but that QEMU may not crash or break, as a case."""
    return MalformedCase(name, request, _EITHER)


def well_formed(command: Command, lun: bytes = b"", room: int | None = None) -> MalformedRequest:
    """Return a request in order, to break something of.

    :param lun: the eight bytes of the address, where they are not those of the disk.
    :param room: bytes for the answer's data, where that is not what the command asks for.
    """
    header = command_request(LUN, 1, command.cdb)
    data = (lun or header[:8]) + header[8:]
    descriptors = [_readable(0, _REQUEST_BYTES)]
    if command.data_out:
        data = data.ljust(_DATA_OFFSET, b"\0") + command.data_out
        descriptors.append(_readable(_DATA_OFFSET, len(command.data_out)))
    descriptors.append(_writable(RESPONSE_OFFSET, COMMAND_RESPONSE_BYTES))
    if size := command.data_in if room is None else room:
        descriptors.append(_writable(_DATA_OFFSET, size))
    return MalformedRequest(FIRST_COMMAND_QUEUE, _chained(*descriptors), data=data)


def _readable(offset: int, size: int) -> Descriptor:
    return Descriptor(Place.DATA, offset, size)


def _writable(offset: int, size: int) -> Descriptor:
    return Descriptor(Place.DATA, offset, size, Flag.WRITE)


def _chained(*descriptors: Descriptor) -> tuple[Descriptor, ...]:
    last = len(descriptors) - 1
    return tuple(
        replace(item, flags=item.flags | Flag.NEXT, next=number + 1) if number < last else item
        for number, item in enumerate(descriptors)
    )


_PLAIN = well_formed(test_unit_ready())
_HEADER, _RESPONSE = _readable(0, _REQUEST_BYTES), _writable(RESPONSE_OFFSET, COMMAND_RESPONSE_BYTES)


def _with_table(*descriptors: Descriptor) -> MalformedRequest:
    return replace(_PLAIN, table=descriptors)


def _sizes() -> Iterator[MalformedCase]:
    for name, chain in (
        ("header of 1 byte", _chained(_readable(0, 1), _RESPONSE)),
        ("header of 50 bytes", _chained(_readable(0, 50), _RESPONSE)),
        ("no header", (_RESPONSE,)),
        ("no response", (_HEADER,)),
        ("response of 1 byte", _chained(_HEADER, _writable(RESPONSE_OFFSET, 1))),
        ("response of 107 bytes", _chained(_HEADER, _writable(RESPONSE_OFFSET, COMMAND_RESPONSE_BYTES - 1))),
        ("header of 0 bytes", _chained(_readable(0, 0), _RESPONSE)),
        ("response of 0 bytes", _chained(_HEADER, _writable(RESPONSE_OFFSET, 0))),
    ):
        yield MalformedCase(name, _with_table(*chain), _BROKEN)
    huge = _chained(replace(_HEADER, size=0xFFFFFFFF), _RESPONSE)
    yield MalformedCase("header of 4 GiB", _with_table(*huge), _EITHER)


def _chains() -> Iterator[MalformedCase]:
    loop = replace(_HEADER, flags=Flag.NEXT, next=0)
    yield MalformedCase("descriptor that follows itself", _with_table(loop), _BROKEN)
    pair = (replace(_HEADER, flags=Flag.NEXT, next=1), replace(_RESPONSE, flags=Flag.WRITE | Flag.NEXT, next=0))
    yield MalformedCase("two descriptors that follow each other", _with_table(*pair), _BROKEN)
    whole = [replace(_HEADER, flags=Flag.NEXT, next=(number + 1) % QUEUE_SIZE) for number in range(QUEUE_SIZE)]
    yield MalformedCase("ring of descriptors as long as the queue", _with_table(*whole), _BROKEN)
    beyond = replace(_HEADER, flags=Flag.NEXT, next=QUEUE_SIZE)
    yield MalformedCase("next descriptor just out of range", _with_table(beyond), _BROKEN)
    far = replace(_HEADER, flags=Flag.NEXT, next=0xFFFF)
    yield MalformedCase("next descriptor 65535", _with_table(far), _BROKEN)
    yield MalformedCase("writable before readable", _with_table(*_chained(_RESPONSE, _HEADER)), _BROKEN)
    unknown = _with_table(replace(_PLAIN.table[0], flags=0xFFF8 | Flag.NEXT), _PLAIN.table[1])
    yield MalformedCase("unknown descriptor flags", unknown, _EITHER)


def _addresses() -> Iterator[MalformedCase]:
    for name, header in (
        ("header behind the end of memory", Descriptor(Place.RAM_END, 0, _REQUEST_BYTES)),
        ("header across the end of memory", Descriptor(Place.RAM_END, -8, _REQUEST_BYTES)),
        ("header at the last address there is", Descriptor(Place.ZERO, -1, _REQUEST_BYTES)),
        ("header in the device's registers", Descriptor(Place.DEVICE, 0, _REQUEST_BYTES)),
    ):
        yield MalformedCase(name, _with_table(*_chained(header, _RESPONSE)), _EITHER)
    for name, response in (
        ("response behind the end of memory", Descriptor(Place.RAM_END, 0, COMMAND_RESPONSE_BYTES, Flag.WRITE)),
        ("response in the device's registers", Descriptor(Place.DEVICE, 0, COMMAND_RESPONSE_BYTES, Flag.WRITE)),
    ):
        yield MalformedCase(name, _with_table(*_chained(_HEADER, response)), _EITHER)


def _rings() -> Iterator[MalformedCase]:
    for name, head in (("head just out of range", QUEUE_SIZE), ("head 65535", 0xFFFF)):
        yield MalformedCase(name, replace(_PLAIN, heads=(head,)), _BROKEN)
    for name, index in (
        ("avail.idx larger by 1000", 1000),
        ("avail.idx larger than the queue by one", QUEUE_SIZE + 1),
        ("avail.idx one back", 0xFFFF),
    ):
        yield MalformedCase(name, replace(_PLAIN, index=index), _BROKEN)
    yield MalformedCase("the same head twice", replace(_PLAIN, heads=(0, 0)), _EITHER)
    yield MalformedCase("used ring behind the end of memory", replace(_PLAIN, used_ring=1 << 40), _EITHER)
    yield MalformedCase("notification of a queue that is not there", replace(_PLAIN, notify=1000), _EITHER)


def _indirects() -> Iterator[MalformedCase]:
    good = replace(_PLAIN, features=FEATURE_INDIRECT, indirect=_PLAIN.table)

    def table(size: int = 32, flags: int = Flag.INDIRECT, place: Place = Place.TABLE) -> tuple[Descriptor, ...]:
        return (Descriptor(place, 0, size, flags, next=1), _RESPONSE)

    without = replace(good, features=0, table=table())
    yield MalformedCase("indirect table without the feature", without, _EITHER)
    yield MalformedCase("indirect table of 17 bytes", replace(good, table=table(17)), _BROKEN)
    yield MalformedCase("indirect table of 0 bytes", replace(good, table=table(0)), _BROKEN)
    yield MalformedCase(
        "indirect table behind the end of memory", replace(good, table=table(place=Place.RAM_END)), _BROKEN
    )
    yield MalformedCase(
        "indirect table in a chain", replace(good, table=table(flags=Flag.INDIRECT | Flag.NEXT)), _EITHER
    )
    nested = (Descriptor(Place.TABLE, 0, 32, Flag.INDIRECT), _RESPONSE)
    yield MalformedCase("indirect table in an indirect table", replace(good, table=table(), indirect=nested), _BROKEN)
    loop = (replace(_HEADER, flags=Flag.NEXT, next=0),)
    yield MalformedCase("loop in an indirect table", replace(good, table=table(16), indirect=loop), _BROKEN)
    beyond = (replace(_HEADER, flags=Flag.NEXT, next=2), _RESPONSE)
    yield MalformedCase(
        "next out of range of an indirect table", replace(good, table=table(), indirect=beyond), _BROKEN
    )
    huge = replace(good, table=table(0xFFFFFFF0))
    yield MalformedCase("indirect table of 4 GiB", huge, _EITHER)


def _controls() -> Iterator[MalformedCase]:
    function = tmf_request(Tmf.QUERY_TASK, LUN, 1)
    query = an_request(ControlType.AN_QUERY, LUN, 2)  # type: ignore[arg-type]
    answer = _writable(RESPONSE_OFFSET, TMF_RESPONSE_BYTES)
    for name, data, chain, allowed in (
        ("function of 8 bytes", function, _chained(_readable(0, 8), answer), _BROKEN),
        ("control request of 3 bytes", function, _chained(_readable(0, 3), answer), _BROKEN),
        ("control request of 4 bytes", function, _chained(_readable(0, 4), answer), _BROKEN),
        ("function without response", function, (_readable(0, len(function)),), _BROKEN),
        ("control request of unknown type", struct.pack("<I", 0x1234), _chained(_readable(0, 4), answer), _EITHER),
        ("notification query with a short response", query, _chained(_readable(0, len(query)), answer), _BROKEN),
    ):
        yield MalformedCase(name, MalformedRequest(CTRL_QUEUE, chain, data=data), allowed)


def _contents() -> Iterator[MalformedCase]:
    """Requests in form: they are answered, and not with success where they ask for what cannot be."""
    bad_target = ("BAD_TARGET", "INCORRECT_LUN", "FAILURE")
    for name, lun in (
        ("LUN whose first byte is not 1", bytes((9, 0, 0x40, 0, 0, 0, 0, 0))),
        ("LUN of an absent target", Lun(200, 0).to_bytes()),
    ):
        yield MalformedCase(name, well_formed(test_unit_ready(), lun), _ANSWERED, bad_target)
    illegal = ("CHECK_CONDITION ILLEGAL_REQUEST", "CHECK_CONDITION UNIT_ATTENTION", "OVERRUN", "FAILURE")
    yield MalformedCase("unknown operation code", well_formed(Command(bytes((0xFF,)) * 16)), _ANSWERED, illegal)
    huge = struct.pack(">BBQIBB", 0x88, 0, 1 << 62, 0xFFFFFFFF, 0, 0)
    yield MalformedCase("READ behind the end of the disk", well_formed(Command(huge, data_in=512)), _EITHER, illegal)
    short = (*illegal, "OK")  # a disk may transfer less and report a residual
    yield MalformedCase("READ with less room than it asks for", well_formed(read_10(0, 8), room=512), _EITHER, short)
    write = write_10(0, bytes(1024))
    less = replace(write, data_out=write.data_out[:512])
    yield MalformedCase("WRITE with less data than it announces", well_formed(less), _EITHER, short)
    both = Command(read_10(0).cdb, data_in=512, data_out=bytes(512))
    yield MalformedCase("data in both directions", well_formed(both), _EITHER, (*short,))


def _set_ups() -> Iterator[MalformedCase]:
    yield MalformedCase("notification before DRIVER_OK", replace(_PLAIN, early=True), _EITHER)
    for name, offset in (("sense_size", 20), ("cdb_size", 24)):
        for value in (0, 0xFFFFFFFF):
            request = replace(well_formed(inquiry()), config=(ConfigWrite(offset, 4, value),))
            yield MalformedCase(f"{name} of {value:#x} while the queues run", request, _EITHER)
