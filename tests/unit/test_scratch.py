import os
import time
from pathlib import Path

import pytest

from lab.scratch import remove_left_folders, scratch_folder


def left_folder(root: Path, name: str) -> Path:
    """Make what a life leaves that was killed."""
    folder = root / f"lab-scratch-{name}"
    folder.mkdir()
    (folder / ".lock").touch()
    return folder


def test_a_folder_lives_as_long_as_its_block(tmp_path: Path) -> None:
    """It is removed at the end, whatever is in it."""
    with scratch_folder(tmp_path) as folder:
        (folder / "file").write_text("x")
        assert folder.parent == tmp_path
    assert not folder.exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    """Its owner has the lock."""
    with scratch_folder(tmp_path) as folder:
        assert remove_left_folders(tmp_path) == 0 and folder.exists()


def test_a_folder_whose_owner_was_killed_is_removed(tmp_path: Path) -> None:
    """Nobody has the lock of the file that it left."""
    left = left_folder(tmp_path, "left")
    (tmp_path / "other").mkdir()
    assert remove_left_folders(tmp_path) == 1 and not left.exists() and (tmp_path / "other").exists()


def test_the_first_folder_of_a_process_removes_what_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to think of it, and the temporary folder, which may be full, is looked through once."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = left_folder(tmp_path, "first")
    with scratch_folder():
        assert not first.exists()
    second = left_folder(tmp_path, "second")
    with scratch_folder():
        assert second.exists()


def test_a_folder_without_a_lock_is_given_time(tmp_path: Path) -> None:
    """It is being made, unless it is old."""
    young, old = tmp_path / "lab-scratch-young", tmp_path / "lab-scratch-old"
    young.mkdir()
    old.mkdir()
    an_hour_ago = time.time() - 3600
    os.utime(old, (an_hour_ago, an_hour_ago))
    assert remove_left_folders(tmp_path) == 1 and young.exists() and not old.exists()
