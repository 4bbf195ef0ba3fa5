from __future__ import annotations

from pathlib import Path

import pytest

from lab.build.arms import build_arms, build_control
from lab.build.build import Build
from lab.build.patches import PatchBuilds
from lab.build.source import source_from_git
from lab.errors import CommandError, FindingError, NotComparableError, PatchError
from lab.progress import SilentProgress
from lab.series.history import patch_from_commit
from lab.series.read import read_series
from lab.series.series import Series
from tests.unit.build.fake_tree import FILES, SCSI, fake_source
from tests.unit.series.letters import add_branch, box_file, diff, make_tree, patch_letter

QUIET = SilentProgress()


def series(folder: Path, *diffs: str) -> Series:
    """Return a series with one patch for each diff."""
    total = len(diffs)
    letters = [patch_letter(f"[PATCH {n}/{total}] p{n}", diff_text=one) for n, one in enumerate(diffs, 1)]
    return read_series(box_file(folder, *letters))


def test_both_arms_are_built_and_found_again(tmp_path: Path) -> None:
    """The candidate has the series in it, nothing else differs, and the second call builds nothing."""
    source = fake_source(tmp_path / "r.git")
    found = series(tmp_path, diff(SCSI))
    arms = build_arms(source, found, progress=QUIET)
    assert arms.baseline.qemu.read_text() == "one\ntwo\nthree\n"
    assert arms.candidate.qemu.read_text() == "one\nzwei\nthree\n"
    assert (arms.baseline.steps, arms.candidate.steps) == (2, 1)
    assert not arms.baseline.cached and arms.warnings == ()
    again = build_arms(source, found, progress=QUIET)
    assert again.baseline.cached and again.candidate.cached
    assert again == arms


def test_builds_json_says_what_each_arm_is(tmp_path: Path) -> None:
    """Per arm commit, tree id, series, patch-ids, options, compiler and digest, and it reads back."""
    arms = build_arms(fake_source(tmp_path / "r.git"), series(tmp_path, diff(SCSI)), progress=QUIET)
    value = arms.to_json()
    keys = {"commit", "tree_id", "patch_ids", "configure_options", "compiler", "binary_sha256"}
    assert keys <= set(value["baseline"]) and keys <= set(value["candidate"])
    assert value["baseline"]["patch_ids"] == [] and len(value["candidate"]["patch_ids"]) == 1
    assert value["series"]["patches"][0]["subject"] == "p1" and value["forced"] is False
    assert Build.from_json(value["candidate"]) == arms.candidate


def test_what_the_series_builds_on_is_in_both_arms(tmp_path: Path) -> None:
    """Else the series would be blamed for it; builds.json says what it is, and on top of what."""
    repository, (base,) = make_tree(tmp_path / "r.git", FILES)
    (other,) = add_branch(repository, "other", base, ("flags", {SCSI: "one\nTWO\nthree\n"}))
    patch_id = patch_from_commit(repository, other, 1).patch_id
    text = f"Why.\n\nprerequisite-patch-id: {patch_id}\nBased-on: <o@x>"
    found = read_series(box_file(tmp_path, patch_letter("[PATCH] p", text=text, diff_text=diff(SCSI, old="TWO"))))
    arms = build_arms(source_from_git(repository.git_dir, base), found, progress=QUIET)
    assert arms.baseline.qemu.read_text() == "one\nTWO\nthree\n"
    assert arms.candidate.qemu.read_text() == "one\nzwei\nthree\n"
    value = arms.to_json()
    assert value["base_commit"] == value["baseline"]["commit"] == value["prerequisites"][0]["commit"] != base
    assert (value["prerequisites"][0]["found_as"], value["prerequisites_on"]) == (other, base)
    assert "o@x" in value["prerequisites_missing"][0]
    assert value["baseline"]["origin"].endswith(" and 1 prerequisite")
    builds = PatchBuilds(source_from_git(repository.git_dir, base), found, progress=QUIET)
    assert builds.at(0).build == arms.baseline and builds.at(1).build == arms.candidate
    assert builds.arms(0, 1).to_json()["prerequisites"] == value["prerequisites"]


