"""A real SSH server on loopback that behaves until a chosen moment and then falls silent, as a hung guest does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, MSG_CHANNEL_SUCCESS, OPEN_SUCCEEDED

from lab.machine.guest_shell import RunKey

BANNER = "SSH-2.0-peer"
_LONGEST_S = 10.0
"""Nothing here outlives a test that failed."""


class AnsweringTransport(paramiko.Transport):
    """A server's end that tells when it has answered ``exec``: what comes before the answer would confuse a client."""

    def __init__(self, connection: socket.socket, version: str) -> None:
        super().__init__(connection)
        self.local_version = version
        self.answered = threading.Event()

    def _send_message(self, data: paramiko.Message) -> None:
        super()._send_message(data)  # type: ignore[misc]
        if data.asbytes()[0] == MSG_CHANNEL_SUCCESS:
            self.answered.set()


class Silent(Enum):
    """From when on the peer says nothing more."""

    NEVER = auto()
    BEFORE_AUTH = auto()
    AT_CHANNEL = auto()
    AT_EXEC = auto()
    DURING_COMMAND = auto()


class SshPeer(paramiko.ServerInterface):
    """A guest with one user. It answers ``echo``, ``cat``, ``fail`` and ``die``, and hangs up on ``vanish``.

    :param says: shown before the key is accepted (RFC 4252, section 5.4).
    """

    def __init__(self, key: RunKey, silent: Silent, says: str) -> None:
        self.host_key = RunKey.new()
        self.port = 0
        self.commands: list[str] = []
        self.terminals: list[tuple[str, int, int]] = []
        self.received = b""
        self.transports: list[AnsweringTransport] = []
        self.workers: list[threading.Thread] = []
        self.woken = threading.Event()
        self._key = key
        self._silent = silent
        self._says = says

    def get_allowed_auths(self, username: str) -> str:
        """Keys only."""
        return "publickey"

    def get_banner(self) -> tuple[str | None, str | None]:
        """Return what is shown before the key is accepted."""
        return (self._says, "en") if self._says else (None, None)

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Accept the run's key only."""
        self._sleep_from(Silent.BEFORE_AUTH)
        known = username == "root" and key.get_base64() == self._key.public
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Open any channel."""
        self._sleep_from(Silent.AT_CHANNEL)
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """Do a command in a thread of its own."""
        self._sleep_from(Silent.AT_EXEC)
        self.commands.append(command.decode())
        transport = self.transports[-1]
        transport.answered.clear()
        worker = threading.Thread(target=self._do, args=(transport, channel, command.decode()), daemon=True)
        self.workers.append(worker)
        worker.start()
        return True

    def check_channel_pty_request(
        self,
        channel: paramiko.Channel,
        term: bytes,
        width: int,
        height: int,
        pixelwidth: int,
        pixelheight: int,
        modes: bytes,
    ) -> bool:
        """Give a terminal of any size."""
        self.terminals.append((term.decode(), width, height))
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        """Be a login shell that says so and ends."""
        return self.check_channel_exec_request(channel, b"echo login shell")

    def _do(self, transport: AnsweringTransport, channel: paramiko.Channel, command: str) -> None:
        transport.answered.wait(_LONGEST_S)
        self._sleep_from(Silent.DURING_COMMAND)
        verb, _, rest = command.partition(" ")
        with suppress(OSError, EOFError, paramiko.SSHException):  # the client has hung up, as it should
            if verb == "vanish":
                transport.close()
                return
            if verb == "cat":
                self.received = channel.makefile("rb").read()
            if verb == "echo":
                channel.sendall(f"{rest}\n".encode())
            if verb == "fail":
                channel.sendall_stderr(f"{rest}\n".encode())
            if verb != "die":
                channel.send_exit_status(3 if verb == "fail" else 0)
            channel.close()

    def _sleep_from(self, moment: Silent) -> None:
        if self._silent is moment:
            self.woken.wait(_LONGEST_S)


@contextmanager
def ssh_peer(key: RunKey, silent: Silent = Silent.NEVER, *, version: str = BANNER, says: str = "") -> Iterator[SshPeer]:
    """Serve until the block ends.

    :param version: the line that the server begins with (RFC 4253, section 4.2).
    """
    peer = SshPeer(key, silent, says)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer.port = listener.getsockname()[1]
        server = threading.Thread(target=_serve, args=(listener, peer, version), daemon=True)
        server.start()
        try:
            yield peer
        finally:
            peer.woken.set()
            listener.shutdown(socket.SHUT_RDWR)
            server.join(_LONGEST_S)
            for transport in peer.transports:
                transport.close()
                transport.join(_LONGEST_S)
                transport.answered.set()
            for worker in peer.workers:
                worker.join(_LONGEST_S)


def _serve(listener: socket.socket, peer: SshPeer, version: str) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        transport = AnsweringTransport(connection, version)
        transport.add_server_key(peer.host_key._private)
        peer.transports.append(transport)
        transport.start_server(event=threading.Event(), server=peer)
