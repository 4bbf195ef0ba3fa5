"""The edge that reads and writes settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.command import CommandResult
from lab.errors import CommandError
from lab.host import tuning_controls
from lab.host.tuning_controls import ControlError, GoneError, HostControls


def test_value_is_read_and_written(tmp_path: Path) -> None:
    """A value is the text of a file without its end of line, or the word that is marked."""
    (tmp_path / "one").write_text("powersave\n")
    (tmp_path / "two").write_text("always defer+madvise [madvise] never\n")
    controls = HostControls(tmp_path)
    assert (controls.read("one"), controls.read("two")) == ("powersave", "madvise")
    controls.write("one", "x")
    assert (tmp_path / "one").read_text() == "x\n"


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A setting that is missing can be neither read nor written."""
    with pytest.raises(GoneError, match="/no cannot be read: No such file"):
        HostControls(tmp_path).read("no")
    with pytest.raises(GoneError, match="/no cannot be set to 'x'"):
        HostControls(tmp_path).write("no", "x")
    assert not (tmp_path / "no").exists()


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    """An error of the kernel keeps its words."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(ControlError, match="Is a directory") as caught:
        HostControls(tmp_path).write("folder", "x")
    assert not isinstance(caught.value, GoneError)


def test_targets_are_found_in_the_order_of_numbers(tmp_path: Path) -> None:
    """cpu10 comes after cpu9."""
    for number in (10, 9, 0):
        (tmp_path / f"cpu{number}").touch()
    assert HostControls(tmp_path).find("cpu*") == ("cpu0", "cpu9", "cpu10")


def test_another_root_has_no_services(tmp_path: Path) -> None:
    """A service belongs to the host that runs, not to a folder."""
    assert HostControls(tmp_path).find("service:irqbalance") == ()


class _Systemd:
    """Answers as systemctl does, and remembers what was run."""

    def __init__(self, answers: dict[str, str]) -> None:
        self._answers = answers
        self.ran: list[str] = []

    def __call__(self, argv: list[str], *, timeout_s: float) -> CommandResult:
        line = " ".join(argv)
        self.ran.append(line)
        for words, answer in self._answers.items():
            if words in line:
                return CommandResult(tuple(argv), 0, f"{answer}\n", "")
        raise CommandError(f"'{line}' failed with exit status 1")


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> _Systemd:
    """Return a service manager that knows one active service."""
    fake = _Systemd({"LoadState": "loaded", "ActiveState": "active", "stop irqbalance.service": ""})
    monkeypatch.setattr(tuning_controls, "run", fake)
    monkeypatch.setattr(tuning_controls, "_is_systemd", lambda: True)
    return fake


def test_service_of_systemd_is_asked_and_stopped(systemd: _Systemd) -> None:
    """systemd says whether it knows a service and whether it runs; stopping goes through it."""
    controls = HostControls()
    assert controls.find("service:irqbalance") == ("service:irqbalance",)
    assert controls.read("service:irqbalance") == "active"
    controls.write("service:irqbalance", "inactive")
    assert systemd.ran[-1] == "systemctl stop irqbalance.service"


@pytest.mark.usefixtures("systemd")
def test_service_that_does_not_start_is_told() -> None:
    """What the service manager refuses is an error of the knob."""
    with pytest.raises(ControlError, match="irqbalance did not start"):
        HostControls().write("service:irqbalance", "active")


def test_service_manager_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A systemd that cannot be asked makes the knob unreadable, nothing else."""
    monkeypatch.setattr(tuning_controls, "run", _Systemd({}))
    monkeypatch.setattr(tuning_controls, "_is_systemd", lambda: True)
    with pytest.raises(ControlError, match="systemd does not say"):
        HostControls().read("service:irqbalance")


def test_service_without_systemd_is_found_by_its_pid_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd and without a pid file a service is not running, and is started by its init script."""
    fake = _Systemd({"service": ""})
    monkeypatch.setattr(tuning_controls, "run", fake)
    monkeypatch.setattr(tuning_controls, "_is_systemd", lambda: False)
    assert HostControls().read("service:no-such-service") == "inactive"
    assert HostControls().find("service:no-such-service") == ()
    HostControls().write("service:no-such-service", "active")
    assert fake.ran == ["service no-such-service start"]
