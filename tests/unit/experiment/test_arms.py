"""What the user named to what is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import InputError
from lab.experiment import arms as module
from lab.experiment.arms import ArmsRequest, arms_from_request, series_from_request
from lab.progress import SilentProgress
from lab.series.repository import run_git
from lab.series.series import Series
from tests.unit.build.fake_tree import FILES, SCSI
from tests.unit.series.letters import box_file, diff, make_tree, patch_letter

QUIET = SilentProgress()
BASE = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Return a mailbox with the first and the second revision of a patch, of which the second names its base."""
    second = diff(SCSI) + f"-- \n2.40\n\nbase-commit: {BASE}\n"
    letters = (
        patch_letter("[PATCH] virtio-scsi: one", diff_text=diff(SCSI)),
        patch_letter("[PATCH v2] virtio-scsi: one", diff_text=second),
    )
    return box_file(tmp_path, *letters)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a git tree with two commits; HEAD is the second."""
    repository, _ = make_tree(tmp_path / "r.git", FILES, {**FILES, SCSI: "one\nTWO\nthree\n"})
    run_git("symbolic-ref", "HEAD", "refs/heads/topic", env={"GIT_DIR": str(repository.git_dir)})
    return repository.git_dir


class Builds:
    """Stands in for sources and builds: what was asked for, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.forced = False

    def from_distribution(self, *, progress: object, refresh: bool) -> str:
        """Return the distribution's source."""
        self.asked.append(("distribution",))
        return "the distribution's"

    def from_path(self, path: Path, base: str | None, *, hint: str, progress: object) -> str:
        """Return the user's source."""
        self.asked.append((path, base, hint))
        return "the user's"

    def build(self, source: str, series: Series, *, progress: object, force: bool = False) -> tuple[str, Series]:
        """Return what would be built."""
        self.forced = force
        return source, series


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    """Return what stands in for sources and builds."""
    fake = Builds()
    monkeypatch.setattr(module, "source_from_distribution", fake.from_distribution)
    monkeypatch.setattr(module, "source_from_path", fake.from_path)
    monkeypatch.setattr(module, "build_arms", fake.build)
    return fake


def build(**request: Any) -> tuple[Any, Series]:
    """Return source and series of a request, as they would be built."""
    return cast("tuple[Any, Series]", arms_from_request(ArmsRequest(**request), progress=QUIET))


@pytest.mark.parametrize(
    ("request_", "names", "called"),
    [
        (ArmsRequest(), False, ""),
        (ArmsRequest(tree=Path("q"), base="v10.0.0", revision=2), False, ""),
        (ArmsRequest(series=Path("my.mbox")), True, "my.mbox"),
        (ArmsRequest(tree=Path("q"), range="a..b"), True, "a..b"),
        (ArmsRequest().with_series(Path("demo")), True, "demo"),
    ],
)
def test_a_request_knows_whether_it_names_a_series_and_how(request_: ArmsRequest, names: bool, called: str) -> None:
    """A tree alone is nothing to compare."""
    assert (request_.names_a_series, request_.series_name) == (names, called)


def test_the_newest_revision_is_taken_unless_one_is_named(box: Path) -> None:
    """A mailbox holds all that was ever sent."""
    assert series_from_request(ArmsRequest(series=box)).revision == 2
    assert series_from_request(ArmsRequest(series=box, revision=1)).revision == 1


def test_a_range_of_the_tree_is_a_series(tree: Path) -> None:
    """One commit, one patch."""
    assert len(series_from_request(ArmsRequest(tree=tree, range="topic~1..topic")).patches) == 1


@pytest.mark.parametrize(
    ("request_", "message", "remedy"),
    [
        (ArmsRequest(), "no series is named", "--series FILE"),
        (ArmsRequest(range="a..b"), r"--range a\.\.b needs a tree", "--tree DIR"),
        (ArmsRequest(range="a..b", tree=Path("q"), series=Path("s")), "name two series", "one of them"),
        (ArmsRequest(range="a..b", tree=Path("q"), revision=2), "--revision 2 chooses from a mailbox", "leave"),
    ],
)
def test_options_that_contradict_each_other(request_: ArmsRequest, message: str, remedy: str) -> None:
    """The user is told what to change."""
    with pytest.raises(InputError, match=message) as caught:
        series_from_request(request_)
    assert remedy in caught.value.remedy


def test_without_a_tree_the_distribution_s_source_is_built(box: Path, builds: Builds) -> None:
    """With the series on top."""
    source, series = build(series=box)
    assert (source, series.title) == ("the distribution's", "virtio-scsi: one")
    assert builds.asked == [("distribution",)]


def test_a_base_without_a_tree_is_refused(box: Path, builds: Builds) -> None:
    """The distribution's source has one commit only."""
    with pytest.raises(InputError, match=r"--base v10\.0\.0 needs a tree"):
        build(series=box, base="v10.0.0")
    assert builds.asked == []


def test_a_series_hints_at_its_base(box: Path, tree: Path, builds: Builds) -> None:
    """Whether the tree has that commit is found out where the tree is read."""
    assert build(series=box, tree=tree)[0] == "the user's"
    build(series=box, tree=tree, revision=1)
    build(series=box, tree=tree, base="v10.0.0")
    assert builds.asked == [(tree, None, BASE), (tree, None, ""), (tree, "v10.0.0", BASE)]


@pytest.mark.parametrize(
    ("range_", "base", "taken"), [("topic~1..topic", None, "topic~1"), ("topic~1..topic", "topic", "topic")]
)
def test_a_range_is_built_on_where_it_begins(
    tree: Path, builds: Builds, range_: str, base: str | None, taken: str
) -> None:
    """Unless the user wants it on another commit."""
    build(tree=tree, range=range_, base=base)
    assert builds.asked[0][:2] == (tree, taken)


def test_a_series_that_cannot_be_read_fetches_nothing(tmp_path: Path, builds: Builds) -> None:
    """The mistake is found before the source is downloaded."""
    with pytest.raises(InputError):
        build(series=tmp_path / "none.mbox")
    assert builds.asked == []


def test_unlike_builds_are_compared_only_where_somebody_insists(box: Path, builds: Builds) -> None:
    """What was said on the call reaches the builds."""
    build(series=box)
    assert not builds.forced
    build(series=box, force=True)
    assert builds.forced
