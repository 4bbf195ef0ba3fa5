from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import CommandError
from lab.series.apply import apply_series
from lab.series.history import History, patch_from_commit, tips_of
from lab.series.patch import patch_id_of
from lab.series.series import Series
from tests.unit.series.letters import add_branch, make_tree

LATIN = b"caf\xe9\n"


def test_commits_are_found_by_what_they_change(tmp_path: Path) -> None:
    """By the id that git gives the diff, in whatever charset; those of the base are left out."""
    repository, (base,) = make_tree(tmp_path / "r.git", {"x": "1\n"})
    made = add_branch(repository, "other", base, ("latin", {"y": LATIN}), ("x", {"x": "2\n"}))
    found = History(repository, tips_of(repository.git_dir), without=base).by_patch_id
    latin = patch_id_of(b"diff --git a/y b/y\nnew file mode 100644\n--- /dev/null\n+++ b/y\n@@ -0,0 +1 @@\n+" + LATIN)
    assert set(found.values()) == set(made)
    assert found[latin] == made[0]


def test_the_first_commit_of_a_tree_is_no_patch(tmp_path: Path) -> None:
    """The diff of an imported source is the whole source."""
    repository, commits = make_tree(tmp_path / "r.git", {"x": "1\n"}, {"x": "2\n"})
    assert list(History(repository, (commits[1],)).by_patch_id.values()) == [commits[1]]


def test_commits_are_found_by_the_mails_they_name(tmp_path: Path) -> None:
    """Newest first; a mail that two branches took stands for one of them."""
    repository, (base,) = make_tree(tmp_path / "r.git", {"x": "1\n"})
    messages = ("one\n\nMessage-ID: <1@x>\n", "two\n\nLink: https://lore.kernel.org/r/2@x\nLink: none\n", "three\n")
    made = add_branch(repository, "other", base, *((text, {"x": text}) for text in messages))
    add_branch(repository, "again", base, ("one\n\nMessage-Id: <1@x>\n", {"x": "one"}))
    found = History(repository, tips_of(repository.git_dir), without=base).by_message_id
    assert set(found) == {"1@x", "2@x"} and found["2@x"] == made[1]
    assert list(History(repository, (made[2],)).by_message_id) == ["2@x", "1@x"]


def test_a_tree_that_lacks_objects_is_searched_as_far_as_it_goes(tmp_path: Path) -> None:
    """A ref that names nothing, or no commit, hides nothing else; a folder that is no tree has no refs."""
    repository, commits = make_tree(tmp_path / "r.git", {"x": "1\n"}, {"x": "2\n"})
    blob = repository.git("rev-parse", f"{commits[1]}:x").stdout.strip()
    found = History(repository, ("1" * 40, blob, commits[1])).by_patch_id
    assert list(found.values()) == [commits[1]]
    assert tips_of(tmp_path) == ()
    assert History(repository, ()).by_patch_id == {}


def test_the_settings_of_the_tree_run_nothing(tmp_path: Path) -> None:
    """A program that its settings name for making diffs is not asked."""
    repository, (base,) = make_tree(tmp_path / "r.git", {"x": "1\n"})
    made = add_branch(repository, "other", base, ("x", {"x": "2\n"}))
    (repository.git_dir / "info").mkdir()
    (repository.git_dir / "info" / "attributes").write_text("x diff=evil\n")
    mark = tmp_path / "ran"
    for name in ("diff.evil.textconv", "diff.evil.command", "diff.external"):
        repository.git("config", name, f"touch {mark};")
    assert list(History(repository, made, without=base).by_patch_id.values()) == list(made)
    assert patch_from_commit(repository, made[0], 1).patch_id
    assert not mark.exists()


def test_a_commit_becomes_a_patch_byte_for_byte(tmp_path: Path) -> None:
    """Author, date and message are the commit's, and applied to its parent it gives its tree."""
    repository, (base,) = make_tree(tmp_path / "r.git", {"x": "1\n"})
    message = "subject\n\nbody\n---\ndiff --git a/no b/no\n"
    (made,) = add_branch(repository, "other", base, (message, {"y": LATIN, "z": b"\0\1"}))
    patch = patch_from_commit(repository, made, 7)
    assert (patch.index, patch.subject, patch.author, patch.files) == (7, "subject", "A <a@example.org>", ("y", "z"))
    assert patch.message == message
    done = apply_series(repository, base, Series("t", 1, 1, (patch,)))
    assert done.failed is None and done.tree_id == repository.tree_id(made)
    assert repository.git("log", "-1", "--format=%at", done.commit).stdout.strip() == "1700000000"
    with pytest.raises(CommandError):
        patch_from_commit(repository, "1" * 40, 1)
