from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import CommandError, HostError, InputError
from lab.series.repository import (
    borrow,
    commit_in_tree,
    git_environment,
    is_git_tree,
    open_repository,
    require_git,
    run_git,
)
from tests.unit.series.letters import make_tree

FETCHING = {"GIT_ALLOW_PROTOCOL": "file"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


def test_the_users_git_settings_do_not_reach_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables nor files."""
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "40")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Somebody")
    environment = git_environment()
    assert not {"GIT_DIR", "GIT_AUTHOR_NAME"} & set(environment)
    assert run_git("config", "--get", "user.name", check=False).returncode != 0
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
    run_git("clone", "--quiet", "--depth=1", f"file://{theirs.git_dir}", clone, "-b", "topic", env=FETCHING)
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


def test_the_settings_of_a_tree_run_nothing(tmp_path: Path) -> None:
    """A partial clone that lacks an object would fetch it, with a command that its own settings name."""
    theirs, commits = make_tree(tmp_path / "theirs.git", {"x": "1\n"})
    mark = tmp_path / "ran"
    for name, value in (
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::sh -c touch% {mark}"),
        ("protocol.ext.allow", "always"),
        ("core.fsmonitor", f"touch {mark}"),
    ):
        theirs.git("config", name, value)
    absent = "1234567890" * 4
    assert theirs.git("cat-file", "-e", absent, check=False).returncode != 0
    with pytest.raises(CommandError, match="not allowed"):
        theirs.git("fetch", "origin")
    with pytest.raises(InputError, match="no commit"):
        commit_in_tree(theirs.git_dir, absent)
    assert borrow(theirs.git_dir).commit_id(commits[0]) == commits[0]
    assert not mark.exists()


def test_a_message_of_git_does_not_hold_the_labs_settings() -> None:
    """Nobody typed them."""
    with pytest.raises(CommandError) as caught:
        run_git("no-such-verb")
    assert caught.value.message.startswith("'git no-such-verb' failed")


def test_a_path_that_alternates_cannot_hold_is_refused(tmp_path: Path) -> None:
    """A line end, or bytes that are not UTF-8; a blank at its end is no harm."""
    for name in ("a\nb", "caf\udce9"):
        theirs, _ = make_tree(tmp_path / name, {"x": "1\n"})
        with pytest.raises(InputError, match="alternates cannot express"):
            borrow(theirs.git_dir)
    theirs, commits = make_tree(tmp_path / "blank ", {"x": "1\n"})
    assert borrow(theirs.git_dir).commit_id(commits[0]) == commits[0]


def test_a_tree_with_long_object_names_is_refused(tmp_path: Path) -> None:
    """Its objects cannot be borrowed by a repository with short ones."""
    run_git("init", "--quiet", "--object-format=sha256", tmp_path)
    with pytest.raises(InputError, match="sha256 object names"):
        borrow(tmp_path)


def test_git_that_is_missing_is_the_hosts_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3 with a remedy, whoever asks: the tree is not blamed for what git would have said."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for ask in (lambda: borrow(tmp_path), lambda: open_repository("x"), require_git):
        with pytest.raises(HostError, match="git is not installed") as caught:
            ask()
        assert caught.value.exit_code == 3 and "lab doctor" in caught.value.remedy
