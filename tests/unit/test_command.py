"""The module is the edge to the host's programs, so these tests start real ones: tiny and quick."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import command
from lab.command import CommandResult
from lab.deadline import Deadline
from lab.errors import CommandError, DeadlineError


def _process_is_gone(pid: int) -> bool | None:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return True if state in "ZX" else None


def _assert_gone(pid: int) -> None:
    assert Deadline(5).wait_for(f"process {pid} to go", lambda: _process_is_gone(pid))


def test_output_comes_back() -> None:
    """A command that ends well leaves its argv, its status and both outputs."""
    result = command.run(["sh", "-c", "echo out; echo err >&2"])
    assert result == CommandResult(("sh", "-c", "echo out; echo err >&2"), 0, "out\n", "err\n")


def test_input_is_handed_over() -> None:
    """What is given as stdin arrives there; without it stdin is empty, not the user's terminal."""
    assert command.run(["cat"], stdin=b"text").stdout == "text"
    assert command.run(["cat"]).stdout == ""


def test_no_shell_reads_the_words() -> None:
    """Words reach the program as they are, whatever a shell would make of them."""
    assert command.run(["printf", "%s", "$HOME; `id` *"]).stdout == "$HOME; `id` *"


def test_environment_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sees our environment and, before it, what the caller adds."""
    monkeypatch.setenv("LAB_TEST_A", "a")
    monkeypatch.setenv("LAB_TEST_B", "b")
    said = command.run(["sh", "-c", 'echo "$LAB_TEST_A $LAB_TEST_B"'], env={"LAB_TEST_B": "c"}).stdout
    assert said == "a c\n"


def test_environment_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the user's settings must not matter, the command sees only what it is given."""
    monkeypatch.setenv("LAB_TEST_A", "a")
    said = command.run(["env"], env={"PATH": os.environ["PATH"]}, inherit_env=False).stdout
    assert "LAB_TEST_A" not in said and "PATH=" in said


def test_folder_is_the_callers(tmp_path: Path) -> None:
    """The command runs in the folder it is given."""
    assert command.run(["pwd"], cwd=tmp_path).stdout.strip() == str(tmp_path)


def test_output_that_is_not_text() -> None:
    """Bytes that are not UTF-8 are replaced: the output of a command is foreign text."""
    assert command.run(["printf", r"a\377b"]).stdout == "a�b"


def test_failure_shows_its_last_lines() -> None:
    """A failing command raises with its words as a shell reads them, its status, and the end of what it said."""
    with pytest.raises(CommandError) as caught:
        command.run(["sh", "-c", "for i in $(seq 20); do echo line $i >&2; done; exit 3"])
    message = str(caught.value)
    assert "sh -c 'for i" in message and "exit status 3" in message
    assert "line 20" in message and "line 11\n" in message and "line 10\n" not in message


def test_failure_can_be_an_answer() -> None:
    """Without the check a non-zero status is just a result."""
    assert command.run(["false"], check=False).returncode == 1


def test_death_by_signal_is_a_negative_status() -> None:
    """A command that was killed has the negative number of the signal, as subprocess has it."""
    assert command.run(["sh", "-c", "kill -9 $$"], check=False).returncode == -9


def test_program_that_is_not_there() -> None:
    """A missing program is an error that names it."""
    with pytest.raises(CommandError, match=r"^'lab-no-such-program' could not be started: No such file") as caught:
        command.run(["lab-no-such-program"])
    assert caught.value.remedy.startswith("install it")


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """A missing working folder is not blamed on the program."""
    with pytest.raises(CommandError, match=r"'true' could not be started: .*nowhere") as caught:
        command.run(["true"], cwd=tmp_path / "nowhere")
    assert not caught.value.remedy


def test_word_with_a_nul_byte() -> None:
    """A word that no program can be given is an error of ours, not a traceback."""
    with pytest.raises(CommandError, match="could not be started: embedded null byte"):
        command.run(["true", "a\0b"])


