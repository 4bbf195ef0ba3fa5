from __future__ import annotations

from pathlib import Path

import pytest

from lab import settings
from lab.errors import HostError


def test_cache_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LAB_CACHE names the root of the cache; folders in it are made when asked for."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "elsewhere"))
    assert settings.cache_dir("builds", "qemu") == tmp_path / "elsewhere" / "builds" / "qemu"
    assert (tmp_path / "elsewhere" / "builds" / "qemu").is_dir()


def test_environment_is_read_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache follows the environment of the moment, not that of the import."""
    for name in ("one", "two"):
        monkeypatch.setenv("LAB_CACHE", str(tmp_path / name))
        assert settings.cache_dir() == tmp_path / name


def test_home_in_the_setting_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde means the home folder, as in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LAB_CACHE", "~/cache")
    assert settings.cache_dir() == tmp_path / "cache"


def test_relative_setting_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative cache is made absolute, because commands run in other folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", "cache")
    assert settings.cache_dir() == tmp_path / "cache"


def test_default_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the setting the cache is where the XDG specification has it."""
    monkeypatch.delenv("LAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert settings.cache_dir("images") == tmp_path / "qemu-patch-lab" / "images"


def test_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot be made is the host's fault, and the remedy names the setting."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(HostError, match="cannot be made") as caught:
        settings.cache_dir("builds")
    assert "LAB_CACHE" in caught.value.remedy


def test_project_is_the_checkout() -> None:
    """The project's folder holds the job files and the image recipes."""
    assert (settings.project_dir() / "jobs").is_dir() and (settings.project_dir() / "guest-images").is_dir()


def test_home_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde with the name of no user is an error that names the setting."""
    monkeypatch.setenv("LAB_CACHE", "~lab-no-such-user/x")
    with pytest.raises(HostError, match="LAB_CACHE is '~lab-no-such-user/x'"):
        settings.cache_dir()


def test_what_must_be_kept_has_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LAB_STATE moves it, nothing is made before something is kept, and without it the user's own place is meant."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    assert settings.state_path("baselines", "v10") == tmp_path / "state" / "baselines" / "v10"
    assert not (tmp_path / "state").exists()
    monkeypatch.delenv("LAB_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    assert settings.state_path("x") == tmp_path / "user" / "qemu-patch-lab" / "x"


def test_a_state_folder_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder that nobody knows is an error with a remedy."""
    monkeypatch.setenv("LAB_STATE", "~no-such-user-here/state")
    with pytest.raises(HostError, match="LAB_STATE is"):
        settings.state_path("x")
