from __future__ import annotations

from pathlib import Path

import pytest

from lab.progress import SilentProgress
from lab.series.apply import apply_series
from lab.series.history import patch_from_commit
from lab.series.prerequisites import Foundation, json_from_foundation, lay_foundation
from lab.series.read import read_series
from lab.series.repository import Repository
from lab.series.series import Series
from tests.unit.series.letters import add_branch, box_file, diff, make_tree, patch_letter

LUN = "hw/scsi/lun.c"
FILE = "one\ntwo\nthree\n"
STEM = "20250311132616.1049687"


def series(folder: Path, *trailers: str) -> Series:
    """Return a series of one patch, to the second line, that says what it builds on."""
    return read_series(box_file(folder, patch_letter("[PATCH] x", text="\n".join(["Why.", "", *trailers]))))


def tree(folder: Path, *messages: str) -> tuple[Repository, str, tuple[str, ...]]:
    """Return a tree, its base, and commits of another branch, each of which makes a file."""
    repository, (base,) = make_tree(folder / "r.git", {LUN: FILE})
    files = ((text, {f"new{number}": f"{text}\n"}) for number, text in enumerate(messages, start=1))
    return repository, base, add_branch(repository, "other", base, *files) if messages else ()


def laid(repository: Repository, base: str, found: Series) -> Foundation:
    """Return what a series is applied to."""
    return lay_foundation(repository, base, found, tree=repository.git_dir, progress=SilentProgress())


def named(repository: Repository, *commits: str) -> list[str]:
    """Return the trailers that name commits."""
    return [f"prerequisite-patch-id: {patch_from_commit(repository, commit, 1).patch_id}" for commit in commits]


def subjects(foundation: Foundation) -> list[str]:
    """Return what was put under the series."""
    return [one.subject for one in foundation.prerequisites]


def test_a_series_that_names_nothing_stands_on_its_base(tmp_path: Path) -> None:
    """And nothing is searched: there are no refs to ask for."""
    repository, base, _ = tree(tmp_path)
    found = lay_foundation(repository, base, series(tmp_path), tree=None, progress=SilentProgress())
    assert found == Foundation(base, base, repository.tree_id(base))
    assert (found.laid, found.reasons) == ((), ())


def test_what_the_trailers_name_is_put_under_the_series_in_their_order(tmp_path: Path) -> None:
    """From another branch, whatever order it has there; the series comes on top."""
    repository, base, made = tree(tmp_path, "a", "b", "c")
    found = series(tmp_path, *named(repository, made[2], made[0]))
    foundation = laid(repository, base, found)
    assert (subjects(foundation), foundation.unmet) == (["c", "a"], ())
    assert [one.found_as for one in foundation.prerequisites] == [made[2], made[0]]
    assert foundation.laid == (
        "on top of 2 prerequisites found in the tree:",
        f"  {made[2][:12]} c",
        f"  {made[0][:12]} a",
    )
    done = apply_series(repository, foundation.commit, found)
    assert repository.git("log", "--format=%s", done.commit).stdout.split() == ["x", "a", "c", "commit", "0"]
    assert set(repository.paths(foundation.tree_id)) == {LUN, "new1", "new3"}
    assert laid(repository, base, found) == foundation


def test_what_git_writes_into_a_patch_is_found(tmp_path: Path) -> None:
    """``git format-patch --base`` names the patches between the base and the series, the oldest first."""
    repository, base, made = tree(tmp_path, "a", "b", "topic")
    words = ("format-patch", "--quiet", f"--base={base}", "-1", f"--output-directory={tmp_path / 'out'}", made[2])
    repository.git(*words)
    found = read_series(tmp_path / "out")
    foundation = laid(repository, base, found)
    assert (found.base_commit, subjects(foundation), foundation.unmet) == (base, ["a", "b"], ())
    assert apply_series(repository, foundation.commit, found).tree_id == repository.tree_id(made[2])


