"""A port on this host to commands in the guest: SSH through fabric. The only module that meets fabric and paramiko.

The key pair is made for the run and lives in memory only. The guest makes its host key at boot and prints it on its
console, which only our QEMU can write to, so the key is pinned and never trusted on first use.
"""

from __future__ import annotations

import base64
import io
import threading
from dataclasses import dataclass

import fabric
import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from invoke.exceptions import CommandTimedOut, ThreadException

from lab.errors import DeadlineError, GuestError

_CONNECT_S = 20


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
        key = Ed25519PrivateKey.generate()
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
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
    :raise GuestError: the guest does not answer, or shows another host key.
    """

    def __init__(self, port: int, key: RunKey, host_key: str) -> None:
        # The user's ~/.ssh/config and fabric files have no say in how the lab reaches its own guest.
        config = fabric.Config(overrides={"load_ssh_configs": False}, lazy=True)
        self._connection = fabric.Connection(
            "127.0.0.1",
            user="root",
            port=port,
            config=config,
            connect_timeout=_CONNECT_S,
            connect_kwargs={
                "pkey": key._private,  # noqa: SLF001 - the pair and the connection are one unit
                "allow_agent": False,
                "look_for_keys": False,
                "banner_timeout": _CONNECT_S,
                "auth_timeout": _CONNECT_S,
            },
        )
        client = self._connection.client
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            pinned = paramiko.Ed25519Key(data=base64.b64decode(host_key, validate=True))
            client.get_host_keys().add(f"[127.0.0.1]:{port}", "ssh-ed25519", pinned)
            self._connection.open()
        except (paramiko.SSHException, OSError, EOFError, ValueError) as err:
            self.close()
            raise GuestError(f"SSH to the guest failed: {err or type(err).__name__}") from err

    def run(self, command: str, *, timeout_s: float, check: bool = True) -> ShellResult:
        """Run a command line in the guest's shell.

        :raise GuestError: the connection broke, or (with ``check``) the command failed.
        :raise DeadlineError: it did not end in time.
        """
        try:
            result = self._connection.run(command, hide=True, warn=True, in_stream=False, timeout=timeout_s)
        except CommandTimedOut:
            raise DeadlineError(f"'{command}' in the guest was still running after {timeout_s:g} s") from None
        except (paramiko.SSHException, OSError, EOFError, ThreadException) as err:
            raise GuestError(f"the guest went away during '{command}': {err or type(err).__name__}") from err
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
            channel = self._connection.transport.open_session(timeout=timeout_s)
            channel.settimeout(timeout_s)
            channel.exec_command(f"cat >{path}")
            channel.sendall(content)
            channel.shutdown_write()
            status = channel.recv_exit_status() if channel.status_event.wait(timeout_s) else None
            channel.close()
        except (paramiko.SSHException, OSError, EOFError) as err:
            raise GuestError(f"{path} could not be written in the guest: {err or type(err).__name__}") from err
        if status is None:
            raise DeadlineError(f"{path} was not written in the guest within {timeout_s:g} s")
        if status != 0:
            raise GuestError(f"{path} could not be written in the guest: exit status {status}")

    def close(self) -> None:
        """Close the connection. A guest that hangs must not hang us: paramiko waits for its peer, so a thread does."""
        closer = threading.Thread(target=self._connection.close, name="ssh-close", daemon=True)
        closer.start()
        closer.join(3.0)