def test_deadline_ends_the_command_and_its_children(tmp_path: Path) -> None:
    """A command that is late is killed together with what it started."""
    note = tmp_path / "pid"
    with pytest.raises(DeadlineError, match=r"was still running after 0.2 s"):
        command.run(["sh", "-c", f"sleep 60 & echo $! > {note}; wait"], timeout_s=0.2)
    _assert_gone(int(note.read_text(encoding="utf-8")))


def test_nothing_is_left_running(tmp_path: Path) -> None:
    """What a command leaves in the background ends with it."""
    note = tmp_path / "pid"
    command.run(["sh", "-c", f"sleep 60 >/dev/null 2>&1 & echo $! > {note}"])
    _assert_gone(int(note.read_text(encoding="utf-8")))


def test_a_command_ends_although_a_child_of_it_holds_its_pipes() -> None:
    """What it said itself is all there is to wait for; the child goes with it."""
    start = time.monotonic()
    result = command.run(("sh", "-c", "echo said; sleep 40 & echo $! >&2"), timeout_s=30)
    assert result.stdout == "said\n" and result.returncode == 0 and time.monotonic() - start < 25
    assert not Path(f"/proc/{result.stderr.strip()}/exe").exists()


def test_tail_prefers_errors() -> None:
    """The end of what was said is that of stderr, and of stdout where stderr is empty."""
    assert CommandResult(("x",), 1, "out\n", "a\nb\nc\n").tail(2) == "b\nc"
    assert CommandResult(("x",), 1, "out\n", " \n").tail() == "out"


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_command_line_can_be_pasted(words: list[str]) -> None:
    """An argv as text is read by a shell as the same argv."""
    assert shlex.split(command.text_from_argv(words)) == words


def test_installed_programs_are_found() -> None:
    """A program is installed if it is on PATH."""
    assert command.is_installed("sh")
    assert not command.is_installed("lab-no-such-program")


def test_log_holds_command_and_output(tmp_path: Path) -> None:
    """A logged command leaves its words and both outputs in the log, and hands on each line as it comes."""
    log, lines = tmp_path / "new" / "build.log", list[str]()
    command.run_logged(["sh", "-c", "echo one; echo two >&2"], log=log, on_line=lines.append)
    assert log.read_text(encoding="utf-8") == "$ sh -c 'echo one; echo two >&2'\none\ntwo\n"
    assert lines == ["one", "two"]


def test_log_is_appended_to(tmp_path: Path) -> None:
    """Commands that share a log do not overwrite each other."""
    log = tmp_path / "build.log"
    for word in ("one", "two"):
        command.run_logged(["echo", word], log=log)
    assert log.read_text(encoding="utf-8") == "$ echo one\none\n$ echo two\ntwo\n"


def test_log_can_be_watched(tmp_path: Path) -> None:
    """A line is in the log before anybody else hears of it, so that the log of a crash is complete."""
    log, seen = tmp_path / "build.log", list[str]()
    command.run_logged(["echo", "one"], log=log, on_line=lambda _: seen.append(log.read_text(encoding="utf-8")))
    assert seen == ["$ echo one\none\n"]


def test_logged_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    """A logged command that fails raises with the end of its log, which is the evidence."""
    log = tmp_path / "build.log"
    with pytest.raises(CommandError, match=r"exit status 2; the log ends with:\n(.*\n)*the reason$") as caught:
        command.run_logged(["sh", "-c", "echo the reason; exit 2"], log=log)
    assert caught.value.evidence == log and str(log) in caught.value.remedy


def test_logged_program_that_is_not_there(tmp_path: Path) -> None:
    """A missing program is an error for logged commands, too."""
    with pytest.raises(CommandError, match="'lab-no-such-program' could not be started"):
        command.run_logged(["lab-no-such-program"], log=tmp_path / "build.log")


