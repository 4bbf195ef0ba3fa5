from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lab.build.area import WorkArea, area_for, marked_dirty, subprojects_of
from lab.build.builder import Builder
from lab.build.source import source_from_commit
from lab.command import run_logged
from lab.errors import CommandError, DeadlineError, HostError, InputError, LabError
from lab.progress import SilentProgress
from lab.testing import RecordingProgress
from tests.unit.build.fake_tree import FILES, SCSI, TOOLCHAIN, commit_again, fake_source
from tests.unit.series.letters import make_tree

QUIET = SilentProgress()


def builder(folder: Path, changes: dict[str, str] | None = None) -> Builder:
    """Return a builder for a fake tree."""
    return Builder.open(fake_source(folder / "r.git", changes), QUIET)


def test_a_build_is_complete_in_itself(tmp_path: Path) -> None:
    """Binaries, firmware, log, and what is known about them; the work area may go."""
    made = builder(tmp_path)
    build = made.build(made.source.commit, title="base")
    shutil.rmtree(area_for(made.source, TOOLCHAIN).folder)
    assert build.qemu.is_file() and build.qemu_img.is_file()
    assert sorted(path.name for path in build.firmware[0].iterdir()) == [
        "bios-256k.bin",
        "linuxboot_dma.bin",
        "pvh.bin",
    ]
    assert "configured with --python=" in build.log.read_text()
    assert build.c_flags == ("-m64", "-O2", "-fwrapv")
    assert (build.version, build.compiler, build.tree_id) == ("10.0.0", TOOLCHAIN.compiler, made.source.tree_id)


def test_another_commit_with_the_same_tree_is_the_same_build(tmp_path: Path) -> None:
    """What is built is the tree; the name asked for is the one answered."""
    made = builder(tmp_path)
    first = made.build(made.source.commit, title="base")
    other = commit_again(made.source)
    second = made.build(other, title="again")
    assert second.cached and second.key == first.key and second.commit == other != first.commit


def test_other_compilers_and_libraries_are_other_builds(tmp_path: Path) -> None:
    """The key has all of them."""
    made = builder(tmp_path)
    first = made.build(made.source.commit, title="base")
    for toolchain in (
        replace(TOOLCHAIN, compiler="cc 2.0"),
        replace(TOOLCHAIN, libraries=(("glib-2.0", "3.0"),)),
        replace(TOOLCHAIN, settings=(("CC", "clang"),)),
    ):
        other = replace(made, toolchain=toolchain).build(made.source.commit, title="base")
        assert not other.cached and other.key != first.key


@pytest.mark.parametrize("damaged", ["qemu-system-x86_64", "firmware/pvh.bin", "build.json", "build.log"])
def test_a_damaged_entry_is_built_again(tmp_path: Path, damaged: str) -> None:
    """Whichever file it is; so is one with a file missing."""
    made = builder(tmp_path)
    first = made.build(made.source.commit, title="base")
    (first.folder / damaged).write_text("damaged")
    assert not made.build(made.source.commit, title="base").cached
    (first.folder / damaged).unlink()
    assert not made.build(made.source.commit, title="base").cached
    assert made.build(made.source.commit, title="base").cached


def test_a_build_that_fails_leaves_no_entry(tmp_path: Path, cache: Path) -> None:
    """Nor half of one, and keeps its log."""
    made = builder(tmp_path, {SCSI: "#error\n"})
    with pytest.raises(CommandError) as caught:
        made.build(made.source.commit, title="base")
    assert list((cache / "builds").iterdir()) == []
    assert caught.value.evidence is not None and caught.value.evidence.is_relative_to(cache / "failed-builds")


def test_a_firmware_that_fails_leaves_no_entry(tmp_path: Path, cache: Path) -> None:
    """Whatever comes after ninja is part of the build."""
    made = builder(tmp_path, {"pc-bios/optionrom/Makefile": "all:\n\tfalse\n"})
    with pytest.raises(CommandError):
        made.build(made.source.commit, title="base")
    assert list((cache / "builds").iterdir()) == []


