from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lab.__main__ import run
from lab.build import builder
from lab.cli import build as verb
from lab.errors import ExitCode
from lab.series.repository import run_git
from tests.unit.build.fake_tree import FILES, SCSI, TOOLCHAIN
from tests.unit.series.letters import box_file, diff, make_tree, patch_letter


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(builder, "probe_toolchain", lambda: TOOLCHAIN)


@pytest.fixture
def tree(tmp_path: Path) -> str:
    """Return the path of a git tree whose HEAD is the fake tree."""
    repository, _ = make_tree(tmp_path / "r.git", FILES, {**FILES, SCSI: "one\nTWO\nthree\n"})
    run_git("symbolic-ref", "HEAD", "refs/heads/topic", env={"GIT_DIR": str(repository.git_dir)})
    return str(repository.git_dir)


def test_build_prints_where_the_binaries_are(tree: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Baseline and candidate, built or found."""
    box = str(box_file(tmp_path, patch_letter("[PATCH] x", diff_text=diff(SCSI, old="TWO"))))
    assert run(["build", "--tree", tree, "--series", box]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "baseline " in out and "candidate " in out and "built in" in out
    assert run(["build", "--tree", tree, "--series", box, "--json"]) == ExitCode.DONE
    value = json.loads(capsys.readouterr().out)
    assert value["candidate"]["cached"] and value["baseline"]["commit"] == value["base_commit"]


def test_a_range_names_its_base_too(tree: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The commits of the range are built on where the range begins."""
    assert run(["build", "--tree", tree, "--range", "topic~1..topic", "--json"]) == ExitCode.DONE
    value = json.loads(capsys.readouterr().out)
    assert Path(value["baseline"]["qemu"]).read_text() == FILES[SCSI]
    assert Path(value["candidate"]["qemu"]).read_text() == "one\nTWO\nthree\n"


def test_each_patch_is_built_and_a_broken_one_is_a_finding(
    tree: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, for machines and for people."""
    patches = (diff(SCSI, old="TWO", new="#error"), diff(SCSI, old="#error", new="2"))
    letters = [patch_letter(f"[PATCH {n}/2] p{n}", diff_text=one) for n, one in enumerate(patches, 1)]
    box = str(box_file(tmp_path, *letters))
    assert run(["build", "--tree", tree, "--series", box, "--each-patch", "--json"]) == ExitCode.FINDING
    rows = json.loads(capsys.readouterr().out)["patches"]
    assert [row["build"] is None for row in rows] == [False, True, False]
    assert run(["build", "--tree", tree, "--series", box, "--each-patch"]) == ExitCode.FINDING
    assert "1 DOES NOT BUILD" in capsys.readouterr().out


def test_the_cache_is_listed_and_pruned(tree: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By age since the last use."""
    run(["build", "--tree", tree])
    capsys.readouterr()
    assert run(["build", "--list"]) == ExitCode.DONE
    assert "1 builds" in capsys.readouterr().out
    assert run(["build", "--prune", "1h", "--json"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == {"removed": [], "areas": []}
    assert run(["build", "--list", "--json"]) == ExitCode.DONE
    assert len(json.loads(capsys.readouterr().out)["entries"]) == 1
    assert run(["build", "--prune", "0s"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "1 builds" in out and "work area" in out
    assert not list((Path(os.environ["LAB_CACHE"]) / "work").iterdir())


def test_a_control_build_takes_no_series(tree: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The base is built twice."""
    assert run(["build", "--tree", tree, "--control"]) == ExitCode.DONE
    assert "control " in capsys.readouterr().out
    assert run(["build", "--tree", tree, "--control", "--range", "topic~1..topic"]) == ExitCode.INPUT


@pytest.mark.parametrize(
    "argv", [("--each-patch",), ("--base", "v10.0.0"), ("--tree", "no-such-tree"), ("--prune", "x")]
)
def test_what_contradicts_itself_is_exit_code_2(
    tree: str, argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No series, no tree, no such tree, no duration."""
    tree_option = ("--tree", tree) if argv == ("--each-patch",) else ()
    assert run(["build", *tree_option, *argv]) == ExitCode.INPUT


@pytest.mark.parametrize(
    "words",
    [
        ["--each-patch"],
        ["--control", "--range", "a..b"],
        ["--list", "--prune", "1h"],
        ["--list", "--series", "x.mbox"],
        ["--prune", "1h", "--tree", "x"],
        ["--list", "--refresh"],
    ],
)
def test_modes_that_contradict_are_refused_first(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read, fetched or removed for them."""
    for name in ("_manage", "_source", "load_series"):
        monkeypatch.setattr(verb, name, lambda *_, name=name, **__: pytest.fail(name))
    assert run(["build", *words]) == ExitCode.INPUT


def test_git_that_is_missing_is_the_hosts(
    tree: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tree is not blamed for it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["build", "--tree", tree]) == ExitCode.HOST
    assert "git is not installed" in capsys.readouterr().err
