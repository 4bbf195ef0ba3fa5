"""Where verbs may write."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli.places import evidence_folder, require_place
from lab.errors import HostError, InputError, LabError


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
        ("nowhere/x.png", HostError, "cannot be written: No such file"),
        ("file/x.png", HostError, "cannot be written: Not a directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, name: str, error: type[LabError], message: str) -> None:
    """With what to do."""
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(error, match=message) as caught:
        require_place(tmp_path / name, ".png")
    assert caught.value.remedy