def test_a_changed_configure_empties_the_build_folder(tmp_path: Path) -> None:
    """Ninja does not watch it, and what it decided may be different."""
    first = builder(tmp_path)
    first.build(first.source.commit, title="base")
    folder = area_for(first.source, TOOLCHAIN).build
    (folder / "left-over").touch()
    second = Builder.open(fake_source(tmp_path / "two.git", {"configure": FILES["configure"] + "\n# new\n"}), QUIET)
    build = second.build(second.source.commit, title="next")
    assert not (folder / "left-over").exists() and build.steps == 2


def test_a_python_that_went_away_is_replaced(tmp_path: Path) -> None:
    """The one configure chose lives in an environment that may be removed; objects stay good."""
    made = builder(tmp_path)
    made.build(made.source.commit, title="base")
    folder = area_for(made.source, TOOLCHAIN)
    (folder.build / "pyvenv" / "bin" / "meson").unlink()
    shutil.rmtree(tmp_path / "cache" / "builds")
    (folder.build / "object").touch()
    build = made.build(made.source.commit, title="base")
    assert (folder.build / "pyvenv" / "bin" / "meson").exists() and (folder.build / "object").exists()
    assert build.steps == 0


def test_a_damaged_stamp_configures_again(tmp_path: Path) -> None:
    """A killed run may have left half of it."""
    made = builder(tmp_path)
    made.build(made.source.commit, title="base")
    (area_for(made.source, TOOLCHAIN).build / "lab-configured.json").write_text("{")
    shutil.rmtree(tmp_path / "cache" / "builds")
    assert made.build(made.source.commit, title="base").steps == 2


def test_packed_firmware_that_meson_names_is_there(tmp_path: Path) -> None:
    """Empty: distribution sources lack it, and nothing that is built reads it."""
    made = builder(tmp_path)
    made.build(made.source.commit, title="base")
    source = area_for(made.source, TOOLCHAIN).source
    assert (source / "pc-bios" / "edk2-x86_64-code.fd.bz2").read_bytes() == b""
    assert not (source / "pc-bios" / "other.bin.bz2").exists()


def with_working_tree(folder: Path) -> Builder:
    """Return a builder whose user has a downloaded subproject."""
    tree = folder / "tree" / "subprojects"
    (tree / "slirp" / ".git").mkdir(parents=True)
    (tree / "slirp.wrap").touch()
    (tree / "absent.wrap").touch()
    (tree / "slirp" / "meson.build").write_text("1\n")
    return Builder.open(replace(fake_source(folder / "r.git"), working_tree=folder / "tree"), QUIET)


def test_downloaded_subprojects_are_built_with(tmp_path: Path) -> None:
    """They are copied, not linked, without their own .git, and are part of the key."""
    made = with_working_tree(tmp_path)
    first = made.build(made.source.commit, title="base")
    copied = area_for(made.source, TOOLCHAIN).source / "subprojects" / "slirp"
    assert sorted(path.name for path in copied.iterdir()) == ["meson.build"]
    (tmp_path / "tree" / "subprojects" / "slirp" / "meson.build").write_text("2\n")
    second = Builder.open(made.source, QUIET).build(made.source.commit, title="base")
    assert second.key != first.key
    assert [path.name for path in subprojects_of(made.source)] == ["slirp"]


