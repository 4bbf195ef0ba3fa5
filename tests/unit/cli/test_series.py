from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.__main__ import run
from lab.errors import ExitCode
from lab.series.repository import Repository, run_git
from tests.unit.build.fake_tree import FILES, SCSI
from tests.unit.series.letters import add_branch, box_file, diff, letter, make_tree, patch_letter


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


def tree(folder: Path) -> str:
    """Return the path of a git tree with two versions of the fake tree; HEAD is the second."""
    repository, _ = make_tree(folder / "r.git", FILES, {**FILES, SCSI: "one\nTWO\nthree\n"})
    run_git("symbolic-ref", "HEAD", "refs/heads/topic", env={"GIT_DIR": str(repository.git_dir)})
    return str(repository.git_dir)


def test_show_prints_the_contract_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``lab series show FILE --json``."""
    path = box_file(tmp_path, patch_letter("[PATCH v2 1/1] scsi: fix", id_="m@x"))
    assert run(["series", "show", str(path), "--json"]) == ExitCode.DONE
    value = json.loads(capsys.readouterr().out)
    assert (value["title"], value["revision"], value["expected"], value["complete"]) == ("scsi: fix", 2, 1, True)


def test_show_says_for_people_what_is_there_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An incomplete series is shown and is exit code 2, or 0 with --partial."""
    text = f"Why.\n\nbase-commit: {'a' * 40}\nprerequisite-patch-id: {'b' * 40}\nBased-on: <o@x>"
    path = box_file(
        tmp_path,
        patch_letter("[PATCH v2 2/2] scsi: fix", id_="m", text=text),
        patch_letter("[PATCH 1/1] old", id_="o"),
        letter("Re: [PATCH v2 2/2] scsi: fix", "Reviewed-by: R <r@x>\n", id_="r", answers="m"),
    )
    assert run(["series", "show", str(path)]) == ExitCode.INPUT
    captured = capsys.readouterr()
    for part in (
        "v2, 1 of 2 patches (also there: v1)",
        "  1  MISSING",
        "  2  scsi: fix",
        "Reviewed-by: R <r@x>",
        "base-commit: aaa",
        "prerequisite-patch-id: bbb",
        "based on: o@x",
        SCSI.replace("virtio-scsi", "lun"),
    ):
        assert part in captured.out
    assert "patch 1/2 is missing" in captured.err
    assert run(["series", "show", str(path), "--partial"]) == ExitCode.DONE
    assert run(["series", "show", str(path), "--revision", "1"]) == ExitCode.DONE


def test_foreign_text_cannot_drive_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A subject with an escape sequence is shown as text."""
    run(["series", "show", str(box_file(tmp_path, patch_letter("[PATCH] a\x1b[2Jb")))])
    assert "\x1b" not in capsys.readouterr().out


def test_apply_says_what_became_of_each_patch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The base is the one named, and the tree stays as it is."""
    path = tree(tmp_path)
    before = sorted(Path(path).rglob("*"))
    box = str(box_file(tmp_path, patch_letter("[PATCH] scsi: fix", diff_text=diff(SCSI))))
    assert run(["series", "apply", box, "--tree", path, "--base", "topic~1"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "applies to" in out and "scsi: fix" in out and "tree   " in out
    assert sorted(Path(path).rglob("*")) == before


def failed(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what was printed for machines."""
    return json.loads(capsys.readouterr().out)


def test_apply_keeps_its_contract_where_a_patch_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and a diagnosis for each hunk, for machines and for people."""
    path = tree(tmp_path)
    patches = [patch_letter(f"[PATCH {n}/2] p{n}", diff_text=diff(SCSI)) for n in (1, 2)]
    box = str(box_file(tmp_path, *patches))
    assert run(["series", "apply", box, "--tree", path, "--json"]) == ExitCode.INPUT
    value = failed(capsys)
    assert {"applied", "failed", "not_tried", "tree_id", "commit"} <= set(value)
    assert value["failed"]["hunks"][0]["diagnosis"] == "conflict"
    assert value["not_tried"] == [{"index": 2, "subject": "p2"}]
    assert run(["series", "apply", box, "--tree", path]) == ExitCode.INPUT
    assert "patch 1 does not apply: p1" in capsys.readouterr().err


def test_apply_with_json_ends_with_0_where_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``failed`` is null."""
    path = tree(tmp_path)
    box = str(box_file(tmp_path, patch_letter("[PATCH] x", diff_text=diff(SCSI, old="TWO"))))
    assert run(["series", "apply", box, "--tree", path, "--json"]) == ExitCode.DONE
    assert failed(capsys)["failed"] is None


def test_apply_puts_what_the_series_builds_on_under_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where another branch has it, named for people and machines; what is nowhere is said before anything fails."""
    repository = Repository(Path(tree(tmp_path)))
    base = repository.commit_id("topic") or ""
    add_branch(repository, "other", base, ("before\n\nMessage-Id: <a@x>\n", {SCSI: "one\nBEFORE\nthree\n"}))
    text = f"Based-on: <a@x>\nprerequisite-patch-id: {'a' * 40}"
    letters = [patch_letter("[PATCH] x", text=text, diff_text=diff(SCSI, old=old)) for old in ("BEFORE", "missing")]
    argv = ["series", "apply", str(box_file(tmp_path, letters[0])), "--tree", str(repository.git_dir)]
    assert run(argv) == ExitCode.DONE
    captured = capsys.readouterr()
    assert f"({base[:12]})\non top of 1 prerequisite found in the tree:\n" in captured.out
    assert "before" in captured.out and f"prerequisite-patch-id {'a' * 40}" in captured.err
    assert run([*argv, "--json"]) == ExitCode.DONE
    value = failed(capsys)
    assert value["prerequisites"][0]["commit"] == value["base_commit"] != value["prerequisites_on"] == base
    box_file(tmp_path, letters[1])
    assert run(argv) == ExitCode.INPUT
    assert "it was applied on top of 1 prerequisite found in the tree" in capsys.readouterr().err


def test_a_range_of_the_tree_is_a_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without any mail."""
    path = tree(tmp_path)
    assert run(["series", "show", "--tree", path, "--range", "topic~1..topic", "--json"]) == ExitCode.DONE
    assert failed(capsys)["patches"][0]["files"] == [SCSI]


@pytest.mark.parametrize(
    "argv",
    [
        ("show",),
        ("show", "x.mbox", "--range", "a..b"),
        ("show", "--range", "a..b"),
        ("apply", "x.mbox"),
        ("show", "--tree", ".", "--range", "a..b", "--revision", "2"),
    ],
)
def test_what_contradicts_itself_is_exit_code_2(argv: tuple[str, ...]) -> None:
    """Neither or both of file and range, or no tree."""
    assert run(["series", *argv]) == ExitCode.INPUT