def test_what_the_base_holds_is_not_put_there_again(tmp_path: Path) -> None:
    """A base in whose history all of it is needs nothing, and part of it is left out."""
    repository, _, made = tree(tmp_path, f"a\n\nMessage-Id: <{STEM}-2-a@x>\n", f"b\n\nMessage-Id: <{STEM}-3-a@x>\n")
    found = series(tmp_path, f"Based-on: <{STEM}-1-a@x>", *named(repository, *made))
    whole = laid(repository, made[1], found)
    assert (whole.commit, whole.prerequisites, whole.unmet) == (made[1], (), ())
    part = laid(repository, made[0], found)
    assert (subjects(part), part.unmet) == (["b"], ())


def test_what_the_tree_does_not_have_is_said_and_is_in_the_diagnosis(tmp_path: Path) -> None:
    """What it has is put under the series all the same."""
    repository, base, made = tree(tmp_path, "a")
    trailers = (*named(repository, made[0]), f"prerequisite-patch-id: {'A' * 40}", "Based-on: <o@x>")
    letter = patch_letter("[PATCH] x", text="\n".join(trailers), diff_text=diff(old="missing"))
    found = read_series(box_file(tmp_path, letter))
    foundation = laid(repository, base, found)
    assert subjects(foundation) == ["a"]
    where = "among the 3000 newest commits of the base or of the branches and tags of the tree"
    assert foundation.unmet == (
        f"the series says it builds on 'o@x', and no Message-Id or Link of a mail of it is {where}: apply that first",
        f"a patch it builds on (prerequisite-patch-id {'a' * 40}) is not {where}",
    )
    done = apply_series(repository, foundation.commit, found, reasons=foundation.reasons)
    assert done.failed is not None
    assert done.failed.reasons == (
        f"it was applied on top of 1 prerequisite found in the tree: {made[0][:12]} a",
        *foundation.unmet,
    )


def test_a_base_without_branches_is_said_to_have_none(tmp_path: Path) -> None:
    """A tarball is one commit."""
    repository, base, _ = tree(tmp_path, "a")
    found = series(tmp_path, f"prerequisite-patch-id: {'a' * 40}")
    foundation = lay_foundation(repository, base, found, tree=None, progress=SilentProgress())
    assert "there are no branches to look in" in foundation.unmet[0]


@pytest.mark.parametrize(
    ("based_on", "ids"),
    [
        (f"{STEM}-1-a@x", (f"{STEM}-3-a@x", f"{STEM}-2-a@x")),
        (f"https://lore.kernel.org/qemu-devel/{STEM}-1-a@x/", (f"{STEM}-2-a@x", f"{STEM}-1-a@x")),
        ("[PATCH] y <20250311-y-v2-0-0123abcd@x>", ("20250311-y-v2-2-0123abcd@x", "20250311-y-v2-1-0123abcd@x")),
    ],
)
def test_a_series_it_is_based_on_is_found_by_the_numbers_of_its_mails(
    tmp_path: Path, based_on: str, ids: tuple[str, str]
) -> None:
    """With a cover letter and without, by id and by link, in the order of the numbers."""
    repository, base, _ = tree(
        tmp_path, *(f"{name}\n\nMessage-ID: <{one}>\n" for name, one in zip("ba", ids, strict=True))
    )
    foundation = laid(repository, base, series(tmp_path, f"Based-on: {based_on}"))
    assert (subjects(foundation), foundation.unmet) == (["a", "b"], ())


def test_without_numbers_the_order_is_that_of_the_branch(tmp_path: Path) -> None:
    """git format-patch --thread puts none into its ids."""
    end = ".1741699576.git.a@x"
    messages = (f"{name}\n\nMessage-Id: <{digit * 40}{end}>\n" for name, digit in (("a", "9"), ("b", "1")))
    repository, base, _ = tree(tmp_path, *messages)
    foundation = laid(repository, base, series(tmp_path, f"Based-on: <cover{end}>"))
    assert subjects(foundation) == ["a", "b"]


