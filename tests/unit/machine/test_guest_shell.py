"""The guest shell against a real SSH server on loopback, one that falls silent above all."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import DeadlineError, GuestError
from lab.machine import guest_shell
from lab.machine.guest_shell import GuestShell, RunKey
from lab.machine.terminal import TerminalSize
from tests.unit.machine.ssh_peer import Silent, SshPeer, ssh_peer

TIMEOUT_S = 0.3
LATE_S = 2.0
"""How much later than its timeout a call may end on a busy host; a call that hangs takes ten seconds."""
LARGE = bytes(3 << 20)
"""More than the window of a channel (2 MiB), so that writing it needs an answer."""
KEY = RunKey.new()


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time after a deadline in which fabric may end a command itself."""
    monkeypatch.setattr(guest_shell, "_GRACE_S", 0.1)


@contextmanager
def shell_of(peer: SshPeer, *, timeout_s: float = 5.0) -> Iterator[GuestShell]:
    """Connect to a peer."""
    shell = GuestShell(peer.port, KEY, peer.host_key.public, timeout_s=timeout_s)
    try:
        yield shell
    finally:
        shell.close()


@contextmanager
def late() -> Iterator[pytest.ExceptionInfo[DeadlineError]]:
    """Expect a deadline to pass, soon after its time."""
    begin = time.monotonic()
    with pytest.raises(DeadlineError) as caught:
        yield caught
    took_s = time.monotonic() - begin
    assert TIMEOUT_S <= took_s < TIMEOUT_S + LATE_S, took_s


def test_a_run_key_is_new_each_time_and_an_ed25519_key() -> None:
    """The public part is the base64 field of an authorized_keys line."""
    one, other = RunKey.new(), RunKey.new()
    assert one.public != other.public
    assert base64.b64decode(one.public)[4:15] == b"ssh-ed25519"


def test_the_private_key_does_not_show_in_a_repr() -> None:
    """A key in a traceback would be a key in a log."""
    assert "PRIVATE" not in repr(RunKey.new())


def test_a_stored_key_is_made_once_and_is_its_owner_s(tmp_path: Path) -> None:
    """The second call reads what the first one wrote, and nobody else can."""
    path = tmp_path / "by-hand"
    assert RunKey.stored(path).public == RunKey.stored(path).public
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "no key\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_file_that_holds_no_key(tmp_path: Path, text: str) -> None:
    """The remedy is to remove it."""
    path = tmp_path / "by-hand"
    path.write_text(text)
    with pytest.raises(GuestError, match="holds no SSH key") as caught:
        RunKey.stored(path)
    assert caught.value.remedy == "remove the file"


@pytest.mark.parametrize("path", ["relative", "/tmp/a b", "/tmp/$(reboot)", "/tmp/x;y"])
def test_a_path_that_a_shell_would_read_otherwise_is_refused(path: str) -> None:
    """The path stands in a shell line of the guest."""
    shell = cast("Any", object.__new__(GuestShell))
    with pytest.raises(GuestError, match="is not a path the lab writes"):
        shell.put(b"", path)


def test_commands_and_files_get_in_and_answers_come_out() -> None:
    """Output, status and the bytes of a file arrive as they are, and a connection serves many calls."""
    with ssh_peer(KEY) as peer, shell_of(peer) as shell:
        assert shell.run("echo one two", timeout_s=5).stdout == "one two\n"
        failed = shell.run("fail badly", timeout_s=5, check=False)
        assert (failed.exited, failed.stderr) == (3, "badly\n")
        shell.put(LARGE, "/tmp/lab/file", timeout_s=5)
        assert peer.received == LARGE
        assert peer.commands == ["echo one two", "fail badly", "cat >/tmp/lab/file"]
        assert len(peer.transports) == 1


def test_a_checked_command_that_fails_says_how() -> None:
    """Exit status and the end of what it printed."""
    message = "'fail badly' in the guest failed with exit status 3:\nbadly"
    with ssh_peer(KEY) as peer, shell_of(peer) as shell, pytest.raises(GuestError, match=message):
        shell.run("fail badly", timeout_s=5)


@pytest.mark.parametrize("check", [True, False])
def test_a_connection_that_breaks_is_no_exit_status(check: bool) -> None:
    """A guest that hangs up in the middle of a command has gone away: the command did not fail."""
    message = "the guest went away during 'vanish'"
    with ssh_peer(KEY) as peer, shell_of(peer) as shell, pytest.raises(GuestError, match=message):
        shell.run("vanish", timeout_s=5, check=check)


def test_a_killed_command_leaves_no_exit_status() -> None:
    """The connection is whole, so what failed is the command, and whoever does not check it sees -1."""
    with ssh_peer(KEY) as peer, shell_of(peer) as shell:
        assert shell.run("die", timeout_s=5, check=False).exited == -1
        assert shell.run("echo alive", timeout_s=5).stdout == "alive\n"


def test_a_command_that_fabric_ended_is_late_however_fabric_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """invoke 2.2 asks whether its timer's thread has ended; while it has not, a late command has exit status -1."""
    monkeypatch.setattr("invoke.runners.Runner.timed_out", False)
    with ssh_peer(KEY, Silent.DURING_COMMAND) as peer, shell_of(peer) as shell, late() as caught:
        shell.run("echo x", timeout_s=TIMEOUT_S, check=False)
    assert "still running after 0.3 s" in caught.value.message


