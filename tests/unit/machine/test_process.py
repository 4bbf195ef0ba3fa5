"""The QEMU process: started, ended, never left behind. `sleep` stands in for QEMU; the ladder is real."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from lab.deadline import Deadline
from lab.errors import BootError, DeadlineError, HostError
from lab.machine.process import QemuProcess
from lab.testing import FakeProcess

SLEEP = ("sleep", "30")
STUBBORN_PROGRAM = "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); signal.pause()"
STUBBORN = (sys.executable, "-c", STUBBORN_PROGRAM)


def test_leaving_the_block_ends_the_process(tmp_path: Path) -> None:
    """However the block ends, the process is gone and waited for."""
    with QemuProcess(SLEEP, log=tmp_path / "log") as process:
        assert process.exit_code() is None
    assert process.exit_code() == -signal.SIGTERM
    assert not psutil.pid_exists(process.pid)


def test_an_exception_ends_the_process_too(tmp_path: Path) -> None:
    """A failure in the block leaves nothing behind."""
    with pytest.raises(ZeroDivisionError), QemuProcess(SLEEP, log=tmp_path / "log") as process:
        raise ZeroDivisionError
    assert not psutil.pid_exists(process.pid)


def test_asking_comes_first(tmp_path: Path) -> None:
    """A process that ends when it is asked sees no signal of ours."""
    process = QemuProcess(SLEEP, log=tmp_path / "log")
    assert process.stop(lambda: os.kill(process.pid, signal.SIGUSR1)) == -signal.SIGUSR1


def test_a_process_that_cannot_be_asked_is_terminated(tmp_path: Path) -> None:
    """Whatever asking raises moves on to the next rung."""

    def ask() -> None:
        raise RuntimeError("the monitor is gone")

    assert QemuProcess(SLEEP, log=tmp_path / "log").stop(ask) == -signal.SIGTERM


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last rung cannot be refused."""
    monkeypatch.setattr("lab.machine.process._TERMINATE_S", 0.1)
    process = QemuProcess(STUBBORN, log=tmp_path / "log")
    while not (tmp_path / "log").read_text():
        assert process.exit_code() is None
    assert process.stop() == -signal.SIGKILL


@pytest.mark.parametrize("ends", ["sleep 30", "exit 0"])
def test_what_qemu_started_ends_with_it(tmp_path: Path, ends: str) -> None:
    """A wrapper that forks, say: what it left behind would hold QEMU's sockets, also when QEMU has ended by itself."""
    with QemuProcess(("sh", "-c", f"sleep 30 & echo $!; {ends}"), log=tmp_path / "log") as process:
        while not (tmp_path / "log").read_text().strip():
            process.ended_within(0.01)
        if ends == "exit 0":
            assert process.ended_within(10) == 0
    child = int((tmp_path / "log").read_text())

    def gone() -> bool | None:
        return not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE or None

    assert Deadline(20).wait_for("the child to end", gone)


def test_a_number_that_is_used_anew_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group of a process that was ended and forgotten may be anybody's."""
    process = QemuProcess(("true",), log=tmp_path / "log")
    assert process.ended_within(10) == 0
    monkeypatch.setattr(Path, "exists", lambda _: True)
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("killed"))
    assert process.stop() == 0


def test_a_failure_names_status_output_and_command(tmp_path: Path) -> None:
    """Somebody who reads the error can run the same command again."""
    argv = (sys.executable, "-c", "print('Bus scsi0.0 not found'); raise SystemExit(1)")
    process = QemuProcess(argv, log=tmp_path / "log")
    process.stop(lambda: None)
    error = process.failure("while booting")
    assert isinstance(error, BootError)
    assert "exit status 1" in error.message
    assert "Bus scsi0.0 not found" in error.message
    assert "raise SystemExit(1)" in error.message


def test_a_signal_is_named(tmp_path: Path) -> None:
    """A crash reads as SIGABRT, not as -6."""
    process = QemuProcess(SLEEP, log=tmp_path / "log")
    os.kill(process.pid, signal.SIGABRT)
    process.stop(lambda: None)
    assert "signal SIGABRT" in process.failure("x").message


def test_a_qemu_that_does_not_answer_is_not_said_to_have_ended(tmp_path: Path) -> None:
    """One that hangs when it is started is told as such; one that has ended, by its end."""
    late = DeadlineError("waited 20 s for QEMU's QMP greeting, and it did not come")
    (tmp_path / "log").write_text("loading\n")
    hangs = FakeProcess(log=tmp_path / "log").start_failure("starting", late)
    assert "starting: waited 20 s for QEMU's QMP greeting, and it did not come, though QEMU runs:\nlo" in hangs.message
    assert hangs.evidence == tmp_path / "log" and "ended" not in hangs.message
    ended = FakeProcess(log=tmp_path / "log", exited=-11).start_failure("starting", late)
    assert "starting: QEMU ended by itself with signal SIGSEGV:" in ended.message


def test_without_setpriv_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that cannot tie QEMU to the lab is told what to install."""
    monkeypatch.setattr("lab.machine.process.is_installed", lambda program: False)
    with pytest.raises(HostError, match="setpriv"):
        QemuProcess(SLEEP, log=tmp_path / "log")


def test_a_program_that_cannot_be_started_is_a_boot_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operating system error is not a traceback."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("subprocess.Popen", refuse)
    with pytest.raises(BootError, match="Cannot allocate memory"):
        QemuProcess(SLEEP, log=tmp_path / "log")


def test_killing_the_lab_kills_qemu(tmp_path: Path) -> None:
    """After kill -9 of the lab, the kernel ends QEMU."""
    program = (
        "import sys; from pathlib import Path; from lab.machine.process import QemuProcess\n"
        f"p = QemuProcess(('sleep', '30'), log=Path({str(tmp_path / 'log')!r})); print(p.pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    lab = psutil.Popen([sys.executable, "-c", program], stdout=-1)
    out, _ = lab.communicate(timeout=20)
    _gone, alive = psutil.wait_procs([psutil.Process(int(out))] if psutil.pid_exists(int(out)) else [], timeout=5)
    assert alive == []


@pytest.mark.parametrize(
    ("exited", "words"),
    [(None, "no exit status"), (0, "exit status 0"), (1, "exit status 1"), (-6, "signal SIGABRT"), (-40, "signal 40")],
)
def test_every_end_has_words(tmp_path: Path, exited: int | None, words: str) -> None:
    """A real-time signal has no name in Python, and is no reason to fail."""
    assert (
        f"by itself with {words}:" in FakeProcess(log=tmp_path / "log", exited=exited).failure("while booting").message
    )
