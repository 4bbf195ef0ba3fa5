import struct

import pytest

from lab.errors import StageError
from lab.virtio.nbd import NbdCommand, NbdRequest, Session, request_from_bytes, shake_hands

GO, STRUCTURED, ABORT = 7, 8, 2
READ = NbdRequest(NbdCommand.READ, cookie=42, offset=1024, length=4)


class Peer:
    """A client whose words are fixed.

    :param options: number and data of each option it sends.
    """

    def __init__(self, *options: tuple[int, bytes], magic: int = 0x49484156454F5054) -> None:
        words = struct.pack(">I", 3)
        for number, data in options:
            words += struct.pack(">QII", magic, number, len(data)) + data
        self._words = words
        self.heard = b""

    def receive(self, size: int) -> bytes:
        """Return the next words."""
        piece, self._words = self._words[:size], self._words[size:]
        if len(piece) < size:
            raise EOFError
        return piece

    def send(self, data: bytes) -> None:
        """Hear what the server says."""
        self.heard += data


def go(name: str) -> tuple[int, bytes]:
    """Return the option that names an export and begins the transmission."""
    return GO, struct.pack(">I", len(name)) + name.encode() + struct.pack(">H", 0)


def test_an_export_is_agreed_on() -> None:
    """Options that are not known are refused one by one; the last one names the export and learns its size."""
    peer = Peer((11, b""), go("disk"))
    assert shake_hands(peer.receive, peer.send, 64 << 20) == Session("disk", structured=False)
    assert peer.heard.startswith(b"NBDMAGICIHAVEOPT")
    assert struct.pack(">QII", 0x3E889045565A9, 11, 0x80000001) in peer.heard
    assert struct.pack(">HQ", 0, 64 << 20) in peer.heard
    assert peer.heard.endswith(struct.pack(">QIII", 0x3E889045565A9, GO, 1, 0))


def test_structured_replies_are_accepted() -> None:
    """The session remembers that they were agreed on."""
    peer = Peer((STRUCTURED, b""), go(""))
    assert shake_hands(peer.receive, peer.send, 512) == Session("", structured=True)


def test_a_client_that_gives_up() -> None:
    """It is let go with an acknowledgement."""
    peer = Peer((ABORT, b""))
    assert shake_hands(peer.receive, peer.send, 512) is None


@pytest.mark.parametrize("peer", [Peer(go("x"), magic=1), Peer((GO, bytes(70000)))])
def test_options_that_are_none(peer: Peer) -> None:
    """A wrong magic number or a length beyond reason ends the handshake."""
    with pytest.raises(StageError, match="cannot be read"):
        shake_hands(peer.receive, peer.send, 512)


def test_requests() -> None:
    """A header is read, and what is none is refused."""
    header = struct.pack(">IHHQQI", 0x25609513, 0, 0, 42, 1024, 4)
    assert request_from_bytes(header) == READ
    with pytest.raises(StageError, match="where a request begins"):
        request_from_bytes(bytes(28))


def test_simple_replies() -> None:
    """Header and data, or an error and nothing."""
    session = Session("x", structured=False)
    assert session.reply(READ, data=b"data") == (struct.pack(">IIQ", 0x67446698, 0, 42), b"data")
    assert session.reply(READ, error=5) == (struct.pack(">IIQ", 0x67446698, 5, 42), b"")


@pytest.mark.parametrize(
    ("error", "data", "kind", "payload"),
    [
        (0, b"data", 1, struct.pack(">Q", 1024) + b"data"),
        (5, b"", 0x8001, struct.pack(">IH", 5, 0)),
        (0, b"", 0, b""),
    ],
)
def test_structured_replies(error: int, data: bytes, kind: int, payload: bytes) -> None:
    """One last chunk: data with its offset, an error, or nothing."""
    header = struct.pack(">IHHQI", 0x668E33EF, 1, kind, 42, len(payload))
    assert Session("x", structured=True).reply(READ, error=error, data=data) == (header, payload)