@pytest.mark.parametrize(("numbers", "asked"), [((2, 4), 1), ((3, 4), 1), ((2,), 3)])
def test_a_series_that_is_there_in_part_is_not_used(tmp_path: Path, numbers: tuple[int, ...], asked: int) -> None:
    """A hole, no beginning, or not as far as the mail that is named."""
    repository, base, _ = tree(tmp_path, *(f"p\n\nMessage-Id: <{STEM}-{n}-a@x>\n" for n in numbers))
    foundation = laid(repository, base, series(tmp_path, f"Based-on: <{STEM}-{asked}-a@x>"))
    assert foundation.commit == base
    assert f"only the mails numbered {', '.join(map(str, numbers))}" in foundation.unmet[0]


def test_based_on_something_without_a_message_id_is_said(tmp_path: Path) -> None:
    """A branch of a repository that the lab does not know."""
    repository, base, _ = tree(tmp_path)
    foundation = laid(repository, base, series(tmp_path, "Based-on: https://example.org/qemu.git"))
    assert "which holds no message-id to look for: apply that first" in foundation.unmet[0]


def test_what_is_named_in_both_ways_is_put_there_once(tmp_path: Path) -> None:
    """In the order of the patch-ids, also where two branches have it; what only Based-on names comes before."""
    ids = [f"{name}\n\nMessage-Id: <{STEM}-{number}-a@x>\n" for number, name in enumerate("abc", start=1)]
    repository, base, made = tree(tmp_path, *ids)
    add_branch(repository, "again", base, ("b", {"new2": f"{ids[1]}\n"}))
    trailers = named(repository, made[1], made[0])
    foundation = laid(repository, base, series(tmp_path, f"Based-on: <{STEM}-1-a@x>", *trailers))
    assert subjects(foundation) == ["c", "b", "a"]


def test_prerequisites_that_do_not_apply_are_left_out_and_said(tmp_path: Path) -> None:
    """All of them: half a prerequisite is none."""
    repository, base, _ = tree(tmp_path)
    files = ({"new": "1\n"}, {"gone": "1\n2\n"}, {"gone": "1\n3\n"})
    made = add_branch(repository, "other", base, *((f"c{n}", one) for n, one in enumerate(files)))
    foundation = laid(repository, base, series(tmp_path, *named(repository, made[0], made[2])))
    assert (foundation.commit, foundation.prerequisites) == (base, ())
    assert f"so none of it is put under: {made[2][:12]} c2: gone:1: file-missing" in foundation.unmet[0]


def test_a_prerequisite_with_a_path_that_the_lab_refuses_is_left_out(tmp_path: Path) -> None:
    """A commit of the tree is no more trusted than a mail."""
    repository, base, _ = tree(tmp_path)
    made = add_branch(repository, "other", base, ("deep", {"d/" * 101 + "x": "1\n"}))
    foundation = laid(repository, base, series(tmp_path, *named(repository, *made)))
    assert foundation.commit == base and "too long or deep" in foundation.unmet[0]


def test_a_mail_that_names_thousands_says_so_in_few_lines(tmp_path: Path) -> None:
    """Foreign text does not fill the screen."""
    repository, base, _ = tree(tmp_path)
    found = series(tmp_path, *(f"prerequisite-patch-id: {number:040x}" for number in range(100)))
    foundation = laid(repository, base, found)
    assert len(foundation.unmet) == 21 and foundation.unmet[-1] == "and 80 more that it builds on are not there"


def test_machines_are_told_what_was_put_under_what(tmp_path: Path) -> None:
    """The commit in the tree and the one it became; nothing where there is no series."""
    repository, base, made = tree(tmp_path, "a")
    foundation = laid(repository, base, series(tmp_path, *named(repository, made[0]), "Based-on: <o@x>"))
    value = json_from_foundation(foundation)
    (one,) = foundation.prerequisites
    assert value["prerequisites"] == [
        {"subject": "a", "patch_id": one.patch_id, "found_as": made[0], "commit": foundation.commit}
    ]
    assert value["prerequisites_on"] == base
    assert value["prerequisites_missing"] == list(foundation.unmet) != []
    assert json_from_foundation(None) == {"prerequisites": [], "prerequisites_on": None, "prerequisites_missing": []}
