"""A whole experiment on the real thing: killed with -9 in the middle, resumed, judged, reported."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lab.build.arms import Arms
from lab.deadline import Deadline
from lab.experiment.runner import pending_runs
from lab.experiment.store import RUNS, ResultsFolder
from lab.host.accelerator_choice import AcceleratorChoice
from lab.record import Outcome
from lab.settings import project_dir
from tests.real.conftest import DEMONSTRATION

JOB = """\
title = "a short experiment"
fio = "randread.fio"

[machine]
num_queues = 2
iothreads = 2

[profile.quick]
blocks = 2
runtime_s = 2
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Two blocks of one point in both arms: four boots."""
    (tmp_path / "randread.fio").write_bytes((project_dir() / "jobs" / "fio" / "randread-4k.fio").read_bytes())
    path = tmp_path / "short.toml"
    path.write_text(JOB)
    return path


def lab(*words: str) -> subprocess.Popen[str]:
    """Start ``lab`` as a user would."""
    argv = [sys.executable, "-m", "lab", *words]
    return subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=project_dir())


def qemus_of(folder: Path) -> list[str]:
    """Command lines of processes that mention the folder."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] and "qemu-system" in process.info["cmdline"][0] and str(folder) in str(process.info)
    ]


def test_an_experiment_survives_kill_9_and_is_judged(
    tmp_path: Path, job: Path, arms: Arms, accelerator: AcceleratorChoice
) -> None:
    """The first call is killed during the second run; the next one does what is missing, and nothing twice."""
    results = tmp_path / "results"
    words = ("run", str(job), "--series", str(DEMONSTRATION), "--results", str(results), "--json")
    first = lab(*words)

    def second_run_is_on() -> bool | None:
        assert first.poll() is None, first.communicate()
        running = (results / RUNS).is_file() and len(list((results / "runs").iterdir())) == 2 and qemus_of(results)
        return True if running else None

    try:
        Deadline(180).wait_for("the second run to begin", second_run_is_on)
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    Deadline(5).wait_for("QEMU to be gone", lambda: None if qemus_of(results) else True)
    folder = ResultsFolder(results)
    before = folder.records()
    assert [record.outcome for record in before] == [Outcome.OK]

    second = lab(*words)
    out, err = second.communicate(timeout=300)
    assert second.returncode == 4, err  # two blocks cannot decide anything, and it says so
    said = json.loads(out)
    assert said["verdict"] == "INCONCLUSIVE"
    records = folder.records()
    assert records[0] == before[0]
    assert pending_runs(folder.schedule(), records) == ()
    assert len([record for record in records if record.outcome is Outcome.OK]) == 4
    assert not qemus_of(results)

    for record in records:
        assert record.accelerator == accelerator.accelerator
        assert record.metrics["iops"] > 100
        assert record.metrics["cpu_ns_per_io"] > record.metrics["iothread_cpu_ns_per_io"] > 0
        assert 0 < record.metrics["clat_p50_ns"] <= record.metrics["clat_p99_ns"]
        assert 0.5 <= record.metrics["queue_fairness"] <= 1
        evidence = {path.name for path in (results / "runs" / record.id).iterdir()}
        assert {"command-line.txt", "console.log", "qemu.log", "qmp.log", "fio.job", "fio.json"} <= evidence
    slow = [record.metrics["iops"] for record in records if record.scheduled.cell.arm.value == "candidate"]
    fast = [record.metrics["iops"] for record in records if record.scheduled.cell.arm.value == "baseline"]
    assert max(slow) < min(fast)  # the planted slowdown is that large

    report = {path.name for path in (results / "report").iterdir()}
    assert {"report.md", "report.txt"} <= report
    assert all(Path(chart).read_bytes().startswith(b"\x89PNG") for chart in said["report"]["charts"])


def test_a_folder_of_another_question_is_refused(tmp_path: Path, job: Path, arms: Arms) -> None:
    """Runs are never mixed: exit code 2 and the difference by name."""
    results = tmp_path / "results"
    words = ("run", str(job), "--series", str(DEMONSTRATION), "--results", str(results), "--quiet")
    first = lab(*words)
    Deadline(180).wait_for("the schedule", lambda: (results / "schedule.jsonl").is_file() or None)
    first.send_signal(signal.SIGTERM)  # not SIGINT, which whoever runs the tests in the background ignores
    first.communicate(timeout=60)
    assert first.returncode == 130
    job.write_text(job.read_text().replace("runtime_s = 2", "runtime_s = 3"))
    second = lab(*words)
    _out, err = second.communicate(timeout=120)
    assert second.returncode == 2
    assert "experiment.toml" in err
    assert not qemus_of(results)
    assert (results / "schedule.jsonl").is_file()
