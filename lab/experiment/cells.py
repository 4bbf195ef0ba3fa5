"""A job to its cells, each proved to make a machine and a fio job before anything is built."""

from __future__ import annotations

from lab.errors import InputError
from lab.experiment.disturbed import check_stage
from lab.experiment.job import LoadedJob, ProfileTable
from lab.experiment.load import check_fairness
from lab.experiment.machines import fio_from_cell, machine_from_cell, mapping_warnings
from lab.experiment.schedule import cells_from_points, points_from_factors
from lab.experiment.without_guest import QTEST, check_without_guest
from lab.record import Cell

_LONGEST_CELL_ID = 200
"""Bytes; block, position and attempt are added, and a file name ends at 255."""


def checked_cells(loaded: LoadedJob, profile: ProfileTable) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """Return the cells of a job, each proved to make a machine and a fio job, and what there is to warn about.

    :raise InputError: a level makes no machine, or two cells have one name.
    """
    cells = cells_from_points(points_from_factors(loaded.job.factors))
    names = [cell.id for cell in cells]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{loaded.path}: two cells are called '{twice}'", remedy="name each level once")
    longest = max(names, key=lambda name: len(name.encode()))
    if len(longest.encode()) > _LONGEST_CELL_ID:
        raise InputError(
            f"{loaded.path}: the name of a cell names a folder, and has {len(longest.encode())} bytes: {longest[:80]}",
            remedy=f"keep it below {_LONGEST_CELL_ID}; a mapping has a short form, see docs/mapping.md",
        )
    without = check_without_guest(loaded, cells) if loaded.job.tier == QTEST else ()
    warnings: dict[str, None] = dict.fromkeys(without)
    for cell in cells:
        try:
            machine = machine_from_cell(loaded, cell, "tcg")
            found = mapping_warnings(machine)
            fio = fio_from_cell(loaded, profile, cell, 0)
            check_stage(loaded.job, machine, fio)
            if loaded.job.tier != QTEST:
                check_fairness(loaded.job.judge.metrics, machine, fio)
        except InputError as err:
            raise InputError(f"{loaded.path}: {cell.point.id}: {err.message}", remedy=err.remedy) from err
        warnings |= dict.fromkeys(f"{cell.point.id}: {warning}" for warning in found)
    return cells, tuple(warnings)


def cell_from_id(loaded: LoadedJob, cell_id: str | None) -> Cell:
    """Return the cell called ``cell_id``; the first one for None.

    :raise InputError: there is no such cell; the remedy lists those there are.
    """
    cells = cells_from_points(points_from_factors(loaded.job.factors))
    if cell_id is None:
        return cells[0]
    for cell in cells:
        if cell.id == cell_id:
            return cell
    raise InputError(f"{loaded.path} has no cell '{cell_id}'", remedy="cells are: " + ", ".join(c.id for c in cells))
