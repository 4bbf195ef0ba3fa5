from __future__ import annotations

from pathlib import Path

import pytest

from lab.build.patches import PatchBuilds, build_each_patch
from lab.build.purpose import purposes_of
from lab.errors import CommandError, NotComparableError, PatchError
from lab.progress import SilentProgress
from tests.unit.build.fake_tree import SCSI, fake_source
from tests.unit.build.test_arms import series
from tests.unit.series.letters import diff

QUIET = SilentProgress()
FLAGS = "diff --git a/flags b/flags\n--- a/flags\n+++ b/flags\n@@ -1 +1 @@\n--O2 -fwrapv\n+-O2 -fno-wrapv\n"
CONFIGURES = "diff --git a/VERSION b/VERSION\n--- a/VERSION\n+++ b/VERSION\n@@ -1 +1 @@\n-10.0.0\n+10.0.1\n"


def test_every_patch_is_built_and_those_that_do_not_build_are_named(tmp_path: Path) -> None:
    """A series must build after each patch; one that repairs another's break is still a break."""
    patches = series(tmp_path, diff(SCSI, new="#error"), diff(SCSI, old="#error", new="2"))
    results = build_each_patch(fake_source(tmp_path / "r.git"), patches, progress=QUIET)
    base, broken, repaired = results
    assert base.index == 0 and base.build is not None
    assert (broken.index, broken.subject, broken.build) == (1, "p1", None) and "#error" in broken.error
    assert "#error" in Path(broken.evidence).read_text()
    assert repaired.build is not None and repaired.build.qemu.read_text() == "one\n2\nthree\n"


def test_builds_are_made_when_they_are_asked_for_and_once(tmp_path: Path, cache: Path) -> None:
    """A bisection of a long series builds a few of them."""
    patches = series(tmp_path, *(diff(SCSI, old=old, new=new) for old, new in (("two", "2"), ("2", "3"), ("3", "4"))))
    builds = PatchBuilds(fake_source(tmp_path / "r.git"), patches, progress=QUIET)
    assert len(builds) == 3
    assert not (cache / "builds").exists()
    build = builds.at(2).build
    assert build is not None and build.qemu.read_text() == "one\n3\nthree\n"
    assert builds.at(2).build is build
    assert len([path for path in (cache / "builds").iterdir() if not path.name.startswith(".")]) == 1
    assert [one.text for one in purposes_of(build.key)] == ["patch 2 of 'p1 (and 2 more)'"]


def test_two_positions_are_the_arms_of_what_lies_between(tmp_path: Path) -> None:
    """The base of a confirmation is the patch before, not the base of the series."""
    patches = series(tmp_path, *(diff(SCSI, old=old, new=new) for old, new in (("two", "2"), ("2", "3"), ("3", "4"))))
    builds = PatchBuilds(fake_source(tmp_path / "r.git"), patches, progress=QUIET)
    arms = builds.arms(1, 3)
    assert arms.baseline.qemu.read_text() == "one\n2\nthree\n"
    assert arms.candidate.qemu.read_text() == "one\n4\nthree\n"
    value = arms.to_json()
    assert [patch["subject"] for patch in value["series"]["patches"]] == ["p2", "p3"]
    assert value["base_commit"] == arms.baseline.commit != builds.source.commit


def test_arms_that_are_not_alike_are_refused(tmp_path: Path) -> None:
    """What is between them is then more than source."""
    patches = series(tmp_path, diff(SCSI), FLAGS + CONFIGURES)
    builds = PatchBuilds(fake_source(tmp_path / "r.git"), patches, progress=QUIET)
    assert builds.arms(0, 1).warnings == ()
    with pytest.raises(NotComparableError, match="-fno-wrapv"):
        builds.arms(1, 2)


def test_a_series_that_does_not_apply_builds_nothing(tmp_path: Path, cache: Path) -> None:
    """The minutes are not spent first."""
    with pytest.raises(PatchError):
        PatchBuilds(fake_source(tmp_path / "r.git"), series(tmp_path, diff(SCSI, old="missing")), progress=QUIET)
    assert not (cache / "builds").exists()


def test_a_base_that_does_not_build_is_an_error_not_a_finding(tmp_path: Path) -> None:
    """Nothing can be said about the patches."""
    source = fake_source(tmp_path / "r.git", {SCSI: "one\n#error\nthree\n"})
    with pytest.raises(CommandError):
        build_each_patch(source, series(tmp_path, diff(SCSI, old="#error")), progress=QUIET)
