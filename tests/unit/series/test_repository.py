from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import CommandError, InputError
from lab.series.repository import borrow, commit_in_tree, git_environment, is_git_tree, open_repository, run_git
from tests.unit.series.letters import make_tree


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


def test_the_users_git_settings_do_not_reach_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables nor files."""
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    environment = git_environment()
    assert not {"GIT_DIR", "GIT_AUTHOR_NAME", "GIT_CONFIG_COUNT"} & set(environment)
    assert environment["GIT_CONFIG_GLOBAL"] == "/dev/null"


def test_a_borrowed_tree_is_seen_but_not_written(tmp_path: Path) -> None:
    """Its commits are there; new objects go to the lab's own repository."""
    theirs, commits = make_tree(tmp_path / "theirs.git", {"x": "1\n"})
    before = sorted(theirs.git_dir.rglob("*"))
    ours = borrow(theirs.git_dir)
    assert ours.commit_id(commits[0]) == commits[0]
    ours.git("hash-object", "-w", "--stdin", stdin=b"new")
    assert sorted(theirs.git_dir.rglob("*")) == before
    assert borrow(theirs.git_dir) == ours


def test_a_shallow_clone_can_be_borrowed(tmp_path: Path) -> None:
    """Its history ends where its file ``shallow`` says."""
    theirs, commits = make_tree(tmp_path / "theirs.git", {"x": "1\n"}, {"x": "2\n"})
    clone = tmp_path / "clone"
    run_git("clone", "--quiet", "--depth=1", f"file://{theirs.git_dir}", clone, "-b", "topic")
    ours = borrow(clone)
    assert ours.git("log", "--format=%H", commits[1]).stdout.split() == [commits[1]]


def test_a_folder_that_is_no_git_tree_is_refused(tmp_path: Path) -> None:
    """With what to name instead."""
    assert not is_git_tree(tmp_path)
    with pytest.raises(InputError, match="not a git tree"):
        borrow(tmp_path)


def test_a_name_is_looked_up_in_the_users_tree(tmp_path: Path) -> None:
    """Where their branches are; an unknown one is said."""
    theirs, commits = make_tree(tmp_path / "theirs.git", {"x": "1\n"})
    assert is_git_tree(theirs.git_dir)
    assert commit_in_tree(theirs.git_dir, "topic") == commits[0]
    with pytest.raises(InputError, match="no commit called '--all'"):
        commit_in_tree(theirs.git_dir, "--all")


def test_files_and_paths_of_a_tree_are_read(tmp_path: Path) -> None:
    """None where there is no such file or commit."""
    repository, commits = make_tree(tmp_path / "r.git", {"a/x": "1\n", "y": "2\n"})
    tree_id = repository.tree_id(commits[0])
    assert repository.text(tree_id, "a/x") == "1\n"
    assert repository.text(tree_id, "b") is None
    assert repository.paths(tree_id) == ("a/x", "y")
    assert repository.commit_id("nothing") is None
    with pytest.raises(CommandError):
        repository.tree_id("nothing")


def test_only_files_that_differ_are_written(tmp_path: Path) -> None:
    """What is the same keeps its time, so that it is not built again; what a user changed or left is put right."""
    repository, commits = make_tree(tmp_path / "r.git", {"a": "1\n", "b": "1\n"}, {"a": "1\n", "b": "2\n", "c": "3\n"})
    folder, index = tmp_path / "out", tmp_path / "index"
    first, second = (repository.tree_id(commit) for commit in commits)
    repository.check_out(first, folder, index)
    before = (folder / "a").stat().st_mtime_ns
    (tmp_path / "index.lock").touch()  # as a killed run leaves it
    repository.check_out(second, folder, index)
    assert (folder / "a").stat().st_mtime_ns == before
    assert (folder / "b").read_text() == "2\n"
    (folder / "b").write_text("changed by hand\n")
    repository.check_out(first, folder, index)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
    assert (folder / "b").read_text() == "1\n"


def test_attributes_of_the_tree_do_not_change_bytes(tmp_path: Path) -> None:
    """What is built is what was committed."""
    files = {".gitattributes": "*.bat text eol=crlf\n*.c ident filter=evil\n", "x.bat": "1\n", "y.c": "$Id$\n"}
    repository, commits = make_tree(tmp_path / "other.git", files)
    ours = borrow(repository.git_dir)
    ours.check_out(ours.tree_id(commits[0]), tmp_path / "out", tmp_path / "index")
    assert (tmp_path / "out" / "x.bat").read_bytes() == b"1\n"
    assert (tmp_path / "out" / "y.c").read_bytes() == b"$Id$\n"


def test_a_repository_is_made_once(tmp_path: Path) -> None:
    """The second call finds the first one's."""
    one = open_repository("imports")
    with one.fast_import() as stream:
        stream.write(b"blob\ndata 2\n1\n\ndone\n")
    assert open_repository("imports") == one
    assert one.git_dir.is_relative_to(tmp_path / "cache")


def test_a_stream_that_git_refuses_is_an_error() -> None:
    """And one that ends early is not taken for whole."""
    repository = open_repository("imports")
    with pytest.raises(CommandError, match="fast-import"), repository.fast_import() as stream:
        stream.write(b"nonsense\n")
    with pytest.raises(CommandError), repository.fast_import() as stream:
        stream.write(b"blob\ndata 2\n1\n\n")
