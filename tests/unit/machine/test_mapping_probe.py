from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.errors import BootError
from lab.machine.mapping import Dialect
from lab.machine.mapping_probe import PROBE_STDIN, dialect_from_answer, dialect_of, probe_argv

PREFIX = "qemu-system-x86_64: -device {...}: "


def test_the_question_is_one_queue_and_index_0_only() -> None:
    """Firmware folders are searched in order, and the machine has no guest that could run."""
    argv = probe_argv(Path("/qemu"), (Path("/a"), Path("/b")))
    assert argv[:5] == ("/qemu", "-L", "/a", "-L", "/b")
    assert "-S" in argv
    assert json.loads(argv[-1])["iothread-vq-mapping"] == [{"iothread": "t0", "vqs": [0]}]
    assert json.loads(argv[-1])["num_queues"] == 1


def test_a_qemu_that_starts_is_told_to_quit() -> None:
    """QMP wants its handshake first."""
    assert PROBE_STDIN == b'{"execute": "qmp_capabilities"}{"execute": "quit"}'


@pytest.mark.parametrize(
    ("exit_code", "output", "dialect"),
    [
        (0, "", Dialect.MERGED),
        (1, PREFIX + "missing vq 1 IOThread assignment in iothread-vq-mapping\n", Dialect.ALL_QUEUES),
        (1, PREFIX + "Property 'virtio-scsi-pci.iothread-vq-mapping' not found\n", None),
    ],
)
def test_the_answer_names_the_dialect(exit_code: int, output: str, dialect: Dialect | None) -> None:
    """Started, incomplete, or no such property."""
    assert dialect_from_answer(exit_code, output) is dialect


def test_another_failure_is_no_answer() -> None:
    """A binary without firmware says nothing about its dialect."""
    with pytest.raises(BootError, match="could not load PC BIOS"):
        dialect_from_answer(1, "qemu: could not load PC BIOS 'bios-256k.bin'")


def test_a_binary_is_asked(tmp_path: Path) -> None:
    """One that refuses as revision 1 of the series did; it gets its question on the command line and on stdin."""
    qemu = tmp_path / "qemu"
    qemu.write_text(
        '#!/bin/sh\ngrep -q qmp_capabilities && case "$*" in *vqs*) '
        "echo 'missing vq 1 IOThread assignment in iothread-vq-mapping' >&2; exit 1;; esac\n"
    )
    qemu.chmod(0o755)
    assert dialect_of(qemu, ()) is Dialect.ALL_QUEUES
