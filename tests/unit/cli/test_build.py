from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.__main__ import run
from lab.build import builder
from lab.build.patches import PatchBuild
from lab.cli import build as verb
from lab.errors import ExitCode
from lab.experiment.smoke import Smoke, SmokeResult
from lab.host import exclusive
from lab.record import Outcome
from lab.series.repository import run_git
from tests.unit.build.fake_tree import FILES, SCSI, TOOLCHAIN
from tests.unit.experiment.made_up import IMAGE, TCG_ONLY, loaded_job
from tests.unit.series.letters import box_file, diff, make_tree, patch_letter


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(builder, "probe_toolchain", lambda: TOOLCHAIN)
    monkeypatch.setattr(exclusive, "LOCK_NAME", f"\0lab-test-{tmp_path}"[:100])


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


def test_the_cache_is_listed_with_what_was_built_for(
    tree: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A title and a number say more than a key; the latest first."""
    run(["build", "--tree", tree])
    box = str(box_file(tmp_path, patch_letter("[PATCH] x: faster", diff_text=diff(SCSI, old="TWO"))))
    run(["build", "--tree", tree, "--series", box])
    run(["build", "--tree", tree, "--series", box, "--each-patch"])
    capsys.readouterr()
    assert run(["build", "--list"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "candidate of 'x: faster'" in out and "patch 1 of 'x: faster'" in out and "2 builds, 1 work areas" in out
    assert run(["build", "--list", "--json"]) == ExitCode.DONE
    entries = json.loads(capsys.readouterr().out)["entries"]
    patched = next(entry for entry in entries if len(entry["purposes"]) == 2)
    assert patched["purposes"][0] == {"role": "patch", "series": "x: faster", "patch": 1}


def test_the_cache_is_pruned_by_age_and_size(tree: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Builds and work areas; what was used is kept, what is too much goes."""
    run(["build", "--tree", tree])
    capsys.readouterr()
    for words in (["--prune", "1h"], ["--prune-to", "1GiB"]):
        assert run(["build", *words, "--json"]) == ExitCode.DONE
        assert json.loads(capsys.readouterr().out) == {"removed": [], "areas": []}
    assert run(["build", "--prune", "0s"]) == ExitCode.DONE
    assert "1 builds, 1 work areas" in capsys.readouterr().out
    assert not list((Path(os.environ["LAB_CACHE"]) / "work").iterdir())
    run(["build", "--tree", tree])
    capsys.readouterr()
    assert run(["build", "--prune-to", "1k"]) == ExitCode.DONE
    assert "removed" in capsys.readouterr().out
    assert run(["build", "--prune-to", "lots"]) == ExitCode.INPUT


def test_nothing_is_pruned_while_an_experiment_runs(tree: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its builds are used again and again; exit code 3, and they are all still there."""
    run(["build", "--tree", tree])
    with exclusive.host_lock("measure"):
        for words in (["--prune", "0s"], ["--prune-to", "1k"]):
            assert run(["build", *words]) == ExitCode.HOST
    assert "cannot remove builds now" in capsys.readouterr().err
    assert run(["build", "--tree", tree, "--json"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["baseline"]["cached"]


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> list[Smoke]:
    """Replace what boots a guest: patch 2 does not; return what was asked."""
    asked: list[Smoke] = []

    def smoke_each(smoke: Smoke, patches: Sequence[PatchBuild], *, progress: object) -> tuple[SmokeResult, ...]:
        asked.append(smoke)
        outcomes = {2: Outcome.BOOT_FAILED}
        return tuple(
            SmokeResult(
                patch.index, outcomes.get(patch.index, Outcome.OK) if patch.build else None, "no init", Path("e"), 3.0
            )
            for patch in patches
        )

    monkeypatch.setattr(verb, "smoke_each", smoke_each)
    monkeypatch.setattr(verb, "require_packages", lambda: None)
    monkeypatch.setattr(verb, "build_image", lambda recipe, progress: IMAGE)
    monkeypatch.setattr(verb, "probe_accelerator", lambda *_, **__: TCG_ONLY)
    return asked


def test_a_patch_that_does_not_boot_is_named(
    tree: str, tmp_path: Path, booted: list[Smoke], capsys: pytest.CaptureFixture[str]
) -> None:
    """With its number, subject, outcome and evidence; those after it are tried, too. Exit code 1."""
    patches = (("TWO", "#error"), ("#error", "2"), ("2", "3"))
    letters = [patch_letter(f"[PATCH {n}/3] p{n}", diff_text=diff(SCSI, *one)) for n, one in enumerate(patches, 1)]
    words = ["build", "--tree", tree, "--series", str(box_file(tmp_path, *letters)), "--each-patch", "--smoke"]
    assert run(words) == ExitCode.FINDING
    out = capsys.readouterr().out
    assert "2 of 3 patches failed:" in out
    assert "  1: p1: does not build, " in out and "  2: p2: boot-failed, e" in out
    assert out.count("boots, and fio verifies") == 2  # the base and patch 3
    assert booted[0].accelerator == "tcg" and booted[0].evidence.is_relative_to(os.environ["LAB_CACHE"])
    assert run([*words, "--json"]) == ExitCode.FINDING
    rows = json.loads(capsys.readouterr().out)["patches"]
    assert [row["smoke"] and row["smoke"]["outcome"] for row in rows] == ["ok", None, "boot-failed", "ok"]


def test_a_series_whose_patches_all_work_is_exit_code_0(
    tree: str, tmp_path: Path, booted: list[Smoke], capsys: pytest.CaptureFixture[str]
) -> None:
    """And it says so in one line."""
    box = str(box_file(tmp_path, patch_letter("[PATCH] x", diff_text=diff(SCSI, old="TWO"))))
    assert run(["build", "--tree", tree, "--series", box, "--each-patch", "--smoke", "--quiet"]) == ExitCode.DONE
    assert "every one of 1 patches builds, boots and verifies" in capsys.readouterr().out


def test_the_job_says_what_is_booted(tree: str, tmp_path: Path, booted: list[Smoke]) -> None:
    """Its first cell; a job that is wrong is found before anything is built."""
    job = loaded_job(tmp_path).path
    box = str(box_file(tmp_path, patch_letter("[PATCH] x", diff_text=diff(SCSI, old="TWO"))))
    words = ["build", "--tree", tree, "--series", box, "--each-patch", "--smoke", "--job"]
    assert run([*words, str(job)]) == ExitCode.DONE
    assert booted[0].cell.point.id == "iodepth=1.iothreads=1"
    assert run([*words, str(tmp_path / "missing.toml")]) == ExitCode.INPUT
    assert len(booted) == 1


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
        ["--revision", "2"],
        ["--partial"],
        ["--control", "--range", "a..b"],
        ["--list", "--prune", "1h"],
        ["--list", "--series", "x.mbox"],
        ["--prune", "1h", "--tree", "x"],
        ["--list", "--refresh"],
        ["--list", "--prune-to", "1GiB"],
        ["--prune", "1h", "--prune-to", "1GiB"],
        ["--prune-to", "1GiB", "--force"],
        ["--list", "--smoke"],
        ["--smoke", "--series", "x.mbox"],
        ["--each-patch", "--series", "x.mbox", "--job", "x.toml"],
    ],
)
def test_modes_that_contradict_are_refused_first(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read, fetched or removed for them."""
    for name in ("_manage", "source_from_request", "series_from_request", "load_job"):
        monkeypatch.setattr(verb, name, lambda *_, name=name, **__: pytest.fail(name))
    assert run(["build", *words]) == ExitCode.INPUT


def test_git_that_is_missing_is_the_hosts(
    tree: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tree is not blamed for it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["build", "--tree", tree]) == ExitCode.HOST
    assert "git is not installed" in capsys.readouterr().err
