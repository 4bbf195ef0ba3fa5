"""A plan says no to what a run would refuse."""

import shutil
from pathlib import Path

import pytest

from lab.__main__ import run
from lab.settings import project_dir


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('mapping = "round-robin"', 'mapping = "iothread0:0-9"'), "must be less than num_queues 4"),
        (('series = "series/virtio-scsi-busy-wait"', 'series = "series/nope"'), "'series/nope' does not exist"),
        (('default_profile = "quick"', 'default_profile = "quick"\nimage = "nope"'), "nope"),
    ],
)
def test_a_plan_refuses_what_a_run_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], message: str
) -> None:
    """In a second, instead of after the builds."""
    jobs = tmp_path / "jobs"
    shutil.copytree(project_dir() / "jobs", jobs)
    job = jobs / "virtio-scsi-iothreads.toml"
    text = job.read_text()
    assert change[0] in text
    job.write_text(text.replace(*change))
    assert run(("plan", str(job))) == 2
    assert message in capsys.readouterr().err


def test_a_plan_shows_what_there_is_to_warn_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six IOThreads for four queues: two idle."""
    jobs = tmp_path / "jobs"
    shutil.copytree(project_dir() / "jobs", jobs)
    job = jobs / "virtio-scsi-iothreads.toml"
    job.write_text(job.read_text().replace("iothreads = [1, 2, 4]", "iothreads = [6]"))
    assert run(("plan", str(job))) == 0
    assert "warning: iothreads=6: scsi0:" in capsys.readouterr().out
