from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from lab.build.area import area_for
from lab.build.build import Build
from lab.build.builder import Builder
from lab.build.entry import find_entry, list_entries
from lab.build.prune import bytes_from_text, list_areas, prune_to, prune_unused
from lab.build.purpose import Purpose, Role, purposes_of
from lab.errors import InputError
from lab.progress import SilentProgress
from lab.series.repository import Repository
from tests.unit.build.fake_tree import TOOLCHAIN, fake_source

NEVER_S = 1e12


def used(folder: Path, at_s: float) -> None:
    """Make an entry or a work area look as if it was last used then."""
    for path in (folder, *folder.glob("*.log"), *folder.glob("lock")):
        os.utime(path, (at_s, at_s))


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    """Return a builder of the fake tree."""
    return Builder.open(fake_source(tmp_path / "r.git"), SilentProgress())


@pytest.fixture
def build(builder: Builder) -> Build:
    """Return its base in the cache."""
    return builder.build(builder.source.commit, title="base", purpose=Purpose(Role.BASELINE))


def test_pruning_removes_the_old_and_the_damaged(build: Build, cache: Path) -> None:
    """And nothing that was used since."""
    (cache / "builds" / "damaged").mkdir()
    used(build.folder, 1000.0)
    used(list_areas()[0].folder, 1000.0)
    removed = prune_unused(100.0, now=lambda: 1050.0)
    assert [entry.folder.name for entry in removed.entries] == ["damaged"] and removed.areas == ()
    removed = prune_unused(100.0, now=lambda: 1150.0)
    assert [entry.build for entry in removed.entries] == [build] and len(removed.areas) == 1
    assert list_entries() == () and list_areas() == ()


def test_an_area_that_is_in_use_is_not_pruned(builder: Builder, build: Build) -> None:
    """By age or by size: another process builds there."""
    area = area_for(builder.source, TOOLCHAIN)
    with FileLock(area.lock_path):
        assert prune_unused(-NEVER_S).areas == ()
        assert prune_to(0).areas == ()
    assert area.folder.exists()
    assert [one.folder for one in prune_to(0).areas] == [area.folder]
    assert not area.folder.exists()


def test_the_least_recently_used_goes_first(builder: Builder, build: Build, cache: Path) -> None:
    """Until it fits, and no further; what is damaged goes before everything."""
    area = area_for(builder.source, TOOLCHAIN)
    (cache / "builds" / "damaged").mkdir()
    (cache / "builds" / "damaged" / "x").write_text("1")
    used(build.folder, 2000.0)
    used(area.folder, 1000.0)
    everything = sum(entry.size_bytes for entry in list_entries()) + sum(one.size_bytes for one in list_areas())
    assert prune_to(everything).entries == ()
    assert [entry.folder.name for entry in prune_to(everything - 1).entries] == ["damaged"]
    removed = prune_to(everything - 2)
    assert [one.folder for one in removed.areas] == [area.folder] and removed.entries == ()
    assert find_entry(build.key) is not None


def test_an_area_that_is_nested_too_deep_stays(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not said to be removed."""

    def rmtree(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    assert prune_to(0) == prune_unused(-NEVER_S)
    assert prune_to(0).areas == ()


def test_a_pruned_build_is_built_again(builder: Builder, build: Build) -> None:
    """Nothing is lost but time."""
    prune_to(0)
    again = builder.build(builder.source.commit, title="base")
    assert not again.cached and again.key == build.key


def test_what_a_removed_build_was_for_is_forgotten(build: Build, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour later: a build that is being stored has its note before anybody looks."""
    prune_to(0)
    assert purposes_of(build.key) != ()
    used(cache / "builds" / ".purposes" / f"{build.key}.json", 1.0)
    prune_to(0)
    assert purposes_of(build.key) == ()


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("5GiB", 5 << 30),
        ("500 MiB", 500 << 20),
        ("1.5G", 3 << 29),
        ("2gb", 2 * 10**9),
        ("1k", 1024),
        ("1 TiB", 1 << 40),
    ],
)
def test_sizes_are_read(text: str, size_bytes: int) -> None:
    """Binary prefixes, or decimal ones where a B follows."""
    assert bytes_from_text(text) == size_bytes


@pytest.mark.parametrize("text", ["", "5", "GiB", "-1GiB", "1 PiB", "5 GiB!", "inf G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """A number alone is not: nobody means bytes."""
    with pytest.raises(InputError, match="not a size"):
        bytes_from_text(text)


def test_the_lists_have_no_git(cache: Path) -> None:
    """Repositories are sources, not builds: pruning never touches them."""
    folder = cache / "git" / "x.git"
    folder.mkdir(parents=True)
    prune_to(0)
    assert Repository(folder).git_dir.is_dir()
