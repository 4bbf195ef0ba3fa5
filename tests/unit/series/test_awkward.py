from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.series.apply import apply_series
from lab.series.read import read_series
from tests.unit.series.awkward import SHAPES, Commits
from tests.unit.series.letters import make_tree

TEXT = "".join(f"line {number}\n" + "\n" * (number % 3 == 0) for number in range(30))


@pytest.fixture
def commits(tmp_path: Path) -> Commits:
    """Three changes of three files, each beside an empty line."""
    files = {f"hw/scsi/{name}.c": TEXT for name in "abc"}
    versions = [files]
    for name in "abc":
        path = f"hw/scsi/{name}.c"
        versions.append({**versions[-1], path: TEXT.replace("line 13\n", "line 13\ngr\u00fcn\n")})
    repository, made = make_tree(tmp_path / "r.git", *versions)
    return Commits(repository, made[0], made[-1])


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_series_survives_its_mailbox(
    shape: Callable[[Commits, Path], Path], commits: Commits, tmp_path: Path
) -> None:
    """Whatever its shape, it ends in the very tree that it was made from."""
    folder = tmp_path / "mail"
    folder.mkdir()
    series = read_series(shape(commits, folder))
    assert [patch.index for patch in series.patches] == [1, 2, 3]
    done = apply_series(commits.repository, commits.base, series)
    assert done.failed is None, done.failed
    assert done.tree_id == commits.repository.tree_id(commits.topic)
