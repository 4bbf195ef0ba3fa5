from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import GuestError, MonitorError
from lab.progress import Progress
from lab.testing import FakeClock, FakeMonitor, FakeProcess, FakeShell, RecordingProgress, StageUpdate


def test_clock_refuses_to_go_back() -> None:
    """A negative sleep is a mistake of the code under test."""
    with pytest.raises(AssertionError, match="does not go back"):
        FakeClock().sleep(-1)


def test_clock_ends_endless_waits() -> None:
    """Time ends at the limit, so that a wait without end fails instead of hanging the tests."""
    clock = FakeClock(limit_s=5)
    clock.advance(5)
    with pytest.raises(AssertionError, match="limit of 5 s"):
        clock.sleep(0.1)


def test_progress_is_recorded() -> None:
    """Stages, their updates and the lines in between can be looked at afterwards."""
    recording = RecordingProgress()
    progress: Progress = recording
    progress.say("hello")
    with progress.stage("build", total=2) as stage:
        stage.update(1, note="half")
    assert recording.lines == ["hello"]
    assert recording.titles == ["build"]
    assert recording.stages[0].updates == [StageUpdate(1, None, "half", None)]
    assert recording.stages[0].finished and not recording.stages[0].open


def test_failed_stage_is_not_finished() -> None:
    """A stage that an exception left is closed but not finished."""
    recording = RecordingProgress()
    with pytest.raises(ValueError, match="boom"), recording.stage("build"):
        raise ValueError("boom")
    assert not recording.stages[0].finished and not recording.stages[0].open


def test_progress_refuses_an_update_after_the_end() -> None:
    """A stage that has ended shows nothing any more."""
    recording = RecordingProgress()
    with recording.stage("build") as stage:
        pass
    with pytest.raises(AssertionError, match="'build' was updated after its end"):
        stage.update(1)


def test_progress_refuses_stages_within_stages() -> None:
    """A terminal shows one stage at a time."""
    recording = RecordingProgress()
    with (
        pytest.raises(AssertionError, match="'boot' was opened inside 'build'"),
        recording.stage("build"),
        recording.stage("boot"),
    ):
        pass


def test_progress_refuses_several_lines() -> None:
    """What is said is one line."""
    with pytest.raises(AssertionError, match="takes one line"):
        RecordingProgress().say("one\ntwo")


def test_monitor_answers_from_its_table() -> None:
    """A fake monitor answers what it was told to, raises what it was told to, and remembers the questions."""
    monitor = FakeMonitor({"query-status": {"status": "running"}, "device_del": MonitorError("refused")})
    assert monitor.execute("query-status") == {"status": "running"}
    with pytest.raises(MonitorError, match="refused"):
        monitor.execute("device_del", {"id": "disk0"})
    monitor.close()
    assert monitor.executed == [("query-status", None), ("device_del", {"id": "disk0"})]


def test_monitor_refuses_other_commands() -> None:
    """A command without an answer is a mistake of the test or of the code under test."""
    with pytest.raises(AssertionError, match="not told how to answer quit"):
        FakeMonitor({}).execute("quit")


def test_shell_answers_what_it_was_told_and_nothing_else() -> None:
    """Output, exit status, an error, or what a function returns; anything else fails the test."""
    shell = FakeShell({"uname": "Linux\n", "false": (1, "", "no"), "hang": GuestError("gone"), "date": lambda: "now"})
    assert shell.run("uname -r", timeout_s=1).stdout == "Linux\n"
    assert shell.run("false", timeout_s=1, check=False).exited == 1
    with pytest.raises(GuestError, match="exit status 1:\nno"):
        shell.run("false", timeout_s=1)
    with pytest.raises(GuestError, match="gone"):
        shell.run("hang", timeout_s=1)
    assert shell.run("date", timeout_s=1).stdout == "now"
    with pytest.raises(AssertionError, match="not told how to answer 'reboot'"):
        shell.run("reboot", timeout_s=1)
    with pytest.raises(AssertionError, match="was given no time"):
        shell.run("uname", timeout_s=0)


def test_shell_keeps_files() -> None:
    """What was written can be looked at."""
    shell = FakeShell({})
    shell.put(b"x", "/tmp/f")
    shell.close()
    assert shell.files == {"/tmp/f": b"x"}


def test_process_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """Its words are those of a real QEMU that ended."""
    process = FakeProcess(log=tmp_path / "qemu.log")
    assert process.exit_code() is None and process.ended_within(5) is None
    process.exited = -6
    assert process.ended_within(0) == -6
    assert "by itself with signal SIGABRT" in process.failure("while booting").message
