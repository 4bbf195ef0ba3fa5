"""The build cache under attack: many at once, killed in the middle, damaged; and changes of what ninja watches."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.build.build import Build
from lab.build.builder import Builder
from lab.build.entry import find_entry, list_entries, new_entry
from lab.build.source import SourceTree, source_from_commit
from lab.command import run_logged
from lab.progress import SilentProgress
from tests.unit.build.fake_tree import FILES, SCSI, TOOLCHAIN, fake_source
from tests.unit.series.letters import make_tree

QUIET = SilentProgress()
FORK = multiprocessing.get_context("fork")

HEADER, OPTION = "hw/scsi/lab.h", "hw/scsi/lab-option"

# What meson makes of meson.build and Kconfig: a ninja file that makes itself again, and depfiles for headers.
CONFIGURE = FILES["configure"].replace(
    "cat > build.ninja <<END",
    r"""cat > regenerate <<'END'
#!/bin/sh
set -e
src=$1
cat > build.ninja.part <<EOF
rule regenerate
  command = ./regenerate $src
  generator = 1
build build.ninja: regenerate $src/meson.build $src/hw/scsi/lab-option
rule make
  command = cat \$in $src/hw/scsi/lab.h > \$out && echo \$option >> \$out && echo "\$out: $src/hw/scsi/lab.h" > \$out.d
  depfile = \$out.d
  deps = gcc
  description = Compiling C object \$out
build qemu-system-x86_64: make $src/hw/scsi/virtio-scsi.c $(cat $src/meson.build)
  option = $(cat $src/hw/scsi/lab-option)
