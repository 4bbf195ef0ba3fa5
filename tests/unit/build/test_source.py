from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from lab.build import source as module
from lab.build.source import source_from_git, source_from_path
from lab.errors import InputError
from lab.progress import SilentProgress
from lab.series.repository import run_git
from tests.unit.build.fake_tree import FILES
from tests.unit.series.letters import make_tree

QUIET = SilentProgress()


def unpacked(folder: Path) -> Path:
    """Write the fake tree as plain files."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_a_commit_of_the_users_tree_is_a_source(tmp_path: Path) -> None:
    """By any name; HEAD is the default, and the work tree is where subprojects may be."""
    theirs, commits = make_tree(tmp_path / "r.git", FILES, {**FILES, "VERSION": "10.1.0\n"})
    run_git("symbolic-ref", "HEAD", "refs/heads/topic", env={"GIT_DIR": str(theirs.git_dir)})
    source = source_from_path(theirs.git_dir, None, progress=QUIET)
    assert (source.commit, source.version, source.working_tree) == (commits[1], "10.1.0", theirs.git_dir)
    assert source_from_git(theirs.git_dir, "topic~1").version == "10.0.0"
    assert source_from_git(theirs.git_dir, "topic~1").area == source.area


def test_the_base_that_a_series_names_is_taken_where_the_tree_has_it(tmp_path: Path) -> None:
    """Unless the user names one."""
    theirs, commits = make_tree(tmp_path / "r.git", FILES, {**FILES, "VERSION": "10.1.0\n"})
    run_git("symbolic-ref", "HEAD", "refs/heads/topic", env={"GIT_DIR": str(theirs.git_dir)})
    assert source_from_path(theirs.git_dir, None, hint=commits[0], progress=QUIET).commit == commits[0]
    assert source_from_path(theirs.git_dir, None, hint="a" * 40, progress=QUIET).commit == commits[1]
    assert source_from_path(theirs.git_dir, "topic", hint=commits[0], progress=QUIET).commit == commits[1]


def test_a_tarball_and_a_folder_of_the_same_files_have_the_same_tree(tmp_path: Path) -> None:
    """So they are the same build."""
    folder = unpacked(tmp_path / "qemu-10.0.0")
    with tarfile.open(tmp_path / "qemu.tar.gz", "w:gz") as archive:
        archive.add(folder, "qemu-10.0.0")
    from_folder = source_from_path(folder, None, progress=QUIET)
    from_tarball = source_from_path(tmp_path / "qemu.tar.gz", None, progress=QUIET)
    assert from_folder.tree_id == from_tarball.tree_id
    assert source_from_path(tmp_path / "qemu.tar.gz", None, progress=QUIET) == from_tarball


def test_a_changed_folder_is_imported_again(tmp_path: Path) -> None:
    """Seen by size and time, as git does."""
    folder = unpacked(tmp_path / "qemu-10.0.0")
    first = source_from_path(folder, None, progress=QUIET)
    (folder / "VERSION").write_text("10.0.1\n")
    os.utime(folder / "VERSION", (1, 1))
    assert source_from_path(folder, None, progress=QUIET).version == "10.0.1"
    assert first.version == "10.0.0"


@pytest.mark.parametrize(
    ("make", "base", "message"),
    [
        (lambda folder: folder / "no", None, "there is no"),
        (unpacked, "v10.0.0", "is not a git tree"),
        (lambda folder: make_tree(folder / "r.git", {"x": "1"})[0].git_dir, "topic", "not a source of QEMU"),
        (lambda folder: make_tree(folder / "r.git", FILES)[0].git_dir, "v99", "no commit called 'v99'"),
    ],
)
def test_what_is_no_source_is_refused(tmp_path: Path, make, base: str | None, message: str) -> None:  # type: ignore[no-untyped-def]
    """Each with its own sentence."""
    with pytest.raises(InputError, match=message):
        source_from_path(make(tmp_path), base, progress=QUIET)


def test_a_large_file_that_is_no_tarball_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk image, say: its first bytes tell."""
    path = tmp_path / "disk.img"
    path.touch()
    os.truncate(path, 8 << 30)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("all of it was read"))
    with pytest.raises(InputError, match="it holds no file"):
        source_from_path(path, None, progress=QUIET)


def test_a_tarball_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It went away, or is somebody else's."""
    path = tmp_path / "x.tar"
    path.touch()
    monkeypatch.setattr(module, "require_tarball", lambda _: None)  # it went away after that

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        source_from_path(path, None, progress=QUIET)


def test_a_clone_without_the_content_of_its_files_is_told_from_another_project(tmp_path: Path) -> None:
    """As a partial clone is, or a damaged one; how to get the content is said."""
    theirs, _ = make_tree(tmp_path / "r.git", FILES)
    clone = tmp_path / "clone"
    theirs.git("config", "uploadpack.allowFilter", "true")
    words = ("clone", "--quiet", "--bare", "--filter=blob:none", f"file://{theirs.git_dir}", clone)
    run_git(*words, env={"GIT_ALLOW_PROTOCOL": "file"})
    with pytest.raises(InputError, match="their content is missing") as caught:
        source_from_git(clone, "topic")
    assert "--refetch" in caught.value.remedy
    other, _ = make_tree(tmp_path / "o.git", {"VERSION/x": "1\n", "hw/scsi/virtio-scsi.c": ""})
    with pytest.raises(InputError, match="not a source of QEMU"):
        source_from_git(other.git_dir, "topic")
