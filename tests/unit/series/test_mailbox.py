from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import InputError
from lab.series import mailbox
from lab.series.mailbox import mails_from_path, split_mailbox
from tests.unit.series.letters import box_file, letter, mbox


def subjects(mails: tuple[bytes, ...]) -> list[bytes]:
    """Return the Subject line of each mail."""
    return [next(line for line in mail.splitlines() if line.startswith(b"Subject: "))[9:] for mail in mails]


def test_an_mbox_is_split_into_its_mails(tmp_path: Path) -> None:
    """In the order in which they are stored, without the separators."""
    mails = mails_from_path(box_file(tmp_path, letter("one"), letter("two")))
    assert subjects(mails) == [b"one", b"two"]
    assert all(mail.startswith(b"From: ") for mail in mails)


def test_a_line_that_begins_with_from_does_not_split() -> None:
    """A separator has a date at its end."""
    (mail,) = split_mailbox(mbox(letter("one", "From here on it is slow.\nFrom 10 to 20.\n")))
    assert b"\nFrom here on" in mail


def test_a_quoted_from_line_is_unquoted() -> None:
    """As mboxrd writes it; one ``>`` is taken off a quoted one too."""
    (mail,) = split_mailbox(mbox(letter("one", ">From the start\n>>From a reply\n")))
    assert b"\nFrom the start\n>From a reply\n" in mail


def test_a_single_mail_needs_no_from_line(tmp_path: Path) -> None:
    """As a mail program saves it."""
    path = tmp_path / "one.eml"
    path.write_bytes(b"\n" + letter("one"))
    assert subjects(mails_from_path(path)) == [b"one"]


def test_a_compressed_mailbox_is_read(tmp_path: Path) -> None:
    """Archives hand out threads with gzip."""
    path = tmp_path / "t.mbox.gz"
    path.write_bytes(gzip.compress(mbox(letter("one"))))
    assert subjects(mails_from_path(path)) == [b"one"]


def test_damaged_compression_is_an_input_error(tmp_path: Path) -> None:
    """A download that was cut off."""
    path = tmp_path / "t.mbox.gz"
    path.write_bytes(gzip.compress(mbox(letter("one")))[:-12])
    with pytest.raises(InputError, match="damaged gzip"):
        mails_from_path(path)


def test_a_mailbox_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file must not fill the memory."""
    monkeypatch.setattr(mailbox, "_LARGEST_MAILBOX_BYTES", 1000)
    path = tmp_path / "t.mbox.gz"
    path.write_bytes(gzip.compress(b"x" * 2000))
    with pytest.raises(InputError, match="larger than"):
        mails_from_path(path)


def test_a_maildir_is_read(tmp_path: Path) -> None:
    """New and seen mails, by file name."""
    for name in ("cur", "new", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "cur" / "2.host:2,S").write_bytes(letter("seen"))
    (tmp_path / "new" / "1.host").write_bytes(letter("fresh"))
    (tmp_path / "tmp" / "3.host").write_bytes(letter("unfinished"))
    assert subjects(mails_from_path(tmp_path)) == [b"seen", b"fresh"]


def test_a_folder_of_patch_files_is_read_by_name(tmp_path: Path) -> None:
    """What git format-patch writes; other files are passed over."""
    (tmp_path / "0002-b.patch").write_bytes(mbox(letter("two")))
    (tmp_path / "0001-a.patch").write_bytes(mbox(letter("one")))
    (tmp_path / "README.md").write_text("not a mail")
    assert subjects(mails_from_path(tmp_path)) == [b"one", b"two"]


def test_windows_line_ends_are_undone() -> None:
    """Some mail programs save so."""
    (mail,) = split_mailbox(mbox(letter("one", "text\n")).replace(b"\n", b"\r\n"))
    assert b"\r" not in mail


def test_nothing_there_is_an_input_error(tmp_path: Path) -> None:
    """A path that does not exist, an empty file and an empty folder."""
    with pytest.raises(InputError, match="cannot be read"):
        mails_from_path(tmp_path / "no")
    (tmp_path / "empty").write_bytes(b"\n\n")
    with pytest.raises(InputError, match="no mail"):
        mails_from_path(tmp_path / "empty")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="no mail"):
        mails_from_path(tmp_path / "folder")


def test_what_is_no_mail_is_one_mail_that_says_nothing() -> None:
    """The judgement whether there is a patch comes later, and has the better words."""
    assert len(split_mailbox(b"From here\nto there\n" + b"\0" * 100)) == 1


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(alphabet="ab >\n", min_size=1, max_size=60), min_size=1, max_size=4))
def test_what_is_put_in_comes_out(bodies: list[str]) -> None:
    """As many mails as were stored, each with its body but for blank lines at the end."""
    mails = split_mailbox(mbox(*[letter("x", body) for body in bodies]))
    assert [mail.partition(b"\n\n")[2].strip(b"\n") for mail in mails] == [body.strip("\n").encode() for body in bodies]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody may ever write to it."""
    os.mkfifo(tmp_path / "pipe.mbox")
    with pytest.raises(InputError, match="not a regular file"):
        mails_from_path(tmp_path / "pipe.mbox")


def test_a_mailbox_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it fills the memory, alone or in a folder."""
    monkeypatch.setattr(mailbox, "_LARGEST_MAILBOX_BYTES", 100)
    path = box_file(tmp_path, letter("one", "x" * 100))
    for place in (path, tmp_path):
        with pytest.raises(InputError, match="larger than"):
            mails_from_path(place)
