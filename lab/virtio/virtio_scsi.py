"""Requests and responses of virtio-scsi as bytes, and the names of their values.

Virtio is little-endian, LUN bytes and CDBs are not. Facts: VIRTIO 1.2, section 5.6.6; the constants are those of
include/standard-headers/linux/virtio_scsi.h in QEMU.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from lab.errors import DeviceError
from lab.virtio.scsi import ScsiStatus, Sense, sense_from_bytes

CTRL_QUEUE = 0
EVENT_QUEUE = 1
FIRST_COMMAND_QUEUE = 2

CDB_BYTES = 32
SENSE_BYTES = 96
"""Both are the defaults after a reset, section 5.6.4.2."""

_COMMAND_HEADER_BYTES = 12
COMMAND_RESPONSE_BYTES = _COMMAND_HEADER_BYTES + SENSE_BYTES
TMF_RESPONSE_BYTES = 1
AN_RESPONSE_BYTES = 5
EVENT_BYTES = 16

UNWRITTEN = 0xA5
"""What is in a buffer that the device has not written to. Zeros would read as OK, GOOD and FUNCTION_COMPLETE."""

FEATURE_HOTPLUG = 1 << 1
FEATURE_CHANGE = 1 << 2


class ControlType(IntEnum):
    """Kinds of request on the ctrl virtqueue, section 5.6.6.2."""

    TMF = 0
    AN_QUERY = 1
    AN_SUBSCRIBE = 2


class Tmf(IntEnum):
    """Task management functions, section 5.6.6.2."""

    ABORT_TASK = 0
    ABORT_TASK_SET = 1
    CLEAR_ACA = 2
    CLEAR_TASK_SET = 3
    I_T_NEXUS_RESET = 4
    LOGICAL_UNIT_RESET = 5
    QUERY_TASK = 6
    QUERY_TASK_SET = 7


class Response(IntEnum):
    """The response byte of commands and control requests, sections 5.6.6.1 and 5.6.6.2."""

    OK = 0
    OVERRUN = 1
    ABORTED = 2
    BAD_TARGET = 3
    RESET = 4
    BUSY = 5
    TRANSPORT_FAILURE = 6
    TARGET_FAILURE = 7
    NEXUS_FAILURE = 8
    FAILURE = 9
    FUNCTION_SUCCEEDED = 10
    FUNCTION_REJECTED = 11
    INCORRECT_LUN = 12


class EventKind(IntEnum):
    """What an event reports, section 5.6.6.3; the missed bit is kept apart."""

    NO_EVENT = 0
    TRANSPORT_RESET = 1
    ASYNC_NOTIFY = 2
    PARAM_CHANGE = 3


class ResetReason(IntEnum):
    """Why a TRANSPORT_RESET event was sent, section 5.6.6.3."""

    HARD = 0
    RESCAN = 1
    REMOVED = 2


class AsyncNotification(IntFlag):
    """Events of a physical interface that can be asked for, section 5.6.6.2."""

    OPERATIONAL_CHANGE = 2
    POWER_MGMT = 4
    EXTERNAL_REQUEST = 8
    MEDIA_CHANGE = 16
    MULTI_HOST = 32
    DEVICE_BUSY = 64


_EVENTS_MISSED = 1 << 31


@dataclass(frozen=True)
class Lun:
    """The address of a logical unit.

    :param target: 0 to 255.
    :param lun: 0 to 16383.
    """

    target: int
    lun: int

    def to_bytes(self) -> bytes:
        """Return the eight bytes of section 5.6.6.1: 1, target, a single level LUN in flat format, zeros."""
        return struct.pack(">BBH4x", 1, self.target, 0x4000 | self.lun)

    @classmethod
    def from_bytes(cls, data: bytes) -> Lun:
        """Read an address that the device wrote (QEMU leaves out the format bits below LUN 256)."""
        return cls(data[1], int.from_bytes(data[2:4], "big") & 0x3FFF)

    def __str__(self) -> str:
        return f"{self.target}:{self.lun}"


@dataclass(frozen=True)
class CommandResponse:
    """What the device wrote for a command.

    :param response: a :class:`Response`, or another number.
    :param status: a SCSI status; it means something where ``response`` is OK.
    :param residual: bytes not transferred.
    :param sense: None where there is none.
    """

    response: int
    status: int
    residual: int
    sense: Sense | None

    def __str__(self) -> str:
        if self.response != Response.OK:
            return response_text(self.response)
        if self.status == ScsiStatus.GOOD:
            return "OK"
        known = self.status in ScsiStatus.__members__.values()
        name = ScsiStatus(self.status).name if known else f"status {self.status:#04x}"
        return f"{name} {self.sense}" if self.sense else name


@dataclass(frozen=True)
class Event:
    """What the device reported on the event virtqueue.

    :param kind: an :class:`EventKind`, or another number.
    :param missed: earlier events were lost.
    """

    kind: int
    lun: Lun
    reason: int
    missed: bool


def response_text(value: int) -> str:
    """Return the name of a response byte, or its number where it has none."""
    return Response(value).name if value in Response.__members__.values() else f"response {value}"


def tmf_text(subtype: int) -> str:
    """Return the name of a TMF subtype, or ``unknown 0x...``."""
    return Tmf(subtype).name if subtype in Tmf.__members__.values() else f"unknown {subtype:#x}"


def command_request(lun: Lun, tag: int, cdb: bytes) -> bytes:
    """Return the device-readable header of a command: simple task attribute, no priority, no CRN."""
    return struct.pack("<8sQBBB", lun.to_bytes(), tag, 0, 0, 0) + cdb.ljust(CDB_BYTES, b"\0")


def command_response(data: bytes) -> CommandResponse:
    """Read the device-writable header of a command.

    :raise DeviceError: its sense data cannot be read.
    """
    sense_len, residual, _qualifier, status, response = struct.unpack_from("<IIHBB", data)
    sense = sense_from_bytes(data[_COMMAND_HEADER_BYTES:][: min(sense_len, SENSE_BYTES)]) if sense_len else None
    return CommandResponse(response, status, residual, sense)


def unwritten(size: int) -> bytes:
    """Return what is in a buffer that the device has not written to."""
    return bytes((UNWRITTEN,)) * size


def check_written(answer: bytes, written: int) -> None:
    """Check that the device wrote what it returns: a whole response, as far as its driver may read.

    A driver must not look beyond the bytes that the device says it wrote (VIRTIO 1.2, section 2.7.8.3). QEMU counts all
    there is room for, and for a WRITE the data it read as well, so too many are no fault here.

    :param answer: the device-writable part of a request, without data.
    :param written: the length that the device returned it with.
    :raise DeviceError: it did not, or what it wrote cannot be read.
    """
    needed = len(answer)
    if answer[:_COMMAND_HEADER_BYTES] == unwritten(min(needed, _COMMAND_HEADER_BYTES)):
        raise DeviceError("the device returned a request without an answer in it")
    if needed == COMMAND_RESPONSE_BYTES:
        command_response(answer)
        needed = _COMMAND_HEADER_BYTES + int.from_bytes(answer[:4], "little")
    if written < needed:
        raise DeviceError(f"the device says it wrote {written} bytes, and its answer has {needed}")


def tmf_request(subtype: int, lun: Lun, tag: int) -> bytes:
    """Return a task management request; any subtype, known or not."""
    return struct.pack("<II8sQ", ControlType.TMF, subtype, lun.to_bytes(), tag)


def an_request(kind: ControlType, lun: Lun, wanted: AsyncNotification) -> bytes:
    """Return an asynchronous notification query or subscription."""
    return struct.pack("<I8sI", kind, lun.to_bytes(), wanted)


def an_response(data: bytes) -> tuple[AsyncNotification, int]:
    """Read the answer to one: the events the LUN supports, and the response byte."""
    actual, response = struct.unpack("<IB", data)
    return AsyncNotification(actual), response


def event_from_bytes(data: bytes) -> Event:
    """Read a buffer of the event virtqueue.

    :raise DeviceError: the device did not write to it.
    """
    if data == unwritten(EVENT_BYTES):
        raise DeviceError("the device returned an event buffer without an event in it")
    kind, lun, reason = struct.unpack("<I8sI", data)
    return Event(kind & ~_EVENTS_MISSED, Lun.from_bytes(lun), reason, bool(kind & _EVENTS_MISSED))