def put(shell: GuestShell) -> None:
    """Write a small file."""
    shell.put(b"x", "/tmp/f", timeout_s=TIMEOUT_S)


def put_much(shell: GuestShell) -> None:
    """Write more than fits without an answer."""
    shell.put(LARGE, "/tmp/f", timeout_s=TIMEOUT_S)


def run(shell: GuestShell) -> None:
    """Run a command."""
    shell.run("echo x", timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("call", [run, put, put_much])
@pytest.mark.parametrize("silent", [Silent.AT_CHANNEL, Silent.AT_EXEC, Silent.DURING_COMMAND])
def test_a_guest_that_falls_silent_ends_a_call_in_time(silent: Silent, call: Callable[[GuestShell], None]) -> None:
    """Whatever paramiko is waiting for, the call ends soon after its timeout, and with a deadline's error."""
    with ssh_peer(KEY, silent) as peer, shell_of(peer) as shell:
        with late() as caught:
            call(shell)
        assert "in the guest" in caught.value.message


def test_a_guest_that_is_silent_before_it_knows_us() -> None:
    """The key was offered, and no answer comes."""
    with ssh_peer(KEY, Silent.BEFORE_AUTH) as peer, late():
        GuestShell(peer.port, KEY, peer.host_key.public, timeout_s=TIMEOUT_S)


def test_a_port_behind_which_nobody_speaks() -> None:
    """QEMU's port forwarding takes a connection before the guest can."""
    with socket.create_server(("127.0.0.1", 0)) as listener, late():
        GuestShell(listener.getsockname()[1], KEY, KEY.public, timeout_s=TIMEOUT_S)


def test_after_a_silence_the_next_call_makes_a_new_connection() -> None:
    """The call that was too late cost the connection, not the guest."""
    with ssh_peer(KEY, Silent.DURING_COMMAND) as peer, shell_of(peer) as shell:
        with late():
            put(shell)
        peer.woken.set()
        assert shell.run("echo back", timeout_s=5).stdout == "back\n"
        assert len(peer.transports) == 2


def test_a_port_that_is_closed() -> None:
    """Nobody listens: an error at once, not a deadline."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(GuestError, match="SSH to the guest failed"):
        GuestShell(port, KEY, KEY.public, timeout_s=5)


def test_another_host_key_than_the_console_s_is_refused() -> None:
    """Whoever answers on the port, it is not our guest: no command is sent."""
    with ssh_peer(KEY) as peer:
        with pytest.raises(GuestError, match="SSH to the guest failed"):
            GuestShell(peer.port, KEY, RunKey.new().public, timeout_s=5)
        assert peer.commands == []


@pytest.mark.parametrize("host_key", ["", "no base64!", base64.b64encode(b"no key").decode()])
def test_a_console_that_shows_no_key(host_key: str) -> None:
    """What the console printed is foreign, and may be anything; no connection is made."""
    with ssh_peer(KEY) as peer:
        with pytest.raises(GuestError, match="SSH to the guest failed"):
            GuestShell(peer.port, KEY, host_key, timeout_s=5)
        assert peer.transports == []


def test_another_key_than_ours_is_not_let_in() -> None:
    """The guest knows one key."""
    with ssh_peer(RunKey.new()) as peer, pytest.raises(GuestError, match="SSH to the guest failed"):
        GuestShell(peer.port, KEY, peer.host_key.public, timeout_s=5)


def test_what_a_guest_says_in_greeting_reaches_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Escape sequences in either greeting would drive the user's terminal; paramiko logs both."""
    with ssh_peer(KEY, version="SSH-2.0-\x1b[2J", says="\x1b]0;owned\x07\n") as peer, shell_of(peer) as shell:
        shell.run("echo x", timeout_s=5)
    with ssh_peer(KEY, version="\x1b[31mHTTP/1.1 400\x07") as peer, pytest.raises((GuestError, DeadlineError)):
        GuestShell(peer.port, KEY, peer.host_key.public, timeout_s=TIMEOUT_S)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("command", "size", "says"), [(None, TerminalSize("xterm", 132, 50), b"login shell\n"), ("echo x", None, b"x\n")]
)
def test_a_session_is_the_login_shell_or_a_command(command: str | None, size: TerminalSize | None, says: bytes) -> None:
    """With a terminal of the asked size, or with none; the exit status comes at the end."""
    with ssh_peer(KEY) as peer, shell_of(peer) as shell:
        channel = shell.session(command, size=size)
        channel.settimeout(5.0)
        assert channel.recv(100) == says and channel.recv_exit_status() == 0
        assert peer.terminals == ([("xterm", 132, 50)] if size else [])


def test_a_session_that_does_not_start() -> None:
    """A guest that is gone, and one that falls silent."""
    with ssh_peer(KEY) as peer, shell_of(peer) as shell:
        peer.transports[0].close()
        with pytest.raises(GuestError, match="gave no session"):
            shell.session(None, size=None)
    with ssh_peer(KEY, Silent.AT_CHANNEL) as peer, shell_of(peer) as shell, late():
        shell.session(None, size=None, timeout_s=TIMEOUT_S)
