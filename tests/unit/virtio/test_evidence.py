"""What is kept of a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.virtio.evidence import keep_evidence


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return the folder of a machine: logs, and what is worth nothing afterwards."""
    folder = tmp_path / "machine"
    (folder / "nbd.log").mkdir(parents=True)
    for name in ("qemu.log", "backtrace.txt", "hang.json", "halt.bin", "snapshot.qcow2"):
        (folder / name).write_text(name)
    return folder


def kept(machine: Path, target: Path) -> Path:
    """Keep the evidence of a machine."""
    return keep_evidence(machine, target, command_line="qemu -x", story_file="case.json", story={"case": "a"})


def test_what_tells_something_is_kept(machine: Path, tmp_path: Path) -> None:
    """Logs, texts and facts, the command line and the story; no firmware, no disk and no folder."""
    target = kept(machine, tmp_path / "kept" / "2" / "case")
    names = {"qemu.log", "backtrace.txt", "hang.json", "command-line.txt", "case.json"}
    assert {file.name for file in target.iterdir()} == names
    assert (target / "qemu.log").read_text() == "qemu.log"
    assert (target / "command-line.txt").read_text() == "qemu -x\n"
    assert json.loads((target / "case.json").read_text()) == {"case": "a"}


def test_a_second_attempt_takes_the_place_of_the_first(machine: Path, tmp_path: Path) -> None:
    """A log that only the first one had would tell a wrong story."""
    kept(machine, tmp_path / "case")
    (machine / "hang.json").unlink()
    assert not (kept(machine, tmp_path / "case") / "hang.json").exists()


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_not_the_labs_is_never_removed(machine: Path, tmp_path: Path, kind: str) -> None:
    """Whatever has the name of the folder."""
    theirs, target = tmp_path / "theirs", tmp_path / "case"
    theirs.mkdir()
    (theirs / "letter.txt").write_text("dear")
    if kind == "link":
        (theirs / "case.json").write_text("{}")
        target.symlink_to(theirs)
    elif kind == "file":
        target.write_text("dear")
    else:
        theirs = theirs.rename(target)
    with pytest.raises(InputError, match="is no earlier evidence"):
        kept(machine, target)
    assert target.read_text() == "dear" if kind == "file" else (theirs / "letter.txt").read_text() == "dear"
