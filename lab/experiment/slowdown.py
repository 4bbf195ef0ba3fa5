"""A cell to the same cell with a slower backend: a slowdown of known size, to see whether it is found."""

from __future__ import annotations

from lab.experiment.job_tables import Job
from lab.record import Arm, Cell, Point

_FACTOR = "latency_ns"


def slowed_cell(job: Job, cell: Cell, latency_ns: int) -> Cell:
    """Return the cell that is booted in place of another: a candidate's backend answers so much later.

    The record keeps the cell that was scheduled; experiment.toml says what was added.

    :param latency_ns: added to the latency of the job or of the cell's level; 0 adds nothing.
    """
    if not latency_ns or cell.arm is not Arm.CANDIDATE:
        return cell
    levels = dict(cell.point.levels)
    before = int(levels.get(_FACTOR, job.machine.backend.latency_ns))
    return Cell(cell.arm, Point.from_levels({**levels, _FACTOR: before + latency_ns}))
