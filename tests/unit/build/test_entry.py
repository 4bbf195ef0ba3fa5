from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lab.build.build import Build
from lab.build.builder import Builder
from lab.build.entry import find_entry, list_entries, new_entry, remove_entry
from lab.progress import SilentProgress
from tests.unit.build.fake_tree import fake_source


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Return a build in the cache."""
    builder = Builder.open(fake_source(tmp_path / "r.git"), SilentProgress())
    return builder.build(builder.source.commit, title="base")


def test_a_key_that_was_never_built_is_not_found() -> None:
    """None, not an error."""
    assert find_entry("0" * 40) is None


def test_a_block_that_fails_stores_nothing(cache: Path) -> None:
    """Neither an entry nor an unfinished folder."""

    def fail() -> None:
        with new_entry("k") as (folder, _):
            (folder / "half").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list((cache / "builds").iterdir()) == []


def test_an_entry_that_another_process_stored_is_kept(build: Build) -> None:
    """Equal keys are equal builds."""
    inode = build.qemu.stat().st_ino
    with new_entry(build.key) as (folder, store):
        (folder / "qemu-system-x86_64").write_text("other")
        assert store(build).folder == build.folder
    assert build.qemu.stat().st_ino == inode
    assert find_entry(build.key) is not None


def test_what_killed_builds_left_is_swept_away(cache: Path) -> None:
    """After hours; a fresh one may be under way."""
    for name, age_s in ((".new-old", 1e6), (".new-fresh", 0.0)):
        folder = cache / "builds" / name
        folder.mkdir(parents=True)
        when = folder.stat().st_mtime - age_s
        os.utime(folder, (when, when))
    with new_entry("k"):
        pass
    assert [path.name for path in (cache / "builds").iterdir()] == [".new-fresh"]


def test_a_moved_cache_still_has_its_builds(build: Build, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry says where it is by where it is found."""
    moved = cache.with_name("moved")
    cache.rename(moved)
    monkeypatch.setenv("LAB_CACHE", str(moved))
    found = find_entry(build.key)
    assert found is not None and found.qemu == moved / "builds" / build.key / "qemu-system-x86_64"


def test_the_list_has_sizes_and_marks_damage(build: Build, cache: Path) -> None:
    """The latest used first."""
    (cache / "builds" / "damaged").mkdir()
    (cache / "builds" / "damaged" / "build.json").write_text("{}")
    os.utime(cache / "builds" / "damaged", (1, 1))
    good, bad = list_entries()
    assert good.build == build and good.size_bytes > 0
    assert bad.build is None


def test_a_hit_counts_as_use(build: Build) -> None:
    """So that pruning keeps what is in use."""
    os.utime(build.folder, (1, 1))
    assert find_entry(build.key) == replace(build, cached=True)
    assert build.folder.stat().st_mtime > 1


def test_a_description_of_another_format_is_built_again(build: Build) -> None:
    """An older or newer lab wrote it."""
    description = build.folder / "build.json"
    value = json.loads(description.read_text())
    description.write_text(json.dumps({**value, "format": 99}))
    assert find_entry(build.key) is None


def test_an_entry_that_is_nested_too_deep(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is damaged, listed, and where Python cannot remove it, not said to be removed."""

    def give_up(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(Path, "rglob", give_up)
    monkeypatch.setattr(shutil, "rmtree", give_up)
    assert find_entry(build.key) is None
    assert [info.size_bytes for info in list_entries()] == [0]
    assert not remove_entry(build.folder) and build.folder.exists()
