"""The qtest socket as a doorbell: a kick is a line that any process may send, and nobody waits for its answer.

QEMU has one qtest socket and one guest's worth of registers behind it, but a socket may be held by several processes. A
line goes into it in one send, which a Unix socket keeps together, so the drivers ring without asking each other. The
answers ("OK") are no one's in particular: whoever rings reads what is there, so that QEMU never finds its side full.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from lab.errors import StageError

_MOST_ANSWERS = 65536


class Doorbell:
    """The end of a qtest socket that is used for kicks.

    :param connection: shared with other processes.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection

    def ring(self, address: int, queue: int) -> None:
        """Notify the device of a virtqueue, without waiting.

        Where the socket is full the kick is lost: its owner kicks again when nothing comes back.

        :param address: of the queue's notification register, guest-physical.
        :raise StageError: QEMU is gone, or refused an earlier kick.
        """
        self.read_answers()
        try:
            with suppress(BlockingIOError):
                self._connection.send(f"writew {address:#x} {queue:#x}\n".encode())
        except OSError as err:
            raise StageError(f"the qtest connection was lost: {err}") from err

    def read_answers(self) -> None:
        """Read what QEMU has answered to kicks, whoever sent them.

        :raise StageError: QEMU is gone, or refused a kick.
        """
        try:
            answers = self._connection.recv(_MOST_ANSWERS)
        except BlockingIOError:
            return
        except OSError as err:
            raise StageError(f"the qtest connection was lost: {err}") from err
        if not answers:
            raise StageError("QEMU closed the qtest connection")
        if answers.strip(b"OK\n"):
            raise StageError(f"QEMU answered a kick with {answers[:100]!r}")
