"""The parts of the guest shell that need no guest."""

import base64
from typing import Any, cast

import pytest

from lab.errors import GuestError
from lab.machine.guest_shell import GuestShell, RunKey


def test_a_run_key_is_new_each_time_and_an_ed25519_key() -> None:
    """The public part is the base64 field of an authorized_keys line."""
    one, other = RunKey.new(), RunKey.new()
    assert one.public != other.public
    assert base64.b64decode(one.public)[4:15] == b"ssh-ed25519"


def test_the_private_key_does_not_show_in_a_repr() -> None:
    """A key in a traceback would be a key in a log."""
    assert "PRIVATE" not in repr(RunKey.new())


@pytest.mark.parametrize("path", ["relative", "/tmp/a b", "/tmp/$(reboot)", "/tmp/x;y"])
def test_a_path_that_a_shell_would_read_otherwise_is_refused(path: str) -> None:
    """The path stands in a shell line of the guest."""
    shell = cast("Any", object.__new__(GuestShell))
    with pytest.raises(GuestError, match="is not a path the lab writes"):
        shell.put(b"", path)