build qemu-img: make $src/VERSION
EOF
mv build.ninja.part build.ninja
END
chmod +x regenerate
./regenerate "$src"
exit 0
cat > unused <<END""",
)
TREE = {**FILES, "configure": CONFIGURE, "meson.build": "", HEADER: "header 1\n", OPTION: "option 1\n"}


def sources(folder: Path, *versions: dict[str, str]) -> tuple[SourceTree, ...]:
    """Return the tree in several versions, which share a repository and a work area as patches of a series do."""
    repository, commits = make_tree(folder / "r.git", *({**TREE, **changes} for changes in versions))
    return tuple(source_from_commit(repository, commit, "fake") for commit in commits)


def text_of(source: SourceTree) -> str:
    """Build a version and return its binary."""
    return Builder.open(source, QUIET).build(source.commit, title="x").qemu.read_text()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({HEADER: "header 2\n"}, "one\ntwo\nthree\nheader 2\noption 1\n"),
        ({OPTION: "option 2\n"}, "one\ntwo\nthree\nheader 1\noption 2\n"),
        (
            {"meson.build": "../source/hw/scsi/new.c", "hw/scsi/new.c": "new\n"},
            "one\ntwo\nthree\nnew\nheader 1\noption 1\n",
        ),
        ({SCSI: "1\n"}, "1\nheader 1\noption 1\n"),
    ],
)
def test_what_a_patch_changes_is_built_and_what_it_leaves_is_not_kept(
    tmp_path: Path, changes: dict[str, str], expected: str
) -> None:
    """A header, an option, a new file in meson.build, a source: forth, back, and forth again in one work area.

    Going back is the hard part: the older tree must not look up to date because its files are older.
    """
    base, changed, base_again, changed_again = sources(
        tmp_path, {}, changes, {"unrelated": "x"}, {**changes, "unrelated": "x"}
    )
    plain = "one\ntwo\nthree\nheader 1\noption 1\n"
    assert [text_of(one) for one in (base, changed, base_again, changed_again)] == [plain, expected, plain, expected]


def test_a_build_in_a_used_area_is_the_build_from_nothing(tmp_path: Path, cache: Path) -> None:
    """Whatever was built there before: the control of an A/A comparison must be the same."""
    base, changed = sources(tmp_path, {}, {HEADER: "header 2\n", OPTION: "option 2\n", SCSI: "2\n"})
    text_of(base)
    text_of(changed)
    used = Builder.open(changed, QUIET).build(changed.commit, title="x")
    fresh = Builder.open(changed, QUIET, control=True).build(changed.commit, title="x")
    assert used.key != fresh.key and used.binary_sha256 == fresh.binary_sha256


def test_many_builds_at_once_do_not_mix(tmp_path: Path) -> None:
    """Eight at a time of four trees in one work area: each gets its own binary, and each tree is built once."""
    versions = sources(tmp_path, *({SCSI: f"tree {number}\n"} for number in range(4)))
    built: dict[int, list[Build]] = {number: [] for number in range(4)}
    start = threading.Barrier(8)

    def build(number: int) -> None:
        start.wait()
        one = versions[number]
        built[number].append(Builder.open(one, QUIET).build(one.commit, title="x"))

    threads = [threading.Thread(target=build, args=(number,)) for number in [0, 1, 2, 3] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number, (first, second) in built.items():
        assert first.qemu.read_text() == second.qemu.read_text() == f"tree {number}\nheader 1\noption 1\n"
        assert first.key == second.key and first.cached != second.cached
    assert len(list_entries()) == 4
    assert all(find_entry(entry.folder.name) is not None for entry in list_entries())


def _killed_while_storing(folder: Path) -> None:
    with new_entry("k" * 40) as (entry, _store):
        (entry / "qemu-system-x86_64").write_text("half")
        (folder / "reached").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_build_killed_while_it_is_stored_leaves_no_entry(tmp_path: Path, cache: Path) -> None:
    """Killed with -9, as by the kernel for want of memory: the key is not there, and is stored by the next."""
    process = FORK.Process(target=_killed_while_storing, args=(tmp_path,))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL and (tmp_path / "reached").exists()
    assert [path.name[:5] for path in (cache / "builds").iterdir()] == [".new-"]
    assert find_entry("k" * 40) is None and list_entries() == ()


def _killed_while_building(source: SourceTree, folder: Path) -> None:
    def die_in_ninja(argv: Sequence[str | Path], *, cwd: Path, **options: Any) -> None:
        if argv[0] == "ninja":
            (folder / "reached").touch()
            (cwd / "qemu-system-x86_64").write_text("half an object")
            os.kill(os.getpid(), signal.SIGKILL)
        run_logged(argv, cwd=cwd, **options)

    # Never undone: this process is about to die.
    pytest.MonkeyPatch().setattr("lab.build.area.run_logged", die_in_ninja)
    Builder.open(source, QUIET).build(source.commit, title="x")


def test_a_build_killed_while_it_compiles_is_not_built_upon(tmp_path: Path) -> None:
    """Half an object is newer than its source; the lock of the dead is free, and what it left is discarded."""
    (base,) = sources(tmp_path, {})
    process = FORK.Process(target=_killed_while_building, args=(base, tmp_path))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL and (tmp_path / "reached").exists()
    assert list_entries() == ()
    assert text_of(base) == "one\ntwo\nthree\nheader 1\noption 1\n"


@pytest.mark.parametrize("attack", ["truncate", "append", "extra", "firmware-gone", "not-a-file", "dangling"])
def test_every_kind_of_damage_is_noticed(tmp_path: Path, attack: str) -> None:
    """And the build made again, whole."""
    source = fake_source(tmp_path / "r.git")
    builder = Builder.open(source, QUIET)
    first = builder.build(source.commit, title="x")
    first.folder.chmod(0o755)
    if attack == "truncate":
        os.truncate(first.qemu, 3)
    elif attack == "append":
        with first.qemu_img.open("a") as stream:
            stream.write("x")
    elif attack == "extra":
        (first.folder / "firmware" / "evil.rom").write_text("x")
    elif attack == "firmware-gone":
        for path in first.firmware[0].iterdir():
            path.unlink()
        first.firmware[0].rmdir()
    else:
        first.qemu.unlink()
        if attack == "not-a-file":
            first.qemu.mkdir()
        else:
            first.qemu.symlink_to(tmp_path / "nowhere")
    again = builder.build(source.commit, title="x")
    assert not again.cached and again.binary_sha256 == first.binary_sha256
    assert builder.build(source.commit, title="x").cached


def test_a_key_says_what_was_built_with(tmp_path: Path) -> None:
    """Other tools never share a work area either: their objects would be mixed."""
    (base,) = sources(tmp_path, {})
    one = Builder.open(base, QUIET)
    other = replace(one, toolchain=replace(TOOLCHAIN, compiler="cc 2.0"))
    first, second = (builder.build(base.commit, title="x") for builder in (one, other))
    assert first.key != second.key and (first.steps, second.steps) == (2, 2)