def test_logged_deadline_ends_the_command(tmp_path: Path) -> None:
    """A logged command that is late is killed; the log holds what it said until then."""
    log = tmp_path / "build.log"
    with pytest.raises(DeadlineError, match=r"'sh' was still running after 0.2 s") as caught:
        command.run_logged(["sh", "-c", "echo started; exec sleep 60"], log=log, timeout_s=0.2)
    assert caught.value.evidence == log and "started" in log.read_text(encoding="utf-8")


def test_listener_that_fails_ends_the_command(tmp_path: Path) -> None:
    """An exception in whoever reads the lines stops the command before it goes on its way."""
    pids: list[int] = []

    def listen(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command.run_logged(["sh", "-c", "echo $$; exec sleep 60"], log=tmp_path / "build.log", on_line=listen)
    _assert_gone(pids[0])


# ninja gives every compiler a process group of its own, and so does a shell with job control.
_OWN_GROUP = "set -m; sh -c 'trap \"\" TERM HUP; echo $$ > {note}; while :; do sleep 0.1; done' >/dev/null 2>&1 &"


def _pid_in(note: Path) -> int:
    def read() -> int | None:
        return int(note.read_text() or 0) if note.exists() else None

    return Deadline(5).wait_for("the child's note", read)


def test_child_in_a_group_of_its_own_is_gone_when_the_command_is(tmp_path: Path) -> None:
    """An interrupted command is over only when everything in its session is, whatever group that is in."""
    note = tmp_path / "pid"

    def interrupt(_: str) -> None:
        assert _process_is_gone(_pid_in(note)) is None
        raise KeyboardInterrupt

    script = f"{_OWN_GROUP.format(note=note)} echo started; wait"
    with pytest.raises(KeyboardInterrupt):
        command.run_logged(["sh", "-c", script], log=tmp_path / "log", on_line=interrupt)
    assert _process_is_gone(_pid_in(note))


def test_late_command_may_tidy_up(tmp_path: Path) -> None:
    """A command is asked to end before it is killed; that it then ends well does not make it done."""
    script = f"trap 'echo tidy > {tmp_path}/note; exit 0' TERM; echo; while :; do sleep 0.02; done"
    with pytest.raises(DeadlineError):
        command.run_logged(["sh", "-c", script], log=tmp_path / "log", timeout_s=0.2)
    assert (tmp_path / "note").read_text() == "tidy\n"


def test_command_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Being asked to end and ignoring it buys a moment, no more."""
    monkeypatch.setattr(command, "_GRACE_S", 0.05)
    note = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ > {note}; while :; do sleep 0.1; done"
    with pytest.raises(DeadlineError):
        command.run(["sh", "-c", script], timeout_s=0.2)
    assert _process_is_gone(_pid_in(note))


def test_logged_deadline_is_met_when_another_session_holds_the_pipe(tmp_path: Path) -> None:
    """A daemon that keeps our pipe open and cannot be reached does not keep us."""
    note = tmp_path / "pid"
    child = f"import os, time; os.setsid(); open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])"
    began = time.monotonic()
    try:
        with pytest.raises(DeadlineError):
            command.run_logged([sys.executable, "-c", script], log=tmp_path / "log", timeout_s=0.5)
        assert time.monotonic() - began < 10
    finally:
        os.kill(_pid_in(note), signal.SIGKILL)


def test_logged_line_without_an_end(tmp_path: Path) -> None:
    """The last line needs no newline, and a line of megabytes comes in pieces instead of filling the memory."""
    lines: list[str] = []
    command.run_logged(["printf", r"one\ntwo"], log=tmp_path / "log", on_line=lines.append)
    assert lines == ["one", "two"]
    lines.clear()
    command.run_logged(["head", "-c", "3000000", "/dev/zero"], log=tmp_path / "log", on_line=lines.append)
    assert len(lines) > 1 and sum(map(len, lines)) == 3_000_000
