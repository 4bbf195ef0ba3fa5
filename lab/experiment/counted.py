"""A cell of a job that judges ``instructions_per_io`` to a count: a fresh QEMU under valgrind, and no load.

A count takes as long as its bursts take. What the profile says of time has no effect, and a busy host makes a count
late, not different.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from lab.build.build import Build
from lab.experiment.job import LoadedJob
from lab.experiment.load import Measured, prove_mapping
from lab.experiment.machines import machine_from_cell, mapping_warnings
from lab.experiment.without_guest import QTEST, queue_size_of, workload_from_cell
from lab.record import Cell
from lab.units import COUNTED
from lab.virtio.cost.measure import CaseCost
from lab.virtio.cost.workload import count_workload, counted_workload, counting_machine
from lab.virtio.load.machine import the_controller

FUNCTIONS = "functions.json"


def count_without_guest(
    loaded: LoadedJob,
    build: Build,
    cell: Cell,
    *,
    during: Callable[[], AbstractContextManager[None]],
    evidence: Path,
    measured: Measured,
) -> None:
    """Start a cell's machine under valgrind, prove its mapping, and count what a command costs.

    :param during: held while commands are counted.
    :param evidence: gets the cost of each function in functions.json.
    :raise InputError: the binary has no symbols.
    :raise StageError: the run failed; what kind it is, is its outcome.
    """
    spec = machine_from_cell(loaded, cell, QTEST)
    controller = the_controller(spec)
    workload = counted_workload(workload_from_cell(loaded, cell, controller), queue_size_of(controller))
    measured.facts.update(iothreads=len(spec.iothreads))
    measured.warnings += mapping_warnings(spec)
    with counting_machine(build.qemu, spec, workload, evidence) as (machine, folder):
        prove_mapping(machine, evidence)
        with during():
            cost = count_workload(machine, workload, folder)
        prove_mapping(machine, evidence)
    _note(cost, evidence, measured)


def _note(cost: CaseCost, evidence: Path, measured: Measured) -> None:
    functions = {one.name: round(one.instructions, 3) for one in cost.functions}
    (evidence / FUNCTIONS).write_text(json.dumps(functions, indent=2) + "\n", encoding="utf-8")
    measured.metrics[COUNTED] = round(cost.instructions, 3)
    measured.facts.update(
        commands_counted=cost.n,
        heap_instructions_per_io=round(cost.heap, 1),
        halves_differ_by=round(cost.spread, 6),
    )
