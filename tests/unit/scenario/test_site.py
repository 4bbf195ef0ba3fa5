"""Folders and images of a scenario."""

from pathlib import Path

import pytest

from lab.machine.command_line import GuestBoot
from lab.machine.guest_shell import RunKey
from lab.scenario.site import image_folder, keyed, new_image
from lab.virtio.scratch import scratch_folder


def test_images_go_and_so_do_those_of_a_lab_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel lets go of a dead owner's lock; a live one's folder stays."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    with image_folder() as folder:
        image = new_image(folder, 1 << 20)
        assert image.stat().st_size == 1 << 20 and folder.is_relative_to(tmp_path)
    assert not folder.exists()
    root = tmp_path / "scratch"
    with scratch_folder(root) as alive:
        dead = root / "lab-qtest-dead"
        dead.mkdir()
        (dead / "lock").touch()
        new_image(dead, 1 << 20)
        with image_folder():
            assert alive.exists() and not dead.exists()


def test_a_keyed_boot_lets_its_owner_in() -> None:
    """Again after a reset, and where it is migrated to."""
    key = RunKey.new()
    boot = keyed(GuestBoot(Path("k"), Path("i"), "quiet"), key)
    assert boot.arguments == f"quiet lab.key={key.public}"
