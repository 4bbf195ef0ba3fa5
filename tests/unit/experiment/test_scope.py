from __future__ import annotations

from pathlib import Path

import pytest

from lab.experiment.job import load_job
from lab.experiment.scope import JobLoads, choose_jobs, jobs_in, loads_of_job, unseen_by_any, warning_of_scope
from lab.series.scope import ScopeItem, scope_from_files
from lab.settings import project_dir
from tests.unit.experiment.made_up import loaded_job
from tests.unit.experiment.test_job import GOOD

SCSI = JobLoads(Path("jobs/scsi.toml"), frozenset({"device:virtio-scsi-pci", "blockdev:null-co"}), 60)
BLK = JobLoads(Path("jobs/blk.toml"), frozenset({"device:virtio-blk-pci", "blockdev:null-co"}), 30)
BOTH = JobLoads(Path("jobs/both.toml"), SCSI.loads | BLK.loads, 10)
FILES = JobLoads(Path("jobs/files.toml"), frozenset({"device:virtio-blk-pci", "blockdev:file", "aio:native"}), 5)


def scope_of(*files: str) -> tuple[ScopeItem, ...]:
    """Return what a series with these files can change."""
    return scope_from_files(files)


def chosen(jobs: tuple[JobLoads, ...], *files: str) -> list[str]:
    """Return the names of the jobs that are taken for these files."""
    return [choice.job.path.stem for choice in choose_jobs(scope_of(*files), jobs)]


def test_a_job_says_what_its_machines_load(tmp_path: Path) -> None:
    """Of all its cells; either accelerator, since the host decides that."""
    job = loads_of_job(loaded_job(tmp_path, GOOD))
    assert {"device:virtio-scsi-pci", "blockdev:null-co", "object:iothread", "accel:tcg", "accel:kvm"} <= job.loads
    assert job.seconds == 2 * 4 * 6 * 5


def test_the_plainest_job_that_sees_the_change_is_taken() -> None:
    """Whatever else a machine has only hides the change."""
    assert chosen((BOTH, SCSI, BLK), "hw/scsi/virtio-scsi.c") == ["scsi"]
    assert chosen((BOTH, SCSI, BLK), "hw/block/virtio-blk.c") == ["blk"]


def test_a_job_with_a_guest_comes_before_one_without() -> None:
    """Plain as the other is, it does not show what a guest would see; for what nothing else sees it is taken."""
    bare = JobLoads(Path("jobs/bare.toml"), frozenset({"device:virtio-scsi-pci"}), 1, guest=False)
    assert chosen((bare, SCSI, BLK), "hw/scsi/virtio-scsi.c") == ["scsi"]
    assert chosen((bare, BLK), "hw/scsi/virtio-scsi.c") == ["bare"]


def test_a_job_without_a_guest_runs_on_no_accelerator(tmp_path: Path) -> None:
    """A change of one cannot be seen by it."""
    job = loads_of_job(load_job(project_dir() / "jobs" / "virtio-scsi-qtest.toml"))
    assert not job.guest and "device:virtio-scsi-pci" in job.loads
    assert not {load for load in job.loads if load.startswith("accel:")}
    assert loads_of_job(loaded_job(tmp_path, GOOD)).guest


def test_one_job_that_sees_everything_is_better_than_two() -> None:
    """An hour is an hour."""
    assert chosen((SCSI, BLK, BOTH), "hw/scsi/virtio-scsi.c", "hw/block/virtio-blk.c") == ["both"]


def test_as_many_jobs_are_taken_as_are_needed() -> None:
    """Each for what the ones before it do not see."""
    choices = choose_jobs(scope_of("hw/scsi/virtio-scsi.c", "block/linux-aio.c", "docs/x"), (SCSI, FILES))
    assert [choice.job.path.stem for choice in choices] == ["scsi", "files"]
    assert choices[1].why() == "block/linux-aio.c: requests through Linux AIO (aio=native)"


def test_between_equal_jobs_the_shorter_is_taken() -> None:
    """For a change of everything."""
    assert chosen((SCSI, BLK), "block/io.c") == ["blk"]


def test_no_job_is_taken_for_what_none_runs() -> None:
    """Documentation, or a driver that nothing loads; the second is said."""
    assert chosen((SCSI, BLK), "docs/x.rst") == []
    assert chosen((SCSI, BLK), "block/linux-aio.c") == []
    scope = scope_of("block/linux-aio.c", "docs/x.rst", "hw/scsi/virtio-scsi.c")
    assert [item.files for item in unseen_by_any(scope, (SCSI, BLK))] == [("block/linux-aio.c",)]


def test_many_files_are_cut_short() -> None:
    """In the sentence that says why."""
    (choice,) = choose_jobs(scope_of(*(f"hw/scsi/virtio-scsi-{n}.c" for n in range(5))), (SCSI,))
    assert choice.why().startswith("hw/scsi/virtio-scsi-0.c, hw/scsi/virtio-scsi-1.c, hw/scsi/virtio-scsi-2.c and 2 ")


@pytest.mark.parametrize(
    ("files", "warned"),
    [
        (("hw/block/virtio-blk.c",), True),
        (("docs/x.rst", "tests/x.c"), True),
        (("hw/scsi/virtio-scsi.c",), False),
        (("hw/block/virtio-blk.c", "util/async.c"), False),
        (("unheard/of.c",), False),
        ((), False),
    ],
)
def test_a_series_that_a_job_cannot_see_is_warned_about(tmp_path: Path, files: tuple[str, ...], warned: bool) -> None:
    """Whatever comes out cannot be its doing."""
    warning = warning_of_scope(loaded_job(tmp_path, GOOD), scope_of(*files))
    assert bool(warning) is warned
    assert not warned or "no change can be its doing" in warning


def test_a_file_that_is_no_job_is_passed_over(tmp_path: Path) -> None:
    """With a sentence, and the others are found."""
    loaded_job(tmp_path, GOOD)
    (tmp_path / "bad.toml").write_text("title = 3\n")
    (tmp_path / "notes.txt").write_text("x")
    jobs, problems = jobs_in(tmp_path)
    assert len(jobs) == 1
    assert len(problems) == 1 and problems[0].startswith("bad.toml is passed over: ")


def test_the_projects_jobs_cover_both_devices() -> None:
    """A series for virtio-scsi and one for virtio-blk each find a job."""
    jobs, problems = jobs_in(project_dir() / "jobs")
    assert not problems
    for path in ("hw/scsi/virtio-scsi.c", "hw/block/virtio-blk.c", "block/io.c", "hw/virtio/iothread-vq-mapping.c"):
        assert choose_jobs(scope_of(path), jobs), path
