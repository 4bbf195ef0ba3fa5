"""The lock that makes one user of a host at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import ExitCode, HostError
from lab.host import exclusive
from lab.host.exclusive import host_lock


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a name of the test's own, so that no experiment on this host is in the way."""
    monkeypatch.setattr(exclusive, "LOCK_NAME", f"\0test.{tmp_path}"[:100])


def test_one_at_a_time() -> None:
    """The second is refused while the first one is under way, with a sentence that names what it wanted."""
    with host_lock("run an experiment"):
        with pytest.raises(HostError, match=r"^cannot tune the host now: another experiment, tuning or") as caught:  # noqa: SIM117
            with host_lock("tune the host"):
                raise AssertionError("two at once")
        assert caught.value.exit_code is ExitCode.HOST and "wait" in caught.value.remedy


def test_the_host_is_free_again_however_it_was_left() -> None:
    """An error ends the holding, too."""
    with pytest.raises(ZeroDivisionError), host_lock("run an experiment"):
        raise ZeroDivisionError
    with host_lock("run an experiment"):
        pass
