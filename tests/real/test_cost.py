"""Instructions per command, counted on a real QEMU under a real valgrind."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from lab.__main__ import run
from lab.build.arms import Arms
from lab.build.build import Build
from lab.command import run as run_command
from lab.errors import ExitCode, InputError
from lab.experiment.arms import ArmsRequest, arms_from_request
from lab.experiment.counted import count_without_guest
from lab.experiment.job import load_job
from lab.experiment.load import Measured
from lab.progress import SilentProgress, TerminalProgress
from lab.record import Arm, Cell, Point
from lab.settings import project_dir
from lab.virtio.cost.compare import Change, compare
from lab.virtio.cost.matrix import Subject, count_costs
from lab.virtio.cost.operation import OPERATIONS

SERIES = project_dir() / "jobs" / "series" / "virtio-scsi-fixed-loop"
PLANTED = 10001
COMMANDS = tuple(one for one in OPERATIONS if one.name in ("READ", "TEST UNIT READY"))


@pytest.fixture(autouse=True)
def _valgrind() -> None:
    """Fail, and not skip, where what 'lab doctor --fix' installs is missing."""
    assert shutil.which("valgrind"), "install it: lab doctor --fix"


@pytest.fixture(scope="module")
def fixed_loop() -> Arms:
    """Return the builds without and with the series; made once, then taken from the cache."""
    return arms_from_request(ArmsRequest(series=SERIES), progress=TerminalProgress())


def test_a_known_number_of_instructions_is_found(fixed_loop: Arms) -> None:
    """Within 1 % of what a series adds, in the function that it adds; two counts of one binary are within 0.5 %."""
    before, after = fixed_loop.baseline.qemu, fixed_loop.candidate.qemu
    subjects = [
        Subject("baseline", before, ("none",)),
        Subject("again", before, ("none",)),
        Subject("candidate", after, ("none",)),
    ]
    costs = count_costs(subjects, COMMANDS, progress=SilentProgress())
    for change in compare(costs["baseline"], costs["candidate"]):
        assert change.change is Change.DEARER
        assert change.difference == pytest.approx(PLANTED, rel=0.01), change.baseline.operation
        assert change.functions[0].name == "virtio_scsi_fixed_loop"
        assert change.functions[0].difference == pytest.approx(PLANTED, abs=4)
    for change in compare(costs["baseline"], costs["again"]):
        assert abs(change.fraction) < 0.005, change.baseline


def test_a_run_of_a_job_is_counted(fixed_loop: Arms, tmp_path: Path) -> None:
    """What the series adds is found with two IOThreads, by a run as an experiment makes it, in both arms."""
    loaded = load_job(project_dir() / "jobs" / "virtio-scsi-instructions.toml")
    counted = {}
    for arm, build in ((Arm.BASELINE, fixed_loop.baseline), (Arm.CANDIDATE, fixed_loop.candidate)):
        measured, evidence = Measured(), tmp_path / arm
        evidence.mkdir()
        cell = Cell(arm, Point.from_levels({"iothreads": 2}))
        count_without_guest(loaded, build, cell, during=nullcontext, evidence=evidence, measured=measured)
        counted[arm] = measured.metrics["instructions_per_io"]
        functions = json.loads((evidence / "functions.json").read_text())
        assert sum(functions.values()) == pytest.approx(counted[arm], abs=5)
    assert counted[Arm.CANDIDATE] - counted[Arm.BASELINE] == pytest.approx(PLANTED, rel=0.01)


def test_a_function_is_counted_through_the_verb(qemu_binary: Build, capfd: pytest.CaptureFixture[str]) -> None:
    """With two IOThreads, and the answer is in the document."""
    words = ["--qemu", str(qemu_binary.qemu), "--mapping", "2", "--command", "QUERY_TASK", "--json", "--quiet"]
    assert run(["cost", *words]) == ExitCode.DONE
    (case,) = json.loads(capfd.readouterr().out)["cases"]
    assert 500 < case["instructions"] < 50_000 and case["answer"] == "OK" and not case["trouble"]
    assert sum(one["instructions"] for one in case["functions"]) == pytest.approx(case["instructions"], abs=5)


def test_a_stripped_binary_is_refused(qemu_binary: Build, tmp_path: Path) -> None:
    """Without symbols callgrind does not know where to cut; the message says what to give instead."""
    bare = tmp_path / "qemu-system-x86_64"
    run_command(["objcopy", "--strip-all", qemu_binary.qemu, bare])
    with pytest.raises(InputError, match="stripped of its symbols"):
        count_costs([Subject("baseline", bare, ("none",))], COMMANDS[:1], progress=SilentProgress())
