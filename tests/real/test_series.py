from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.build.arms import build_arms
from lab.build.distribution import source_from_distribution
from lab.build.source import SourceTree
from lab.experiment.scope import choose_jobs, jobs_in
from lab.progress import TerminalProgress
from lab.series.apply import apply_series
from lab.series.diagnosis import Diagnosis
from lab.series.read import read_series
from lab.series.repository import Repository
from lab.series.scope import scenarios_of, scope_from_files
from lab.settings import project_dir
from lab.virtio.tmf.case import LunState, TagState, TmfCase
from lab.virtio.tmf.judge import answer_of
from lab.virtio.tmf.matrix import Backtraces, run_case
from lab.virtio.verdict import Verdict
from lab.virtio.virtio_scsi import Tmf
from tests.real import tmf_deadlock

_PATCHES = 12
_IDENTITY = {f"GIT_{who}_{what}": "J\u00fcrgen" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture(scope="session")
def source() -> SourceTree:
    """The distribution's source of QEMU, which the builds use too."""
    return source_from_distribution(progress=TerminalProgress())


def commits_on(source: SourceTree, number: int) -> Iterator[str]:
    """Commit changes to real files, one after the other: a line in the middle of each."""
    repository, parent = source.repository, source.commit
    names = [path for path in repository.paths(source.tree_id) if path.startswith("hw/scsi/") and path.endswith(".c")]
    with repository.index_of(source.tree_id) as index:
        for count, path in enumerate(names[:number], start=1):
            lines = (repository.text(source.tree_id, path) or "").split("\n")
            lines.insert(len(lines) // 2, f"/* gr\u00fcn {count} */")
            blob = repository.git("hash-object", "-w", "--stdin", stdin="\n".join(lines).encode()).stdout.strip()
            repository.git("update-index", "--cacheinfo", f"100644,{blob},{path}", env=index)
            tree_id = repository.git("write-tree", env=index).stdout.strip()
            words = ("commit-tree", tree_id, "-p", parent, "-m", f"scsi: change {count} of {path}")
            parent = repository.git(*words, env=_IDENTITY).stdout.strip()
            yield parent


def posted(repository: Repository, base: str, topic: str, folder: Path) -> Path:
    """Write the commits as a mailbox that arrived in disorder, in base64, with an answer between."""
    words = ("format-patch", "--cover-letter", "--thread", "-v3", f"--output-directory={folder}", f"{base}..{topic}")
    repository.git(*words, env=_IDENTITY)
    mails = []
    for path in sorted(folder.glob("*.patch")):
        head, _, body = path.read_bytes().partition(b"\n\n")
        head = head.replace(b"Content-Transfer-Encoding: 8bit", b"Content-Transfer-Encoding: base64")
        packed = b"base64" in head
        mails.append(head + b"\n\n" + (base64.encodebytes(body) if packed else body))
    diff = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
    mails.append(
        b"From x Mon Sep 17 00:00:00 2001\nFrom: r@example.org\nSubject: Re: [PATCH v3 2/12] x\n\n> y\n" + diff
    )
    random.Random(1).shuffle(mails)
    box = folder / "thread.mbox"
    box.write_bytes(b"\n".join(mails))
    return box


def test_a_series_on_the_real_source_arrives_as_it_was_sent(source: SourceTree, tmp_path: Path) -> None:
    """Twelve patches, through mail and back, end in the very tree they were made from."""
    *_, topic = commits_on(source, _PATCHES)
    series = read_series(posted(source.repository, source.commit, topic, tmp_path))
    assert (series.revision, series.expected, len(series.patches)) == (3, _PATCHES, _PATCHES)
    assert series.patches[4].subject.startswith("scsi: change 5 of hw/scsi/")
    done = apply_series(source.repository, source.commit, series)
    assert done.failed is None
    assert done.tree_id == source.repository.tree_id(topic)


def test_a_series_that_is_there_is_told_so(source: SourceTree, tmp_path: Path) -> None:
    """Applied to its own result."""
    *_, topic = commits_on(source, 2)
    series = read_series(posted(source.repository, source.commit, topic, tmp_path))
    done = apply_series(source.repository, topic, series)
    assert done.failed is not None and not done.applied
    assert [hunk.diagnosis for hunk in done.failed.hunks] == [Diagnosis.ALREADY_APPLIED]


def test_the_fix_of_a_deadlock_goes_all_the_way(source: SourceTree, tmp_path: Path) -> None:
    """One patch: read, judged worth its tests, applied, built on both sides, and seen to mend the base."""
    base, fixed = tmf_deadlock.planted(source)
    (tmp_path / "fix").mkdir()
    series = read_series(tmf_deadlock.posted(source.repository, base.commit, fixed, tmp_path / "fix"))
    assert (series.base_commit, series.files) == (base.commit, (tmf_deadlock.FILE,))
    scope = scope_from_files(series.files)
    assert "tmf" in scenarios_of(scope) and choose_jobs(scope, jobs_in(project_dir() / "jobs")[0])
    arms = build_arms(base, series, progress=TerminalProgress())
    assert arms.candidate.tree_id == source.tree_id
    case = TmfCase(Tmf.ABORT_TASK, TagState.IN_FLIGHT, LunState.PRESENT, 0, "2")
    before = run_case(arms.baseline.qemu, case, tmp_path / "before", Backtraces())
    after = run_case(arms.candidate.qemu, case, tmp_path / "after", Backtraces())
    assert (before.judgement.verdict, after.judgement.verdict) == (Verdict.FAILED, Verdict.PASSED)
    assert answer_of(before.seen.function) is None and answer_of(after.seen.function) == 0


def test_a_fix_of_a_tree_that_has_it_is_told_so(source: SourceTree, tmp_path: Path) -> None:
    """Applied where the distribution's release carries it already."""
    base, fixed = tmf_deadlock.planted(source)
    series = read_series(tmf_deadlock.posted(source.repository, base.commit, fixed, tmp_path))
    done = apply_series(source.repository, source.commit, series)
    assert done.failed is not None
    assert {hunk.diagnosis for hunk in done.failed.hunks} == {Diagnosis.ALREADY_APPLIED}
