import os
import time
from pathlib import Path

import pytest

from lab.virtio.scratch import remove_left_folders, scratch_folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make folders below a folder of the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_folder_lives_as_long_as_its_block(tmp_path: Path) -> None:
    """It is removed at the end, whatever is in it."""
    with scratch_folder() as folder:
        (folder / "file").write_text("x")
        assert folder.parent == tmp_path
    assert not folder.exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    """Its owner has the lock."""
    with scratch_folder() as folder:
        assert remove_left_folders() == 0 and folder.exists()


def test_a_folder_whose_owner_was_killed_is_removed(tmp_path: Path) -> None:
    """Nobody has the lock of the file that it left."""
    left = tmp_path / "lab-qtest-left"
    left.mkdir()
    (left / "lock").write_text("")
    (tmp_path / "other").mkdir()
    assert remove_left_folders() == 1 and not left.exists() and (tmp_path / "other").exists()


def test_a_folder_without_a_lock_is_given_time(tmp_path: Path) -> None:
    """It is being made, unless it is old."""
    young, old = tmp_path / "lab-qtest-young", tmp_path / "lab-qtest-old"
    young.mkdir()
    old.mkdir()
    an_hour_ago = time.time() - 3600
    os.utime(old, (an_hour_ago, an_hour_ago))
    assert remove_left_folders(tmp_path) == 1 and young.exists() and not old.exists()
