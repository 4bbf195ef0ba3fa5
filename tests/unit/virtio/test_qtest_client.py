import socket
from collections import deque
from typing import cast

import pytest

from lab.errors import DeadlineError, StageError
from lab.testing import FakeClock
from lab.virtio.qtest_client import QtestClient


class FakeSocket:
    """The QEMU end of a qtest session: answers are read in pieces; ``None`` is silence, an exception is raised.

    Who does not wait hears nothing, unless ``talkative``: then the pieces come without delay.

    :param pieces: what each ``recv`` returns.
    """

    def __init__(self, *pieces: bytes | OSError | None) -> None:
        self.pieces = deque(pieces)
        self.sent: list[bytes] = []
        self.closed = False
        self.talkative = False
        self._wait_s = 0.0

    def sendall(self, data: bytes) -> None:
        """Keep what was sent."""
        if self.closed:
            raise BrokenPipeError("closed")
        self.sent.append(data)

    def recv(self, size: int) -> bytes:
        """Return the next piece."""
        if self._wait_s == 0.0 and not (self.talkative and self.pieces):
            raise BlockingIOError
        piece = self.pieces.popleft()
        if piece is None:
            raise TimeoutError
        if isinstance(piece, OSError):
            raise piece
        return piece

    def settimeout(self, seconds: float) -> None:
        """Take how long to wait; None, which is for ever, is no number."""
        self._wait_s = seconds
        assert seconds >= 0

    def close(self) -> None:
        """Close."""
        self.closed = True


def client(fake: FakeSocket) -> QtestClient:
    """Return a client on a fake socket."""
    return QtestClient(cast("socket.socket", fake), clock=FakeClock().now)


@pytest.mark.parametrize(("width", "letter"), [(1, "b"), (2, "w"), (4, "l"), (8, "q")])
def test_a_load_names_its_width_and_returns_the_number(width: int, letter: str) -> None:
    """Each width has its command, and the answer's hexadecimal number is the value."""
    fake = FakeSocket(b"OK 0x00000000deadbeef\n")
    assert client(fake).read(0xE0000000, width) == 0xDEADBEEF
    assert fake.sent == [f"read{letter} 0xe0000000\n".encode()]


def test_ports_and_stores() -> None:
    """Ports and stores are lines of address and value."""
    fake = FakeSocket(b"OK\n", b"OK 0x12\n", b"OK\n")
    qtest = client(fake)
    qtest.port_out(0xCF8, 0x80000000, 4)
    assert qtest.port_in(0xCFC, 2) == 0x12
    qtest.write(0x1000, 7, 1)
    assert fake.sent == [b"outl 0xcf8 0x80000000\n", b"inw 0xcfc\n", b"writeb 0x1000 0x7\n"]


def test_posted_writes_do_not_wait_and_their_answers_are_passed_over() -> None:
    """A posted write reads nothing; the next access reads past its answer, and past interrupt lines."""
    fake = FakeSocket(b"OK\nIRQ rai", b"se 11\nOK 0x5\n")
    qtest = client(fake)
    qtest.post_write(0xE0003000, 2, 2)
    assert len(fake.pieces) == 2
    assert qtest.read(0x10, 4) == 5


def test_answers_of_posted_writes_do_not_pile_up() -> None:
    """They are read as they come: QEMU would stop when the socket is full. Half a line waits for its other half."""
    fake = FakeSocket()
    qtest = client(fake)
    qtest.post_write(0, 0, 2)
    fake.pieces.append(b"OK\nO")
    fake.talkative = True
    qtest.post_write(0, 1, 2)
    assert not fake.pieces
    fake.pieces.extend((b"K\n", b"OK 0x7\n"))
    assert qtest.read(0x10, 4) == 7


def test_a_posted_write_that_failed_is_told_by_the_next() -> None:
    """Nobody waited for its answer, but it is not lost."""
    fake = FakeSocket()
    qtest = client(fake)
    qtest.post_write(0, 0, 2)
    fake.pieces.append(b"FAIL no such thing\n")
    fake.talkative = True
    with pytest.raises(StageError, match="FAIL no such thing"):
        qtest.post_write(0, 1, 2)


def test_an_answer_that_came_too_late_is_not_the_next_one() -> None:
    """After a deadline passed, the late answer is told from that of the next access."""
    fake = FakeSocket(None, b"OK 0x1\nOK 0x2\n")
    qtest = client(fake)
    with pytest.raises(DeadlineError, match="main loop did not answer 'readl 0x10'"):
        qtest.read(0x10, 4)
    assert qtest.read(0x20, 4) == 2


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (b"FAIL Unknown command\n", "answered 'FAIL Unknown command'"),
        (b"", "closed the qtest connection"),
        (ConnectionResetError("gone"), "was lost"),
    ],
)
def test_a_session_that_breaks(piece: bytes | OSError, message: str) -> None:
    """A refusal and a lost connection are told apart."""
    with pytest.raises(StageError, match=message):
        client(FakeSocket(piece)).read(0, 1)


def test_sending_to_a_qemu_that_is_gone() -> None:
    """A kick that cannot be sent says so."""
    fake = FakeSocket()
    qtest = client(fake)
    qtest.close()
    with pytest.raises(StageError, match="was lost while sending"):
        qtest.post_write(0, 0, 2)


def test_numbers_that_do_not_fit_are_never_sent() -> None:
    """QEMU would abort on them."""
    fake = FakeSocket()
    with pytest.raises(AssertionError, match="does not fit in 2 bytes"):
        client(fake).write(0, 0x10000, 2)
    assert fake.sent == []
