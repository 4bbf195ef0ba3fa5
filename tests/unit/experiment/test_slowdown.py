"""A slowdown of known size meets the candidate only."""

from pathlib import Path

from lab.experiment.machines import machine_from_cell
from lab.experiment.slowdown import slowed_cell
from lab.machine.backend import NullBackend
from lab.record import Arm, Cell, Point
from tests.unit.experiment.made_up import loaded_job


def test_only_the_candidate_is_slowed_down(tmp_path: Path) -> None:
    """The baseline's cell stays what it is, and so does the candidate's where nothing is added."""
    job = loaded_job(tmp_path).job
    point = Point.from_levels({"iothreads": 2})
    assert slowed_cell(job, Cell(Arm.BASELINE, point), 500) == Cell(Arm.BASELINE, point)
    assert slowed_cell(job, Cell(Arm.CANDIDATE, point), 0) == Cell(Arm.CANDIDATE, point)


def test_latency_is_added_to_what_is_there(tmp_path: Path) -> None:
    """A level of latency_ns grows by what is added, and the machine that is booted has the sum."""
    loaded = loaded_job(tmp_path)
    cell = Cell(Arm.CANDIDATE, Point.from_levels({"latency_ns": 1000, "iothreads": 1}))
    slowed = slowed_cell(loaded.job, cell, 500)
    assert dict(slowed.point.levels) == {"latency_ns": 1500, "iothreads": 1}
    backend = machine_from_cell(loaded, slowed, "tcg").controllers[0].disks[0].backend
    assert isinstance(backend, NullBackend) and backend.latency_ns == 1500
