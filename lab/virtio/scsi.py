"""SCSI command descriptor blocks and sense data: values to bytes and back.

SCSI is big-endian. Facts: SPC-4 and SBC-3 for the commands, SPC-4 section 4.5 for sense data, SAM-5 section 5.3.1 for
status codes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from lab.errors import DeviceError

BLOCK_BYTES = 512
"""The logical block size of the disks that the lab plugs in."""
_INQUIRY_BYTES = 36


class ScsiStatus(IntEnum):
    """Status of a completed command, SAM-5 section 5.3.1."""

    GOOD = 0x00
    CHECK_CONDITION = 0x02
    BUSY = 0x08
    TASK_SET_FULL = 0x28
    TASK_ABORTED = 0x40


class SenseKey(IntEnum):
    """The sense keys that the lab meets, SPC-4 section 4.5.6."""

    NO_SENSE = 0x0
    NOT_READY = 0x2
    MEDIUM_ERROR = 0x3
    HARDWARE_ERROR = 0x4
    ILLEGAL_REQUEST = 0x5
    UNIT_ATTENTION = 0x6
    ABORTED_COMMAND = 0xB


@dataclass(frozen=True)
class Sense:
    """Sense data.

    :param key: a :class:`SenseKey`, or another number.
    :param code: additional sense code.
    :param qualifier: additional sense code qualifier.
    """

    key: int
    code: int
    qualifier: int

    def __str__(self) -> str:
        known = self.key in SenseKey.__members__.values()
        name = SenseKey(self.key).name if known else f"sense key {self.key:#x}"
        return f"{name} {self.code:02x}/{self.qualifier:02x}"


@dataclass(frozen=True)
class Command:
    """What to ask a logical unit.

    :param cdb: the command descriptor block.
    :param data_in: bytes that the command may return.
    :param data_out: bytes that it sends.
    """

    cdb: bytes
    data_in: int = 0
    data_out: bytes = b""


def test_unit_ready() -> Command:
    """TEST UNIT READY, SPC-4 section 6.47."""
    return Command(bytes(6))


def inquiry() -> Command:
    """INQUIRY of standard data, SPC-4 section 6.4."""
    return Command(struct.pack(">BBBHB", 0x12, 0, 0, _INQUIRY_BYTES, 0), data_in=_INQUIRY_BYTES)


def read_10(lba: int, blocks: int = 1) -> Command:
    """READ (10), SBC-3 section 5.8."""
    return Command(struct.pack(">BBIBHB", 0x28, 0, lba, 0, blocks, 0), data_in=blocks * BLOCK_BYTES)


def write_10(lba: int, data: bytes) -> Command:
    """WRITE (10), SBC-3 section 5.35; ``data`` is whole blocks."""
    blocks = len(data) // BLOCK_BYTES
    return Command(struct.pack(">BBIBHB", 0x2A, 0, lba, 0, blocks, 0), data_out=data)


def synchronize_cache_10() -> Command:
    """SYNCHRONIZE CACHE (10) of the whole medium, SBC-3 section 5.21."""
    return Command(struct.pack(">BBIBHB", 0x35, 0, 0, 0, 0, 0))


def sense_from_bytes(data: bytes) -> Sense:
    """Read fixed (70h, 71h) or descriptor (72h, 73h) sense data.

    :raise DeviceError: neither, or cut short.
    """
    kind = data[0] & 0x7F if data else 0
    if kind in (0x70, 0x71) and len(data) >= 14:
        return Sense(data[2] & 0xF, data[12], data[13])
    if kind in (0x72, 0x73) and len(data) >= 4:
        return Sense(data[1] & 0xF, data[2], data[3])
    raise DeviceError(f"the device returned {len(data)} bytes of sense data that cannot be read: {data[:16].hex()}")
