from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.series.diff import FileDiff, Hunk, files_from_diff, has_diff, is_unsafe_path
from tests.unit.series.letters import diff


def test_a_change_has_both_names_its_blob_and_its_hunks() -> None:
    """The ordinary case."""
    text = diff("a.c").replace("--- a", "index 1234567..89abcde 100644\n--- a")
    (file,) = files_from_diff(text)
    assert (file.old_path, file.new_path, file.old_blob) == ("a.c", "a.c", "1234567")
    assert file.hunks == (Hunk(5, 1, 1, (" one", "-two", "+zwei", " three")),)
    assert file.hunks[0].old_lines == ("one", "two", "three")
    assert file.hunks[0].new_lines == ("one", "zwei", "three")


def test_new_deleted_renamed_and_copied_files_are_told_apart() -> None:
    """By their extended header lines, with hunks or without."""
    text = (
        "diff --git a/new b/new\nnew file mode 100644\nindex 0000000..e69de29\n"
        "diff --git a/gone b/gone\ndeleted file mode 100644\nindex e69de29..0000000\n"
        "diff --git a/from b/to\nsimilarity index 100%\nrename from from\nrename to to\n"
        "diff --git a/one b/two\nsimilarity index 100%\ncopy from one\ncopy to two\n"
        "diff --git a/x y b/x y\nold mode 100644\nnew mode 100755\n"
    )
    pairs = [(file.old_path, file.new_path) for file in files_from_diff(text)]
    assert pairs == [(None, "new"), ("gone", None), ("from", "to"), ("one", "two"), ("x y", "x y")]


def test_dev_null_is_no_file() -> None:
    """A plain diff marks new and deleted files so."""
    text = "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+x\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    assert [(file.old_path, file.new_path) for file in files_from_diff(text)] == [(None, "new"), ("gone", None)]


def test_quoted_names_are_unquoted() -> None:
    """Git quotes names with odd characters, as octal bytes of UTF-8."""
    text = 'diff --git "a/gr\\303\\274n\\t" "b/gr\\303\\274n\\t"\nold mode 100644\nnew mode 100755\n'
    assert files_from_diff(text)[0].path == "grün\t"


def test_a_date_after_a_name_is_cut_off() -> None:
    """Plain diff writes one after a tab."""
    text = "--- old/x.c\t2024-01-01\n+++ new/x.c\t2024-01-02\n@@ -1 +1 @@\n-a\n+b\n"
    assert files_from_diff(text)[0].path == "x.c"


def test_a_hunk_that_ends_early_is_cut_off() -> None:
    """A mail that lost lines on its way."""
    (file,) = files_from_diff("--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n-two\n")
    assert file.hunks[0].is_cut_off


def test_an_empty_context_line_may_have_lost_its_space() -> None:
    """Mail programs strip spaces at the end of lines, and git accepts that."""
    (file,) = files_from_diff("--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n\n-two\n+2\n")
    assert file.hunks[0].lines == (" one", " ", "-two", "+2")
    assert not file.hunks[0].is_cut_off


def test_a_missing_line_end_is_not_a_line() -> None:
    """The remark about it belongs to the line before."""
    text = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    assert files_from_diff(text)[0].hunks[0].lines == ("-a", "+b")


@pytest.mark.parametrize(
    "text",
    [
        "> " + diff().replace("\n", "\n> "),
        "  " + diff().replace("\n", "\n  "),
        "--- \nA signature, not a diff\n",
        "diff --git a is how it begins\n",
        "",
    ],
)
def test_quoted_or_indented_diffs_and_talk_are_no_diff(text: str) -> None:
    """Reviewers quote what they answer."""
    assert has_diff(text) == text.startswith("diff --git a is")


def test_a_diff_without_git_header_is_a_diff() -> None:
    """Names and a hunk are enough."""
    assert has_diff("Try this:\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n")


@pytest.mark.parametrize(
    ("path", "unsafe"),
    [
        ("hw/scsi/virtio-scsi.c", False),
        (".gitignore", False),
        ("a/..b", False),
        ("../x", True),
        ("a/../../x", True),
        ("/etc/passwd", True),
        (".git/config", True),
        ("sub/.GIT/hooks/x", True),
        ("git~1/config", True),
        ("a//b", True),
        ("", True),
    ],
)
def test_a_path_that_leaves_the_tree_is_unsafe(path: str, unsafe: bool) -> None:
    """So is one into .git, in every spelling that some file system takes for it."""
    assert is_unsafe_path(path) is unsafe


def test_an_absolute_name_stays_absolute() -> None:
    """So that it is noticed, although ``-p1`` would make it relative."""
    (file,) = files_from_diff("--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n")
    assert is_unsafe_path(file.path)


@given(st.text(alphabet='+-@ ,0123\ndifab/\\"', max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    """Diffs are foreign text."""
    for file in files_from_diff(text):
        assert isinstance(file, FileDiff)
    has_diff(text)


def test_a_hunk_header_with_endless_numbers_is_none() -> None:
    """Python refuses to read them, and no file has so many lines."""
    text = diff().replace("@@ -1,3", f"@@ -{'9' * 5000},3")
    assert files_from_diff(text)[0].hunks == ()


def test_a_path_too_long_deep_or_odd_is_unsafe() -> None:
    """Git takes minutes for a path of very many folders; what a file system takes is far less."""
    assert not is_unsafe_path("/".join("a" * 100))
    assert is_unsafe_path("/".join("a" * 101))
    assert not is_unsafe_path("a" * 4096)
    assert is_unsafe_path("\u00fc" * 2049)
    assert is_unsafe_path("a\0b")
