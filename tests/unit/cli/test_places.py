"""Where verbs may write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.cli.places import evidence_folder, require_place
from lab.errors import HostError, InputError, LabError
from lab.files import write_atomically


def test_a_folder_for_evidence_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is named is made and given with its whole path; otherwise one of the cache, made when needed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    assert evidence_folder(Path("a/b"), "tmf") == tmp_path / "a" / "b" and (tmp_path / "a" / "b").is_dir()
    (tmp_path / "empty").mkdir()
    assert evidence_folder(Path("empty"), "tmf") == tmp_path / "empty"
    default = evidence_folder(None, "tmf")
    assert default.parent == tmp_path / "cache" / "tmf" and not default.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("full", "is not empty"),
        ("link-to-full", "is not empty"),
        ("file", "cannot be a folder for evidence"),
        ("file/below", "cannot be a folder for evidence"),
        ("link-to-nothing", "cannot be a folder for evidence"),
    ],
)
def test_files_of_others_are_left_alone(tmp_path: Path, name: str, message: str) -> None:
    """A folder with anything in it is refused, by whatever name, and so is what is no folder."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "theirs").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link-to-full").symlink_to("full")
    (tmp_path / "link-to-nothing").symlink_to("nothing")
    with pytest.raises(InputError, match=message):
        evidence_folder(tmp_path / name, "tmf")
    assert (tmp_path / "full" / "theirs").exists() and not (tmp_path / "nothing").exists()


def test_a_file_that_can_be_written_leaves_no_trace(tmp_path: Path) -> None:
    """It is only tried whether it could be; what is there already stays, and so does a file that is not asked for."""
    (tmp_path / "old.html").write_text("old")
    require_place(tmp_path / "old.html", ".html")
    require_place(tmp_path / "new.html", ".html")
    require_place(None, ".html")
    assert [path.name for path in tmp_path.iterdir()] == ["old.html"]
    assert (tmp_path / "old.html").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("x.pdf", InputError, r"does not end in \.png"),
        ("folder.png", InputError, "is a folder"),
        ("beside.png", InputError, r"beside\.svg is a folder"),
        ("pipe.png", InputError, "is no regular file"),
        ("link.png", InputError, "is no regular file"),
        ("x" * 246 + ".png", InputError, "its name is too long"),
        ("nowhere/x.png", HostError, "cannot be written: No such file"),
        ("file/x.png", HostError, "cannot be written: Not a directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, name: str, error: type[LabError], message: str) -> None:
    """With what to do."""
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "beside.svg").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("pipe.png")
    (tmp_path / "file").touch()
    with pytest.raises(error, match=message) as caught:
        require_place(tmp_path / name, ".png")
    assert caught.value.remedy


def test_what_somebody_else_has_in_a_shared_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each may only replace what is theirs, as in /tmp; the folder's owner and root may replace anything."""
    tmp_path.chmod(0o1777)
    (tmp_path / "theirs.html").touch()
    require_place(tmp_path / "theirs.html", ".html")
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(HostError, match="is somebody else's"):
        require_place(tmp_path / "theirs.html", ".html")
    require_place(tmp_path / "new.html", ".html")


def test_the_longest_name_that_is_taken_can_be_written(tmp_path: Path) -> None:
    """It is written under a longer one first."""
    path = tmp_path / ("x" * 244 + ".html")
    require_place(path, ".html")
    write_atomically(path, "page")
    assert path.read_text() == "page"
