"""A disk that waits for us: an NBD server that holds each READ and WRITE until it is told how the request ends.

It lives in threads of this process, so it still releases requests while QEMU's main loop is blocked. Blocks that were
never written hold their own number, so that a read of the wrong block shows.

Why not something of QEMU's: a request on null-co cannot be released early, throttling runs on a clock that stands
still under qtest and a drain lifts it, and resuming blkdebug from the monitor breaks with IOThreads.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import sys
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from lab.deadline import Deadline
from lab.errors import DeadlineError, HostError, StageError
from lab.virtio.nbd import REQUEST_BYTES, NbdCommand, NbdRequest, Session, request_from_bytes, shake_hands
from lab.virtio.scsi import BLOCK_BYTES

_READ_S = 0.02
_SETTLE_S = 0.002


@dataclass(frozen=True)
class BlockRequest:
    """A READ or WRITE that reached the disk.

    :param number: counts from 0 over all exports, in order of arrival.
    :param export: name of the disk.
    :param command: READ or WRITE.
    :param lba: first block.
    :param at_s: when it came, on the monotonic clock.
    """

    number: int
    export: str
    command: NbdCommand
    lba: int
    at_s: float


def block_pattern(lba: int) -> bytes:
    """Return what a block holds before it was written: its number, over and over."""
    return lba.to_bytes(8, "big") * (BLOCK_BYTES // 8)


class HoldServer:
    """An NBD server on a Unix socket; any export name is a disk of its own. A context manager.

    :param socket_path: where to listen; at most 107 bytes long.
    :param size_mib: size of each disk.
    :raise HostError: no socket can be made there.
    """

    def __init__(self, socket_path: Path, *, size_mib: int = 64) -> None:
        self.socket_path = socket_path
        self._size_bytes = size_mib << 20
        self._lock = threading.Lock()
        self._holding = False
        self._held: dict[int, tuple[BlockRequest, _Client, NbdRequest]] = {}
        self._log: list[BlockRequest] = []
        self._blocks: dict[tuple[str, int], bytes] = {}
        self._clients: list[_Client] = []
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._listener.bind(str(socket_path))
        except OSError as err:
            self._listener.close()
            raise HostError(
                f"no Unix socket can be made at {socket_path}: {err}", remedy="set TMPDIR to a folder with a short path"
            ) from err
        self._listener.listen()
        threading.Thread(target=self._accept, name="hold-server", daemon=True).start()

    def hold(self) -> None:
        """Keep what arrives from now on."""
        with self._lock:
            self._holding = True

    def let_through(self) -> None:
        """Answer what arrives from now on at once; what is held stays held."""
        with self._lock:
            self._holding = False

    def held(self) -> tuple[BlockRequest, ...]:
        """Return what is held, in order of arrival."""
        with self._lock:
            return tuple(request for request, _, _ in self._held.values())

    def log(self) -> tuple[BlockRequest, ...]:
        """Return every READ and WRITE that ever arrived."""
        with self._lock:
            return tuple(self._log)

    def release(self, request: BlockRequest, *, error: int = 0) -> None:
        """End a held request.

        :param error: 0, or ``errno.EIO`` to fail it.
        :raise StageError: it is not held.
        """
        with self._lock:
            entry = self._held.pop(request.number, None)
        if entry is None:
            raise StageError(f"block request {request.number} is not held")
        _, client, nbd_request = entry
        data = self._read(request.export, nbd_request) if error == 0 else b""
        client.reply(nbd_request, error, data, in_two_pieces=True)

    def release_all(self) -> None:
        """End everything that is held, in order of arrival, and let the rest through."""
        self.let_through()
        for request in self.held():
            self.release(request)

    def drop_clients(self) -> None:
        """Hang up on every client: QEMU fails what it has in flight. Held requests are forgotten."""
        with self._lock:
            clients, self._clients = self._clients, []
            self._held.clear()
        for client in clients:
            client.hang_up()

    def close(self) -> None:
        """Stop listening and hang up."""
        self._listener.close()
        self.drop_clients()
        self.socket_path.unlink(missing_ok=True)

    def __enter__(self) -> HoldServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            client = _Client(connection)
            with self._lock:
                self._clients.append(client)
            threading.Thread(target=self._serve, args=(client,), name="hold-server-client", daemon=True).start()

    def _serve(self, client: _Client) -> None:
        try:
            client.session = shake_hands(client.receive, client.send, self._size_bytes)
            while client.session is not None:
                request = request_from_bytes(client.receive(REQUEST_BYTES))
                if request.command == NbdCommand.DISCONNECT:
                    break
                self._handle(client.session.export, client, request)
        except (EOFError, OSError, StageError):
            pass  # QEMU went away, which the side that drives it sees for itself
        client.hang_up()

    def _handle(self, export: str, client: _Client, request: NbdRequest) -> None:
        if request.command == NbdCommand.WRITE:
            self._write(export, request, client.receive(request.length))
        elif request.command == NbdCommand.FLUSH:
            client.reply(request, 0, b"")
            return
        elif request.command != NbdCommand.READ:
            client.reply(request, errno.EINVAL, b"")
            return
        with self._lock:
            command = NbdCommand(request.command)
            block = BlockRequest(len(self._log), export, command, request.offset // BLOCK_BYTES, time.monotonic())
            self._log.append(block)
            if self._holding:
                self._held[block.number] = (block, client, request)
                return
        client.reply(request, 0, self._read(export, request))

    def _write(self, export: str, request: NbdRequest, data: bytes) -> None:
        first = request.offset // BLOCK_BYTES
        for index in range(request.length // BLOCK_BYTES):
            self._blocks[export, first + index] = data[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES]

    def _read(self, export: str, request: NbdRequest) -> bytes:
        if request.command != NbdCommand.READ:
            return b""
        first = request.offset // BLOCK_BYTES
        lbas = range(first, first + request.length // BLOCK_BYTES)
        return b"".join(self._blocks.get((export, lba)) or block_pattern(lba) for lba in lbas)


class _Client:
    """One connection; replies come from several threads, so each is sent whole."""

    def __init__(self, connection: socket.socket) -> None:
        self.session: Session | None = None
        self._connection = connection
        self._send_lock = threading.Lock()

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._connection.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def reply(self, request: NbdRequest, error: int, data: bytes, *, in_two_pieces: bool = False) -> None:
        assert self.session is not None, "a request comes after the handshake"
        header, payload = self.session.reply(request, error=error, data=data)
        try:
            with self._send_lock:
                if in_two_pieces and payload:
                    self.send(header)
                    self._let_qemu_settle()
                    self.send(payload)
                else:
                    self.send(header + payload)
        except OSError:  # QEMU closed the disk; nobody waits for this any more
            self.hang_up()

    def _let_qemu_settle(self) -> None:
        """Wait until QEMU has read a header and its coroutines have gone to sleep again (see lab.virtio.nbd)."""
        for seconds, check in ((_READ_S, self._nothing_unread), (_SETTLE_S, lambda: None)):
            with contextlib.suppress(DeadlineError):
                Deadline(seconds).wait_for("QEMU to read a header", check, interval_s=0.0005)

    def _nothing_unread(self) -> bool | None:
        unread = fcntl.ioctl(self._connection, termios.TIOCOUTQ, bytes(4))  # SIOCOUTQ of unix(7)
        return int.from_bytes(unread, sys.byteorder) == 0 or None

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):  # it hung up first
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
