"""Folders and images of a scenario."""

from pathlib import Path

import pytest

from lab.machine.command_line import GuestBoot
from lab.machine.guest_shell import RunKey
from lab.scenario.site import image_folder, keyed, new_image


def test_images_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the block that they were for."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    with image_folder() as folder:
        image = new_image(folder, 1 << 20)
        assert image.stat().st_size == 1 << 20 and folder.is_relative_to(tmp_path)
    assert not folder.exists()


def test_images_of_a_lab_that_was_killed_go_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel let go of its lock."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    dead = tmp_path / "scratch" / "lab-scratch-dead"
    dead.mkdir(parents=True)
    (dead / ".lock").touch()
    new_image(dead, 1 << 20)
    with image_folder() as folder:
        assert folder.exists() and not dead.exists()


def test_a_keyed_boot_lets_its_owner_in() -> None:
    """Again after a reset, and where it is migrated to."""
    key = RunKey.new()
    boot = keyed(GuestBoot(Path("k"), Path("i"), "quiet"), key)
    assert boot.arguments == f"quiet lab.key={key.public}"
