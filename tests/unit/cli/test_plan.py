"""A plan says no to what a run would refuse."""

import json
import shutil
from pathlib import Path

import pytest

from lab.__main__ import run
from lab.experiment import placement
from lab.host.topology import Cpu, Topology
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


JOB = project_dir() / "jobs" / "virtio-scsi-iothreads.toml"


def _topology(monkeypatch: pytest.MonkeyPatch, cpus: int) -> None:
    topology = Topology(tuple(Cpu(number, number, 0) for number in range(cpus)))
    monkeypatch.setattr(placement, "read_topology", lambda _root: topology)


def test_a_plan_shows_where_threads_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """After the order of the runs, for the largest cell, on this host."""
    _topology(monkeypatch, 9)
    assert run(("plan", str(JOB))) == 0
    said = capsys.readouterr().out
    assert said.index("block 1 in its order") < said.index("CPUs of this host:") < said.index("  NUMA node 0")
    assert "CPU    1  vcpu0" in said and "iothread3" in said and "cannot be claimed" not in said
    assert run(("plan", str(JOB), "--json")) == 0
    plan = json.loads(capsys.readouterr().out)["cpu_plan"]
    assert (plan["sharing"], len(plan["threads"])) == ("own-cpus", 9)


def test_a_plan_says_what_a_small_host_cannot_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is pinned by itself; whoever insists sees what is shared, or is refused."""
    _topology(monkeypatch, 2)
    assert run(("plan", str(JOB))) == 0
    assert "not pinned: 9 threads of the guest, 2 CPUs" in capsys.readouterr().out
    assert run(("plan", str(JOB), "--pin", "shared")) == 0
    assert "cannot be claimed: 4 vCPUs, 4 IOThreads and the main loop share 2 CPUs" in capsys.readouterr().out
    assert run(("plan", str(JOB), "--pin", "strict")) == 3
    assert "9 threads want a CPU each" in capsys.readouterr().err


def test_a_word_that_is_no_way_to_pin(capsys: pytest.CaptureFixture[str]) -> None:
    """The words are listed."""
    assert run(("plan", str(JOB), "--pin", "hard")) == 2
    assert "'hard' is not one of 'auto', 'shared', 'strict', 'none'" in capsys.readouterr().err
