from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import InputError
from lab.series.archive import fetch_thread, message_id_from_text
from lab.series.read import read_series
from tests.unit.series.letters import mbox, patch_letter

ID = "20250101.1-2-a@example.org"


@pytest.fixture
def b4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path where a b4 of this test is found, with cat and git beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "b4"


def write(path: Path, script: str) -> None:
    """Write a program."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(ID, ID), (f"<{ID}>", ID), ("my.mbox", None), ("mail/a@b", None), ("-x@y", None), ("a@b@c", None), ("", None)],
)
def test_a_message_id_is_told_from_a_file_name(text: str, expected: str | None) -> None:
    """It has one at sign and no slash."""
    assert message_id_from_text(text) == expected


def test_the_thread_of_a_message_id_is_read(b4: Path, tmp_path: Path) -> None:
    """B4 is asked for the thread, and what it saves is read like any mailbox."""
    (tmp_path / "saved").write_bytes(mbox(patch_letter("[PATCH] scsi: fix", id_=ID)))
    write(b4, f'test "$*" = "--no-stdin mbox -o $4 -n thread.mbx {ID}" && cat {tmp_path}/saved > "$4/thread.mbx"')
    assert read_series(Path(ID)).title == "scsi: fix"


def test_without_b4_the_remedy_is_to_install_it(b4: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or to save the thread."""
    monkeypatch.setenv("PATH", str(b4.parent))
    with pytest.raises(InputError, match="not installed") as caught:
        fetch_thread(ID)
    assert "install b4" in caught.value.remedy


def test_a_mail_that_b4_does_not_find_is_an_input_error(b4: Path) -> None:
    """Whether it says so or saves nothing."""
    write(b4, "echo no such mail >&2; exit 1")
    with pytest.raises(InputError, match="no such mail"):
        fetch_thread(ID)
    write(b4, "exit 0")
    with pytest.raises(InputError, match="found nothing"):
        fetch_thread(ID)
