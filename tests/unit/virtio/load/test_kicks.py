import socket
from typing import cast

import pytest

from lab.errors import StageError
from lab.virtio.load.kicks import Doorbell


class FakeSocket:
    """The lab's end of a qtest socket.

    :param answers: what each ``recv`` finds; nothing more after that.
    :param full: no line can be sent.
    """

    def __init__(self, *answers: bytes | OSError, full: bool = False) -> None:
        self.answers = list(answers)
        self.sent: list[bytes] = []
        self.blocking = True
        self._full = full

    def setblocking(self, flag: bool) -> None:
        """Keep it."""
        self.blocking = flag

    def recv(self, size: int) -> bytes:
        """Return the next answer."""
        if not self.answers:
            raise BlockingIOError
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer[:size]

    def send(self, data: bytes) -> int:
        """Keep the line."""
        if self._full:
            raise BlockingIOError
        if not self.answers and self.sent == [b"last"]:
            raise BrokenPipeError("gone")
        self.sent.append(data)
        return len(data)


def bell(fake: FakeSocket) -> Doorbell:
    """Return a doorbell on a fake socket."""
    return Doorbell(cast("socket.socket", fake))


def test_a_kick_is_one_line_and_nobody_waits() -> None:
    """A write of 16 bits to the queue's notification register (QEMU's system/qtest.c)."""
    fake = FakeSocket()
    bell(fake).ring(0xE0003008, 2)
    assert fake.sent == [b"writew 0xe0003008 0x2\n"]
    assert not fake.blocking


def test_answers_are_read_by_whoever_rings() -> None:
    """Also several at once, and parts of one."""
    fake = FakeSocket(b"OK\nOK\nO")
    bell(fake).ring(0x1000, 2)
    assert not fake.answers


def test_a_kick_that_does_not_fit_is_left_out() -> None:
    """QEMU is busy with others; the driver kicks again when nothing comes back."""
    fake = FakeSocket(full=True)
    bell(fake).ring(0x1000, 2)
    assert not fake.sent


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "closed the qtest connection"),
        (b"FAIL Unknown command", "answered a kick with b'FAIL"),
        (ConnectionResetError("reset"), "connection was lost: reset"),
    ],
)
def test_a_qemu_that_is_gone_or_refuses(answer: bytes | OSError, message: str) -> None:
    """Said at once."""
    with pytest.raises(StageError, match=message):
        bell(FakeSocket(answer)).ring(0x1000, 2)


def test_a_qemu_that_goes_while_a_kick_is_sent() -> None:
    """Said at once, too."""
    fake = FakeSocket()
    fake.sent = [b"last"]
    with pytest.raises(StageError, match="connection was lost: gone"):
        bell(fake).ring(0x1000, 2)
