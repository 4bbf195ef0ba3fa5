"""Reading files that others wrote, and writing some that last."""

import os
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.files import read_input, read_text_input, write_atomically


def test_a_regular_file_is_read_through_a_link_too(tmp_path: Path) -> None:
    """What a file holds comes back byte for byte."""
    (tmp_path / "a").write_bytes(b"\xff\r\n")
    (tmp_path / "b").symlink_to("a")
    assert read_input(tmp_path / "b", limit_bytes=3) == b"\xff\r\n"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Nobody ever writes to it."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="not a regular file"):
        read_input(tmp_path / "fifo", limit_bytes=10)


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/nope", "/etc/passwd/x", "a\0b", "x" * 300])
def test_what_is_no_file_is_an_input_error(path: str) -> None:
    """Devices, folders, missing files and impossible names are told with a sentence."""
    with pytest.raises(InputError, match="cannot be read"):
        read_input(Path(path), limit_bytes=10)


def test_a_missing_file_comes_with_a_remedy(tmp_path: Path) -> None:
    """Most often the name is wrong, or the folder that it is looked for in."""
    with pytest.raises(InputError) as caught:
        read_input(tmp_path / "nope", limit_bytes=10)
    assert caught.value.remedy == "check the name; a relative one starts at the current folder"


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    """Sparse files are quickly made larger than any memory."""
    with (tmp_path / "sparse").open("wb") as sink:
        sink.truncate(20 << 30)
    with pytest.raises(InputError, match="larger than 1 MiB"):
        read_input(tmp_path / "sparse", limit_bytes=1 << 20)


def test_text_must_be_utf_8(tmp_path: Path) -> None:
    """The place of the first wrong byte is named."""
    (tmp_path / "t").write_bytes(b"ab\xff")
    with pytest.raises(InputError, match=r"not UTF-8 \(byte 2\)"):
        read_text_input(tmp_path / "t", limit_bytes=10)
    (tmp_path / "t").write_text("\u00e9")
    assert read_text_input(tmp_path / "t", limit_bytes=10) == "\u00e9"


def test_a_file_is_replaced(tmp_path: Path) -> None:
    """The new content stands there, and nothing else is left in the folder."""
    file = tmp_path / "report.md"
    file.write_text("old")
    write_atomically(file, "new")
    assert file.read_bytes() == b"new" and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", ["report.md", ".report.md.part"])
def test_links_are_replaced_and_not_followed(tmp_path: Path, name: str) -> None:
    """What a planted link points to stays as it is, whether it bears the file's name or that of its part."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / name).symlink_to(outside)
    write_atomically(folder / "report.md", b"new")
    assert outside.read_text() == "precious"
    assert (folder / "report.md").read_bytes() == b"new" and not (folder / "report.md").is_symlink()


def test_a_part_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    """It is not removed with what is in it."""
    (tmp_path / ".report.md.part").mkdir()
    with pytest.raises(OSError, match="report"):
        write_atomically(tmp_path / "report.md", b"new")
