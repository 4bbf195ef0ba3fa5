"""A port on this host to commands in the guest: SSH through fabric. The only module that meets fabric and paramiko.

The key pair is made for the run and lives in memory only. The guest makes its host key at boot and prints it on its
console, which only our QEMU can write to, so the key is pinned and never trusted on first use.
"""

from __future__ import annotations

import base64
import io
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fabric
import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from invoke.exceptions import CommandTimedOut, ThreadException

from lab.deadline import Deadline
from lab.errors import DeadlineError, GuestError
from lab.machine.terminal import TerminalSize

_GRACE_S = 2.0
"""How much later than fabric's own deadline ours closes the connection: the gentle one keeps it usable."""
_NO_STATUS = -1
"""What paramiko says where a command left no exit status: it was killed, or the connection broke."""
_ENDING_S = 0.5


@dataclass(frozen=True)
class RunKey:
    """An SSH key pair made for one run.

    :param public: the base64 field of an ``ssh-ed25519`` public key line.
    """

    public: str
    _private: paramiko.PKey

    @classmethod
    def new(cls) -> RunKey:
        """Make a key pair."""
        return cls._from_text(_new_private_key())

    @classmethod
    def stored(cls, path: Path) -> RunKey:
        """Return the key pair of a file, made if it is not there, for guests that people start by hand.

        :raise GuestError: the file holds something else.
        """
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as sink:
                sink.write(_new_private_key())
        try:
            return cls._from_text(path.read_text(encoding="utf-8"))
        except (paramiko.SSHException, ValueError) as err:
            raise GuestError(f"{path} holds no SSH key: {err}", remedy="remove the file") from err

    @classmethod
    def _from_text(cls, text: str) -> RunKey:
        private = paramiko.Ed25519Key.from_private_key(io.StringIO(text))
        return cls(private.get_base64(), private)


@dataclass(frozen=True)
class ShellResult:
    """What a command in the guest left behind: exit status and decoded output."""

    command: str
    exited: int
    stdout: str
    stderr: str