def test_a_subproject_that_cannot_be_copied_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the user's file."""
    made = with_working_tree(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(InputError, match="cannot be copied"):
        made.build(made.source.commit, title="base")


def test_a_tree_without_subprojects_and_network_is_told_what_to_do(tmp_path: Path) -> None:
    """Configure's own words end in a log; the remedy is one command."""
    files = {path: text for path, text in FILES.items() if not path.startswith("subprojects")}
    repository, commits = make_tree(tmp_path / "r.git", {**files, "configure": "#!/bin/sh\nexit 1\n"})
    bare = Builder.open(source_from_commit(repository, commits[0], "fake"), QUIET)
    with pytest.raises(CommandError, match="tried to download") as caught:
        bare.build(bare.source.commit, title="base")
    assert "meson subprojects download" in caught.value.remedy
    (tmp_path / "two").mkdir()
    full = builder(tmp_path / "two", {"configure": "#!/bin/sh\nexit 1\n"})
    with pytest.raises(CommandError) as caught:
        full.build(full.source.commit, title="base")
    assert str(caught.value.evidence) in caught.value.remedy


def test_only_a_tree_without_subprojects_may_download(tmp_path: Path) -> None:
    """Everything else builds without network."""
    files = {path: text for path, text in FILES.items() if not path.startswith("subprojects")}
    repository, commits = make_tree(tmp_path / "r.git", files)
    bare = Builder.open(source_from_commit(repository, commits[0], "fake"), QUIET)
    assert "--disable-download" not in bare.build(bare.source.commit, title="base").log.read_text()
    (tmp_path / "two").mkdir()
    full = builder(tmp_path / "two")
    assert "--disable-download" in full.build(full.source.commit, title="base").log.read_text()


def test_a_second_process_waits_and_then_finds_the_build(tmp_path: Path, cache: Path) -> None:
    """Only one builds in an area at a time, and what it built is not built twice."""
    made = builder(tmp_path)
    first = made.build(made.source.commit, title="base")
    entry, aside = first.folder, cache / "aside"
    entry.rename(aside)
    waiting = threading.Event()

    class Waits(SilentProgress):
        def stage(self, title: str, total: float | None = None):  # type: ignore[no-untyped-def]
            if title.startswith("waiting"):
                waiting.set()
            return super().stage(title, total)

    found = []
    with FileLock(area_for(made.source, TOOLCHAIN).lock_path):
        thread = threading.Thread(
            target=lambda: found.append(replace(made, progress=Waits()).build(made.source.commit, title="base"))
        )
        thread.start()
        assert waiting.wait(10)
        aside.rename(entry)
    thread.join(10)
    assert found[0].cached


def test_objects_of_a_build_that_was_cut_short_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of one that was interrupted; what ended by itself, well or not, is built on."""
    made = builder(tmp_path)
    area = area_for(made.source, TOOLCHAIN)

    def interrupted(*words: Any, **options: Any) -> None:
        run_logged(*words, **options)
        assert area.dirty.exists()
        (area.build / "half-an-object").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lab.build.area.run_logged", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.build(made.source.commit, title="base")
    assert area.dirty.exists() and (area.build / "half-an-object").exists()
    said = RecordingProgress()
    assert replace(made, progress=said).build(made.source.commit, title="base").steps == 2
    assert any("cut short" in line for line in said.lines)
    assert not area.dirty.exists() and not (area.build / "half-an-object").exists()
    assert not list(area.folder.glob("discarded-*"))


@pytest.mark.parametrize(
    ("error", "stays"),
    [(CommandError("x"), False), (InputError("x"), False), (HostError("x"), False), (DeadlineError("x"), True)],
)
def test_an_area_is_dirty_after_what_did_not_end_by_itself(tmp_path: Path, error: LabError, stays: bool) -> None:
    """A compile error ends ninja; a deadline kills it."""
    area = WorkArea(tmp_path)
    area.build.mkdir()

    def build() -> None:
        with marked_dirty(area, QUIET):
            assert area.dirty.exists()
            raise error

    with pytest.raises(type(error)):
        build()
    assert area.dirty.exists() == stays and area.build.exists()


def test_a_tree_without_configure_is_an_input_error(tmp_path: Path) -> None:
    """It says so before anything is checked out."""
    files = {path: text for path, text in FILES.items() if path != "configure"}
    repository, commits = make_tree(tmp_path / "r.git", files)
    made = Builder.open(source_from_commit(repository, commits[0], "fake"), QUIET)
    with pytest.raises(InputError, match="fake has no 'configure'"):
        made.build(made.source.commit, title="base")
