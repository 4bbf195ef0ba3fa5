from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.errors import BootError, DeadlineError, InputError
from lab.machine import capabilities_probe as module
from lab.machine.capabilities_probe import capabilities_of, probe
from lab.machine.mapping import PROPERTY, Dialect
from lab.machine.monitor import Monitor
from tests.unit.machine.made_up_qemu import CAPABILITIES, MadeUpQemu


class Started:
    """Counts how often a binary was started, and lets it answer as it was told to."""

    def __init__(self) -> None:
        self.count = 0
        self.refuses: dict[str, str] = {}
        self.answers: dict[str, Any] = {}
        self.error: Exception | None = None
        self.printed = ""

    @contextmanager
    def __call__(self, _qemu: Path, _folder: Path, log: Path, _timeout_s: float) -> Iterator[Monitor]:
        """Stand in for starting a process."""
        self.count += 1
        log.write_text(self.printed)
        if self.error is not None:
            raise self.error
        yield MadeUpQemu(log, self.refuses, **self.answers)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Started:
    """A QEMU that is never really started."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    fake = Started()
    monkeypatch.setattr(module, "_started", fake)
    return fake


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """A file to name."""
    path = tmp_path / "qemu"
    path.write_bytes(b"ELF")
    return path


@pytest.mark.usefixtures("started")
def test_a_binary_says_what_it_can_do(binary: Path) -> None:
    """All of it is asked for, and what the schema holds beside is left out."""
    assert probe(binary) == CAPABILITIES


def test_a_binary_is_asked_once(started: Started, binary: Path) -> None:
    """It is known by its bytes: another file is another binary."""
    assert capabilities_of(binary) == capabilities_of(binary) == CAPABILITIES
    assert started.count == 1
    binary.write_bytes(b"ELF2")
    capabilities_of(binary)
    assert started.count == 2


@pytest.mark.parametrize("damage", ["", "x", "{}", "1 2 3\n{}", "\0\xff"])
def test_a_damaged_entry_is_asked_again(started: Started, binary: Path, damage: str) -> None:
    """Cut off, overwritten, or with an answer changed."""
    capabilities_of(binary)
    (entry,) = (binary.parent / "cache" / "capabilities").glob("*.json")
    entry.write_text(damage or entry.read_text().replace("null-co", "null-ca"))
    assert capabilities_of(binary) == CAPABILITIES
    assert started.count == 2


def test_another_kernel_is_asked_again(started: Started, binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host refuses depends on it."""
    capabilities_of(binary)
    monkeypatch.setattr("platform.release", lambda: "99")
    capabilities_of(binary)
    assert started.count == 2


def test_refusals_are_kept_in_qemus_words(started: Started, binary: Path) -> None:
    """But for aio=native, which is there when it only wants more options."""
    started.refuses = {
        "blockdev-add native": "aio=native was specified, but it requires cache.direct=on, which was not specified.",
        "blockdev-add io_uring": "Unable to use io_uring: Operation not permitted",
        "object-add bind": "NUMA node binding are not supported by this QEMU",
    }
    assert probe(binary).tried == {
        "aio=threads": "",
        "aio=native": "",
        "aio=io_uring": "Unable to use io_uring: Operation not permitted",
        "host-nodes": "NUMA node binding are not supported by this QEMU",
    }


def test_a_property_that_is_dropped_in_silence_is_not_there(started: Started, binary: Path) -> None:
    """QMP took what it did not know, until QEMU 9.2: to be accepted is not to be stored."""
    started.answers = {"qom-get": []}
    assert probe(binary).scsi_dialect is None


def test_the_first_dialect_is_told_by_its_message(started: Started, binary: Path) -> None:
    """It misses the event virtqueue."""
    started.refuses = {"device_add": "missing vq 1 IOThread assignment in iothread-vq-mapping"}
    assert probe(binary).scsi_dialect is Dialect.ALL_QUEUES


def test_another_refusal_of_the_mapping_is_an_error(started: Started, binary: Path) -> None:
    """It is not guessed what it might mean."""
    started.refuses = {"device_add": "no such thing"}
    with pytest.raises(InputError, match="no such thing"):
        probe(binary)


def test_a_build_without_the_log_backend_prints_no_line(started: Started, binary: Path) -> None:
    """And one with the simple backend has a command for its file."""
    started.refuses = {"trace-event-set-state": "unknown event"}
    started.answers = {"help trace-file": "trace-file on|off -- open, close, or flush trace file\r\n"}
    assert probe(binary).trace_backends == ("simple",)


def test_a_device_without_a_list_of_properties_is_there(started: Started, binary: Path) -> None:
    """A type that cannot be made alone refuses."""
    started.refuses = {"device-list-properties scsi-hd": "abstract"}
    assert probe(binary).devices["scsi-hd"] == ()
    assert PROPERTY in probe(binary).devices["virtio-scsi-pci"]


@pytest.mark.parametrize(
    "answers",
    [
        {"query-version": {}},
        {"query-version": "10.0"},
        {"query-machines": [3]},
        {"query-qmp-schema": [{"name": "blockdev-add", "arg-type": "nowhere"}]},
        {"query-qmp-schema": 7},
    ],
)
def test_answers_that_are_not_qemus_are_refused(started: Started, binary: Path, answers: dict[str, Any]) -> None:
    """Whatever a program says on the socket it was given."""
    started.answers = answers
    with pytest.raises(InputError, match="its answers are not QEMU's"):
        probe(binary)


@pytest.mark.parametrize("error", [BootError("it ended with exit status 0"), DeadlineError("waited 20 s")])
def test_a_program_that_is_no_qemu_is_an_input_error(started: Started, binary: Path, error: Exception) -> None:
    """With the last of what it printed."""
    started.error, started.printed = error, "a\nb\nc\nd\ne\nlast words\n"
    with pytest.raises(InputError, match=r"cannot be asked .*: (it ended|waited)[^\n]*\nit printed:\nb\n") as caught:
        probe(binary)
    assert "last words" in caught.value.message and caught.value.remedy


def test_a_binary_that_is_not_there_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a folder, and a file that cannot be read."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="there is no QEMU at"):
            capabilities_of(path)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x").touch()
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        capabilities_of(tmp_path / "x")