def test_without_a_series_both_arms_are_the_base(tmp_path: Path) -> None:
    """An A/A control."""
    arms = build_arms(fake_source(tmp_path / "r.git"), None, progress=QUIET)
    assert arms.candidate is arms.baseline
    assert arms.to_json()["series"] is None


def test_a_control_is_the_base_built_again_from_nothing(tmp_path: Path) -> None:
    """In an area of its own and under its own key, and found again like any other build."""
    source = fake_source(tmp_path / "r.git")
    arms = build_control(source, progress=QUIET)
    assert arms.candidate.key != arms.baseline.key
    assert arms.candidate.steps == arms.baseline.steps == 2
    assert arms.candidate.binary_sha256 == arms.baseline.binary_sha256
    assert build_control(source, progress=QUIET).candidate.cached


def test_a_series_that_does_not_apply_builds_nothing(tmp_path: Path, cache: Path) -> None:
    """The minutes are not spent first."""
    with pytest.raises(PatchError):
        build_arms(fake_source(tmp_path / "r.git"), series(tmp_path, diff(SCSI, old="missing")), progress=QUIET)
    assert not (cache / "builds").exists()


def test_a_candidate_that_does_not_build_is_a_finding(tmp_path: Path) -> None:
    """The base builds: it is the series. The log is kept and named."""
    broken = series(tmp_path, diff(SCSI, new="#error"))
    with pytest.raises(FindingError, match="'p1' does not build, though its base does") as caught:
        build_arms(fake_source(tmp_path / "r.git"), broken, progress=QUIET)
    assert caught.value.evidence is not None and "#error" in caught.value.evidence.read_text()


def test_a_base_that_does_not_build_is_no_finding(tmp_path: Path) -> None:
    """Nothing can be said about the series."""
    source = fake_source(tmp_path / "r.git", {SCSI: "one\n#error\nthree\n"})
    with pytest.raises(CommandError):
        build_arms(source, series(tmp_path, diff(SCSI, old="#error")), progress=QUIET)


def test_a_series_that_changes_the_compiler_flags_is_not_comparable(tmp_path: Path) -> None:
    """Unless forced, and then with a warning."""
    source = fake_source(tmp_path / "r.git")
    other = "diff --git a/flags b/flags\n--- a/flags\n+++ b/flags\n@@ -1 +1 @@\n--O2 -fwrapv\n+-O2 -fno-wrapv\n"
    touch = other + "diff --git a/VERSION b/VERSION\n--- a/VERSION\n+++ b/VERSION\n@@ -1 +1 @@\n-10.0.0\n+10.0.1\n"
    with pytest.raises(NotComparableError, match="c flags: "):
        build_arms(source, series(tmp_path, touch), progress=QUIET)
    arms = build_arms(source, series(tmp_path, touch), progress=QUIET, force=True)
    assert "-fno-wrapv" in arms.warnings[0] and arms.to_json()["forced"] is True


def test_a_debug_build_is_not_comparable(tmp_path: Path) -> None:
    """Its numbers say nothing about speed."""
    source = fake_source(tmp_path / "r.git", {"flags": "-O0 -fsanitize=address\n"})
    with pytest.raises(NotComparableError, match=r"optimisation -O0.*-fsanitize=address"):
        build_arms(source, series(tmp_path, diff(SCSI)), progress=QUIET)
    # Both arms are alike, so it is the traits that a forced comparison has to say.
    arms = build_arms(source, series(tmp_path, diff(SCSI)), progress=QUIET, force=True)
    assert any("-O0" in warning for warning in arms.warnings)
    assert arms.to_json()["warnings"] == list(arms.warnings)
