"""The network block device protocol as bytes, as much of it as a server for QEMU needs.

Fixed newstyle handshake, NBD_OPT_GO, structured replies where the client takes them. Facts: doc/proto.md of the NBD
project. All big-endian.

QEMU's client may hand a request that was answered back to its owner only when the *next* reply arrives, while other
requests are in flight (docs/findings/0001-nbd-client-holds-back-answered-requests.md). It does not do so when it has
to wait for the payload of a reply after it has read the header: so a reply is made in two pieces here, to be sent
apart. The reply to a WRITE has no payload and stays exposed to the fault.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from lab.errors import StageError

REQUEST_BYTES = 28

_GREETING = b"NBDMAGICIHAVEOPT"
_OPTION_MAGIC = 0x49484156454F5054
_OPTION_REPLY_MAGIC = 0x3E889045565A9
_REQUEST_MAGIC = 0x25609513
_SIMPLE_REPLY_MAGIC = 0x67446698
_CHUNK_MAGIC = 0x668E33EF

_FLAG_FIXED_NEWSTYLE = 1 << 0
_FLAG_NO_ZEROES = 1 << 1
_EXPORT_HAS_FLAGS = 1 << 0
_EXPORT_SEND_FLUSH = 1 << 2

_OPTION_ABORT = 2
_OPTION_GO = 7
_OPTION_STRUCTURED_REPLY = 8
_REPLY_ACK = 1
_REPLY_INFO = 3
_REPLY_UNSUPPORTED = 0x80000001
_INFO_EXPORT = 0

_CHUNK_DONE = 1 << 0
_CHUNK_NONE = 0
_CHUNK_OFFSET_DATA = 1
_CHUNK_ERROR = 0x8001

_MAX_OPTION_BYTES = 65536


class NbdCommand(IntEnum):
    """Transmission phase requests that QEMU sends when nothing more was offered."""

    READ = 0
    WRITE = 1
    DISCONNECT = 2
    FLUSH = 3


@dataclass(frozen=True)
class NbdRequest:
    """One request of the transmission phase.

    :param command: an :class:`NbdCommand`, or another number.
    :param cookie: the client's name for it.
    :param offset: bytes.
    :param length: bytes.
    """

    command: int
    cookie: int
    offset: int
    length: int


def request_from_bytes(header: bytes) -> NbdRequest:
    """Read a request header of :data:`REQUEST_BYTES`.

    :raise StageError: not one.
    """
    magic, _flags, command, cookie, offset, length = struct.unpack(">IHHQQI", header)
    if magic != _REQUEST_MAGIC:
        raise StageError(f"the NBD client sent {header[:4].hex()} where a request begins")
    return NbdRequest(command, cookie, offset, length)


@dataclass(frozen=True)
class Session:
    """What was negotiated.

    :param export: name of the disk.
    :param structured: the client takes structured replies.
    """

    export: str
    structured: bool

    def reply(self, request: NbdRequest, *, error: int = 0, data: bytes = b"") -> tuple[bytes, bytes]:
        """Return the header and the payload of the reply to a request.

        :param error: 0, or an errno as the protocol numbers them (EIO is 5).
        :param data: what a READ returns.
        """
        if not self.structured:
            return struct.pack(">IIQ", _SIMPLE_REPLY_MAGIC, error, request.cookie), data
        kind, payload = _CHUNK_NONE, b""
        if error:
            kind, payload = _CHUNK_ERROR, struct.pack(">IH", error, 0)
        elif data:
            kind, payload = _CHUNK_OFFSET_DATA, struct.pack(">Q", request.offset) + data
        header = struct.pack(">IHHQI", _CHUNK_MAGIC, _CHUNK_DONE, kind, request.cookie, len(payload))
        return header, payload


def shake_hands(receive: Callable[[int], bytes], send: Callable[[bytes], None], size_bytes: int) -> Session | None:
    """Negotiate as the server.

    :param receive: returns exactly that many bytes, or raises.
    :param size_bytes: of every export.
    :return: None where the client gave up.
    :raise StageError: the client does not speak fixed newstyle.
    """
    send(_GREETING + struct.pack(">H", _FLAG_FIXED_NEWSTYLE | _FLAG_NO_ZEROES))
    receive(4)  # client flags: nothing of ours depends on them
    structured = False
    while True:
        magic, option, length = struct.unpack(">QII", receive(16))
        if magic != _OPTION_MAGIC or length > _MAX_OPTION_BYTES:
            raise StageError(f"the NBD client sent an option that cannot be read (magic {magic:#x}, {length} bytes)")
        data = receive(length)
        if option == _OPTION_GO:
            name_length = int.from_bytes(data[:4], "big")
            flags = _EXPORT_HAS_FLAGS | _EXPORT_SEND_FLUSH
            send(_option_reply(option, _REPLY_INFO, struct.pack(">HQH", _INFO_EXPORT, size_bytes, flags)))
            send(_option_reply(option, _REPLY_ACK))
            return Session(data[4 : 4 + name_length].decode(errors="replace"), structured)
        structured = structured or option == _OPTION_STRUCTURED_REPLY
        known = option in (_OPTION_ABORT, _OPTION_STRUCTURED_REPLY)
        send(_option_reply(option, _REPLY_ACK if known else _REPLY_UNSUPPORTED))
        if option == _OPTION_ABORT:
            return None


def _option_reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">QIII", _OPTION_REPLY_MAGIC, option, kind, len(data)) + data