class GuestShell:
    """An SSH connection into a guest.

    :param port: on 127.0.0.1.
    :param host_key: the base64 field of the guest's ``ssh-ed25519`` host key, as seen on its console.
    :param timeout_s: for the whole connection, from TCP to the accepted key.
    :raise GuestError: the guest does not answer, or shows another host key.
    :raise DeadlineError: it did not answer in time.
    """

    def __init__(self, port: int, key: RunKey, host_key: str, *, timeout_s: float = 20.0) -> None:
        _silence_paramiko()
        # The user's ~/.ssh/config and fabric files have no say in how the lab reaches its own guest.
        config = fabric.Config(overrides={"load_ssh_configs": False}, lazy=True)
        self._connection = fabric.Connection(
            "127.0.0.1",
            user="root",
            port=port,
            config=config,
            connect_timeout=timeout_s,
            connect_kwargs={
                "pkey": key._private,  # noqa: SLF001 - the pair and the connection are one unit
                "allow_agent": False,
                "look_for_keys": False,
                "banner_timeout": timeout_s,
                "auth_timeout": timeout_s,
                "channel_timeout": timeout_s,
            },
        )
        client = self._connection.client
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            pinned = paramiko.Ed25519Key(data=base64.b64decode(host_key, validate=True))
            client.get_host_keys().add(f"[127.0.0.1]:{port}", "ssh-ed25519", pinned)
            with self._bounded("the guest to accept our key over SSH", timeout_s):
                self._connection.open()
        except (paramiko.SSHException, OSError, EOFError, ValueError) as err:
            self.close()
            raise GuestError(f"SSH to the guest failed: {err or type(err).__name__}") from err
        except DeadlineError:
            self.close()
            raise

    def run(self, command: str, *, timeout_s: float, check: bool = True) -> ShellResult:
        """Run a command line in the guest's shell.

        :raise GuestError: the connection broke, or (with ``check``) the command failed.
        :raise DeadlineError: it did not end in time.
        """
        deadline = Deadline(timeout_s)
        late = DeadlineError(f"'{command}' in the guest was still running after {timeout_s:g} s")
        try:
            with self._bounded(f"'{command}' in the guest", timeout_s):
                result = self._connection.run(command, hide=True, warn=True, in_stream=False, timeout=timeout_s)
        except CommandTimedOut:
            raise late from None
        except (paramiko.SSHException, OSError, EOFError, ThreadException) as err:
            raise GuestError(f"the guest went away during '{command}': {err or type(err).__name__}") from err
        if result.exited == _NO_STATUS:
            if deadline.passed():  # fabric ended it, but asks its timer too early whether it did
                raise late
            if self._is_broken():
                raise GuestError(f"the guest went away during '{command}'")
        if check and result.exited != 0:
            tail = "\n".join((result.stderr or result.stdout).splitlines()[-10:])
            raise GuestError(f"'{command}' in the guest failed with exit status {result.exited}:\n{tail}")
        return ShellResult(command, result.exited, result.stdout, result.stderr)

    def put(self, content: bytes, path: str, *, timeout_s: float = 20.0) -> None:
        """Write a file in the guest, ``cat`` at the other end: the guest has no sftp server.

        :param path: an absolute path of letters, digits and ``/._-``, for it stands in a shell line.
        :raise GuestError: the connection broke, or the file could not be written.
        :raise DeadlineError: it was not written in time.
        """
        if not path.startswith("/") or not all(char.isalnum() or char in "/._-" for char in path):
            raise GuestError(f"'{path}' is not a path the lab writes in a guest")
        try:
            with self._bounded(f"{path} to be written in the guest", timeout_s):
                channel = self._connection.transport.open_session(timeout=timeout_s)
                channel.settimeout(timeout_s)
                channel.exec_command(f"cat >{path}")
                channel.sendall(content)
                channel.shutdown_write()
                status = channel.recv_exit_status()
                channel.close()
        except (paramiko.SSHException, OSError, EOFError) as err:
            raise GuestError(f"{path} could not be written in the guest: {err or type(err).__name__}") from err
        if status != 0:
            raise GuestError(f"{path} could not be written in the guest: exit status {status}")

    def session(self, command: str | None, *, size: TerminalSize | None, timeout_s: float = 20.0) -> paramiko.Channel:
        """Start the login shell, or a command, for somebody who talks to it; lab/machine/terminal.py carries the words.

        :param command: None for the login shell.
        :param size: of the terminal that the guest is to make; None makes none, as for a command in a pipe.
        :raise GuestError: the connection broke, or the guest refused.
        :raise DeadlineError: it did not start in time.
        """
        try:
            with self._bounded("a session in the guest", timeout_s):
                channel: paramiko.Channel = self._connection.transport.open_session(timeout=timeout_s)
                if size is not None:
                    channel.get_pty(size.name, size.columns, size.rows)
                if command is None:
                    channel.invoke_shell()
                else:
                    channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as err:
            raise GuestError(f"the guest gave no session: {err or type(err).__name__}") from err
        return channel

    @contextmanager
    def _bounded(self, what: str, timeout_s: float) -> Iterator[None]:
        """Close the connection when a call overruns its time.

        paramiko waits without limit for a peer that has gone silent: for the answer to ``exec`` and for an exit status;
        fabric's own deadline begins after that. A connection that is closed under a call ends the call. Where paramiko
        does give up by itself, its error is that of a connection that broke; the clock tells which it was.

        :raise DeadlineError: the time was over.
        """
        deadline = Deadline(timeout_s)
        over = threading.Event()

        def give_up() -> None:
            over.set()
            self._close_transport()

        timer = threading.Timer(timeout_s + _GRACE_S, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        except CommandTimedOut:
            raise
        except Exception as err:
            if over.is_set() or deadline.passed():
                raise DeadlineError(f"waited {timeout_s:g} s for {what}, and the guest fell silent") from err
            raise
        finally:
            timer.cancel()
        if over.is_set():
            raise DeadlineError(f"waited {timeout_s:g} s for {what}, and the guest fell silent")

    def _close_transport(self) -> None:
        transport = self._connection.client.get_transport()
        if transport is not None:
            transport.close()

    def _is_broken(self) -> bool:
        """Tell whether the connection is lost; its thread ends a moment after it has ended the channels."""
        transport = self._connection.client.get_transport()
        if transport is not None:
            transport.join(_ENDING_S)
        return transport is None or not transport.is_active()

    def close(self) -> None:
        """Close the connection. A guest that hangs must not hang us: paramiko waits for its peer, so a thread does."""
        closer = threading.Thread(target=self._connection.close, name="ssh-close", daemon=True)
        closer.start()
        closer.join(3.0)


def _silence_paramiko() -> None:
    """Keep paramiko's log to itself: without a handler, logging's last resort prints what a guest says to stderr."""
    log = logging.getLogger("paramiko")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    log.propagate = False


def _new_private_key() -> str:
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )
