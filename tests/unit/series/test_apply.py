from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import PatchError
from lab.series.apply import Application, apply_series, git_date, json_from_application
from lab.series.diagnosis import Diagnosis
from lab.series.read import read_series
from lab.series.repository import Repository
from lab.series.series import Series
from tests.unit.series.letters import box_file, diff, make_tree, patch_letter

LUN = "hw/scsi/lun.c"
FILE = "one\ntwo\nthree\n"
NEW_FILE = "diff --git a/new.c b/new.c\nnew file mode 100644\n--- /dev/null\n+++ b/new.c\n@@ -0,0 +1 @@\n+x\n"


def series(folder: Path, *diffs: str, text: str = "Why.") -> Series:
    """Return a series with one patch for each diff."""
    total = len(diffs)
    letters = [patch_letter(f"[PATCH {n}/{total}] p{n}", diff_text=one, text=text) for n, one in enumerate(diffs, 1)]
    return read_series(box_file(folder, *letters))


def applied(folder: Path, files: dict[str, str], *diffs: str, text: str = "Why.") -> tuple[Repository, Application]:
    """Apply patches to a tree with these files."""
    repository, commits = make_tree(folder / "r.git", files)
    return repository, apply_series(repository, commits[-1], series(folder, *diffs, text=text))


def kinds(application: Application) -> list[tuple[str, Diagnosis]]:
    """Return files and diagnoses of what failed."""
    assert application.failed is not None
    return [(hunk.file, hunk.diagnosis) for hunk in application.failed.hunks]


def test_every_patch_becomes_a_commit(tmp_path: Path) -> None:
    """With the author and message of the mail, on top of the base."""
    repository, done = applied(tmp_path, {LUN: FILE}, diff(), diff(old="zwei", new="deux"))
    assert done.failed is None and [item.patch.index for item in done.applied] == [1, 2]
    assert repository.text(done.tree_id, LUN) == "one\ndeux\nthree\n"
    log = repository.git("log", "--format=%an %ae %ad %s", "--date=iso", done.commit).stdout.splitlines()
    assert log[0] == "A Developer a.developer@example.org 2024-01-01 10:00:00 +0100 p2"
    assert len(log) == 3
    done.require_all()


def test_equal_input_gives_equal_commits(tmp_path: Path) -> None:
    """No clock and no user gets into them, so builds are found again."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = (applied(tmp_path / name, {LUN: FILE}, diff())[1] for name in "ab")
    assert one.commit == other.commit


def test_the_first_failure_stops_and_the_rest_is_not_tried(tmp_path: Path) -> None:
    """The answer says which did apply."""
    _, done = applied(tmp_path, {LUN: FILE}, diff(), diff(old="missing", new="neu"), NEW_FILE)
    value = json_from_application(done)
    assert [item["index"] for item in value["applied"]] == [1]
    assert value["failed"]["index"] == 2
    assert value["failed"]["hunks"][0] == {
        "file": LUN,
        "line": 1,
        "diagnosis": "conflict",
        "detail": "it expects 'missing', which is not in the file",
    }
    assert [item["index"] for item in value["not_tried"]] == [3]
    with pytest.raises(PatchError, match="applied before it: 1; not tried: 3") as caught:
        done.require_all()
    assert "--base" in caught.value.remedy


def test_a_patch_that_is_there_is_already_applied(tmp_path: Path) -> None:
    """A changed file, and a new one with the same content."""
    files = {LUN: FILE.replace("two", "zwei"), "new.c": "x\n"}
    _, done = applied(tmp_path, files, diff() + NEW_FILE)
    assert kinds(done) == [(LUN, Diagnosis.ALREADY_APPLIED), ("new.c", Diagnosis.ALREADY_APPLIED)]
    with pytest.raises(PatchError) as caught:
        done.require_all()
    assert "holds this patch already" in caught.value.remedy


def test_a_three_way_merge_of_what_is_there_is_no_success(tmp_path: Path) -> None:
    """Git merges a patch that changes nothing without a word."""
    repository, commits = make_tree(tmp_path / "r.git", {LUN: FILE}, {LUN: FILE.replace("two", "zwei")})
    full = repository.git("diff", "--full-index", commits[0], commits[1]).stdout
    done = apply_series(repository, commits[1], series(tmp_path, full))
    assert kinds(done) == [(LUN, Diagnosis.ALREADY_APPLIED)]


def test_a_three_way_merge_is_used_where_the_blobs_are_there(tmp_path: Path) -> None:
    """The context has changed, and the merge still knows what was meant."""
    lines = [f"line {number}\n" for number in range(1, 10)]
    old = {LUN: "".join(lines)}
    new = {LUN: "".join([*lines[:4], "five\n", *lines[5:]])}
    base = {LUN: "".join([lines[0], lines[1], "drifted\n", *lines[3:]])}
    repository, commits = make_tree(tmp_path / "r.git", old, new, base)
    full = repository.git("diff", "--full-index", commits[0], commits[1]).stdout
    done = apply_series(repository, commits[2], series(tmp_path, full))
    assert done.failed is None and done.applied[0].merged
    assert repository.text(done.tree_id, LUN) == "".join([*lines[:2], "drifted\n", lines[3], "five\n", *lines[5:]])


def test_a_file_that_was_renamed_is_named(tmp_path: Path) -> None:
    """From history, where there is one."""
    repository, commits = make_tree(tmp_path / "r.git", {LUN: FILE * 9}, {"hw/block/disk.c": FILE * 9})
    done = apply_series(repository, commits[-1], series(tmp_path, diff()))
    assert kinds(done) == [(LUN, Diagnosis.FILE_RENAMED)]
    assert done.failed is not None and "it is called hw/block/disk.c since" in done.failed.hunks[0].detail


def test_a_file_of_that_name_elsewhere_is_the_likely_one(tmp_path: Path) -> None:
    """An imported source has no history to ask."""
    _, done = applied(tmp_path, {"hw/other/lun.c": FILE}, diff())
    assert kinds(done) == [(LUN, Diagnosis.FILE_RENAMED)]
    assert done.failed is not None and "likely it is hw/other/lun.c" in done.failed.hunks[0].detail


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    """With the commit that removed it, where history knows."""
    _, done = applied(tmp_path, {"x": FILE}, diff())
    assert kinds(done) == [(LUN, Diagnosis.FILE_MISSING)]
    repository, commits = make_tree(tmp_path / "other.git", {LUN: FILE, "x": ""}, {"x": ""})
    removed = apply_series(repository, commits[-1], series(tmp_path, diff()))
    assert removed.failed is not None and "removed by" in removed.failed.hunks[0].detail


def test_a_file_that_is_deleted_or_renamed_already_is_already_applied(tmp_path: Path) -> None:
    """There is nothing left to do."""
    delete = f"diff --git a/{LUN} b/{LUN}\ndeleted file mode 100644\n--- a/{LUN}\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    _, done = applied(tmp_path, {"x": FILE}, delete)
    assert kinds(done) == [(LUN, Diagnosis.ALREADY_APPLIED)]
    rename = "diff --git a/old.c b/x\nsimilarity index 100%\nrename from old.c\nrename to x\n"
    (tmp_path / "again").mkdir()
    _, done = applied(tmp_path / "again", {"x": FILE}, rename)
    assert kinds(done) == [("old.c", Diagnosis.ALREADY_APPLIED)]


def test_a_new_file_that_is_there_with_other_content_is_in_the_way(tmp_path: Path) -> None:
    """It is neither applied nor can it be."""
    _, done = applied(tmp_path, {"new.c": "y\n"}, NEW_FILE)
    assert kinds(done) == [("new.c", Diagnosis.FILE_EXISTS)]


def test_a_wrong_base_is_told_by_the_blob_ids(tmp_path: Path) -> None:
    """The content the patch was made for is in no commit of this tree."""
    made_for = diff(old="missing").replace("--- a", "index 1234567..89abcde 100644\n--- a", 1)
    _, done = applied(tmp_path, {LUN: FILE}, made_for)
    assert kinds(done) == [(LUN, Diagnosis.WRONG_BASE)]
    assert done.failed is not None and "not in this history" in done.failed.reasons[0]


def test_an_older_base_is_told_by_the_blob_ids(tmp_path: Path) -> None:
    """The content the patch was made for is in this history, and was changed since."""
    repository, commits = make_tree(tmp_path / "r.git", {LUN: FILE}, {LUN: "1\n2\n3\n"})
    blob = repository.git("rev-parse", f"{commits[0]}:{LUN}").stdout[:10]
    made_for = diff().replace("--- a", f"index {blob}..89abcde 100644\n--- a", 1)
    done = apply_series(repository, commits[1], series(tmp_path, made_for))
    assert kinds(done) == [(LUN, Diagnosis.CONFLICT)]
    assert done.failed is not None and "older base" in done.failed.reasons[0]


def test_what_is_known_about_the_base_is_in_the_diagnosis(tmp_path: Path) -> None:
    """After what the patch itself says about it."""
    repository, commits = make_tree(tmp_path / "r.git", {LUN: "0\n"})
    made_for = diff().replace("--- a", "index 1234567..89abcde 100644\n--- a", 1)
    done = apply_series(repository, commits[0], series(tmp_path, made_for), reasons=("o@x is not there",))
    assert done.failed is not None
    assert "not in this history" in done.failed.reasons[0] and done.failed.reasons[1] == "o@x is not there"


def test_a_corrupt_patch_is_called_so(tmp_path: Path) -> None:
    """A hunk that lost lines; the remedy is another."""
    _, done = applied(tmp_path, {LUN: FILE}, diff().replace(" three\n", ""))
    assert Diagnosis.CORRUPT in [diagnosis for _, diagnosis in kinds(done)]
    with pytest.raises(PatchError) as caught:
        done.require_all()
    assert "fetch the mail again" in caught.value.remedy


def test_a_corrupt_new_file_is_called_so(tmp_path: Path) -> None:
    """Its only hunk is shorter than its header says."""
    _, done = applied(tmp_path, {LUN: FILE}, NEW_FILE.replace("+1 @@", "+1,3 @@"))
    assert ("new.c", Diagnosis.CORRUPT) in kinds(done)


def test_what_only_git_refuses_is_shown_with_its_words(tmp_path: Path) -> None:
    """A mode that does not exist, for example, fits in every hunk."""
    link = "diff --git a/link/x b/link/x\nnew file mode 100644\n--- /dev/null\n+++ b/link/x\n@@ -0,0 +1 @@\n+x\n"
    _, done = applied(tmp_path, {"link": FILE}, link)
    assert kinds(done) == [("link/x", Diagnosis.REFUSED)]


@pytest.mark.parametrize("path", ["../outside", ".git/hooks/post-checkout", "a/../../x", "sub/.Git/config"])
def test_a_patch_that_leaves_the_tree_is_refused_before_anything_is_applied(tmp_path: Path, path: str) -> None:
    """Whatever git would make of it."""
    with pytest.raises(PatchError, match="nothing was applied"):
        applied(tmp_path, {LUN: FILE}, diff(), diff(path))


def test_no_hook_and_no_file_of_the_tree_is_touched(tmp_path: Path) -> None:
    """Applying happens in an index of its own, below a temporary folder."""
    repository, commits = make_tree(tmp_path / "r.git", {LUN: FILE})
    hook = repository.git_dir / "hooks" / "applypatch-msg"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    before = sorted(path for path in tmp_path.rglob("*") if "objects" not in path.parts)
    apply_series(repository, commits[0], series(tmp_path, diff()))
    after = sorted(path for path in tmp_path.rglob("*") if "objects" not in path.parts)
    assert set(after) - set(before) == {tmp_path / "series.mbox"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon, 1 Jan 2024 10:00:00 +0100", "@1704099600 +0100"),
        ("Mon, 1 Jan 2024 10:00:00 -0000", "@1704103200 +0000"),
        ("Thu, 1 Jan 1969 10:00:00 +0000", "@946684800 +0000"),
        ("yesterday", "@946684800 +0000"),
        ("", "@946684800 +0000"),
    ],
)
def test_every_date_becomes_one_that_git_takes(text: str, expected: str) -> None:
    """A date that cannot be read, or lies before 1970, must not stop a series."""
    assert git_date(text) == expected


@given(st.text(max_size=40))
def test_no_date_makes_it_fail(text: str) -> None:
    """Dates are foreign text."""
    assert git_date(text).startswith("@")


@pytest.mark.parametrize("author", ["... <a@example.org>", '"\'" <a@example.org>', "<a@example.org>", "\0 <\0>", ""])
def test_an_author_of_whom_git_would_leave_nothing_is_unknown(tmp_path: Path, author: str) -> None:
    """Git refuses a commit without a name; the patch is good all the same."""
    repository, commits = make_tree(tmp_path / "r.git", {LUN: FILE})
    found = series(tmp_path, diff())
    patch = replace(found.patches[0], author=author, message="a\0b\n")
    done = apply_series(repository, commits[-1], replace(found, patches=(patch,)))
    log = repository.git("log", "-1", "--format=%an %s", done.commit).stdout
    assert log == "unknown a\N{REPLACEMENT CHARACTER}b\n"


def test_a_patch_that_git_does_not_commit_is_named(tmp_path: Path) -> None:
    """It is the mail that is wrong: no command line can hold an author of this length."""
    repository, commits = make_tree(tmp_path / "r.git", {LUN: FILE})
    found = series(tmp_path, diff())
    patch = replace(found.patches[0], author=f"{'a' * 200_000} <a@example.org>")
    with pytest.raises(PatchError, match="refuses to commit patch 1 'p1'"):
        apply_series(repository, commits[-1], replace(found, patches=(patch,)))


def test_the_current_folder_is_neither_read_nor_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git would put there the file that a three-way merge misses, and compare with one that is there."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    _, done = applied(tmp_path, {"new.c": "y\n"}, NEW_FILE)
    assert kinds(done) == [("new.c", Diagnosis.FILE_EXISTS)]
    assert list(here.iterdir()) == []
