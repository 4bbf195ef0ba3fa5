"""The lock that makes one user of a host at a time."""

from __future__ import annotations

import math
import os
import socket
from pathlib import Path

import psutil
import pytest

from lab.deadline import Deadline
from lab.errors import DeadlineError, ExitCode, HostError
from lab.host import exclusive
from lab.host.exclusive import check_host_is_free, host_lock
from lab.testing import FakeClock, RecordingProgress


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


def test_who_holds_the_host_is_named() -> None:
    """Process, command and since when, as the kernel knows them."""
    with host_lock("run an experiment"), pytest.raises(HostError) as caught:
        check_host_is_free("bisect")
    words = psutil.Process().cmdline()
    assert f"process {os.getpid()}, '" in caught.value.message and words[0] in caught.value.message
    assert ", since 20" in caught.value.message and "--wait" in caught.value.remedy


@pytest.mark.parametrize(
    ("raised", "said"),
    [(psutil.NoSuchProcess(1), f"process {os.getpid()}"), (None, "'ss -xap | grep qemu-patch-lab' may show whose")],
)
def test_a_holder_that_cannot_be_named_is_one_too(
    monkeypatch: pytest.MonkeyPatch, raised: psutil.Error | None, said: str
) -> None:
    """It has just ended, or lives where its process has no number for us."""

    def refuse(pid: int) -> None:
        raise raised or AssertionError(pid)

    monkeypatch.setattr(psutil, "Process", refuse)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(exclusive.LOCK_NAME)
        if raised is not None:
            other.listen()
        with pytest.raises(HostError) as caught:
            check_host_is_free("bisect")
    assert caught.value.message.endswith(said)


def test_whoever_is_told_to_waits_for_the_holder() -> None:
    """It says for whom, looks now and then, and goes on when the host is free."""
    progress, naps = RecordingProgress(), []
    first = host_lock("run an experiment")

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            first.__exit__(None, None, None)

    first.__enter__()
    with host_lock("bisect", waiting=progress, patience=Deadline(math.inf, sleep=sleep)):
        assert naps == [1.0, 1.0, 1.0]
        with pytest.raises(HostError):
            check_host_is_free("bisect")
    assert f"process {os.getpid()}" in progress.lines[0]
    (stage,) = progress.stages
    assert stage.title == "waiting for it to end" and stage.finished


def test_patience_has_an_end_where_one_is_given() -> None:
    """Nobody else's experiment is disturbed for it."""
    with host_lock("run an experiment"), pytest.raises(DeadlineError, match="for the host to be free"):  # noqa: SIM117
        with host_lock("bisect", waiting=RecordingProgress(), patience=FakeClock().deadline(5)):
            raise AssertionError("two at once")


def test_a_lock_that_the_system_refuses_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is no name is an error, not somebody else."""
    monkeypatch.setattr(exclusive, "LOCK_NAME", "\0" + 200 * "x")
    with pytest.raises(OSError, match="too long"):
        check_host_is_free("bisect", waiting=RecordingProgress())
