"""Binaries, mappings and operations to costs: a machine for each binary and mapping, as many at a time as CPUs.

Counts do not depend on how busy the host is, so machines may run side by side, those of both arms too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lab.errors import StageError
from lab.progress import Progress
from lab.scratch import scratch_folder
from lab.virtio.cost.callgrind import Profiles, wrapper
from lab.virtio.cost.measure import CaseCost, measure, plug_in_disk
from lab.virtio.cost.operation import NUM_QUEUES, QUEUE_SIZE, Operation
from lab.virtio.qtest_machine import QtestSpec, start_machine
from lab.virtio.tmf.controller import controller_mapping

DEFAULT_MAPPINGS = ("none", "iothread", "1", "2")
_MEMORY_MIB = 64
"""The driver frees guest memory only at a reset; a case uses about 2 MiB."""


@dataclass(frozen=True)
class Subject:
    """What is measured.

    :param arm: its name in the results: ``baseline`` or ``candidate``.
    :param mappings: those that the binary takes.
    """

    arm: str
    qemu: Path
    mappings: tuple[str, ...]


def count_costs(
    subjects: Sequence[Subject], operations: Sequence[Operation], *, progress: Progress, workers: int | None = None
) -> dict[str, tuple[CaseCost, ...]]:
    """Count every operation with every mapping of every subject.

    An operation that is never answered is a case with trouble; the rest goes on with a new machine.

    :param workers: machines at a time; by default one for each CPU.
    :return: by arm, ordered by mapping and operation.
    :raise InputError: a binary has no symbols.
    :raise BootError: a QEMU does not start.
    :raise StageError: a QEMU cannot be driven.
    """
    jobs = [(subject, mapping) for subject in subjects for mapping in subject.mappings]
    total = len(jobs) * len(operations)
    costs: dict[tuple[str, str], tuple[CaseCost, ...]] = {}
    with (
        progress.stage("counting instructions", total) as stage,
        ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="cost") as pool,
    ):
        tally = _Tally(lambda done, note: stage.update(done, total, note))
        futures = {
            pool.submit(_costs_of_mapping, subject, mapping, operations, tally): (subject.arm, mapping)
            for subject, mapping in jobs
        }
        try:
            for future in as_completed(futures):
                costs[futures[future]] = future.result()
        finally:
            tally.stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return {
        subject.arm: tuple(case for mapping in subject.mappings for case in costs[subject.arm, mapping])
        for subject in subjects
    }


class _Tally:
    """How many cases are done, over all threads."""

    def __init__(self, show: Callable[[int, str], None]) -> None:
        self.stopped = threading.Event()
        """Nobody waits for the results any more."""
        self._show = show
        self._lock = threading.Lock()
        self._done = 0

    def add(self, note: str) -> None:
        """Count one more and show it."""
        with self._lock:
            self._done += 1
            self._show(self._done, note)


def _costs_of_mapping(
    subject: Subject, mapping: str, operations: Sequence[Operation], tally: _Tally
) -> tuple[CaseCost, ...]:
    """Count every operation; after one that is not answered, the rest with a new machine."""
    costs: list[CaseCost] = []
    while len(costs) < len(operations) and not tally.stopped.is_set():
        left = operations[len(costs) :]
        with closing(_costs_until_trouble(subject.qemu, mapping, left)) as measured:
            for cost in measured:
                costs.append(cost)
                tally.add(f"{subject.arm}, mapping {mapping}, {cost.operation}")
                if tally.stopped.is_set():
                    break
    return tuple(costs)


def _costs_until_trouble(qemu: Path, mapping: str, operations: Sequence[Operation]) -> Generator[CaseCost]:
    controller = controller_mapping(mapping, NUM_QUEUES)
    with scratch_folder() as folder:
        spec = QtestSpec(
            qemu,
            (),
            NUM_QUEUES,
            iothreads=controller.iothreads,
            controller={**controller.properties, "virtqueue_size": QUEUE_SIZE},
            memory_mib=_MEMORY_MIB,
            wrapper=wrapper(folder),
        )
        with start_machine(spec, folder) as machine:
            plug_in_disk(machine)
            profiles = Profiles(machine.qtest, folder)
            for operation in operations:
                try:
                    yield measure(machine, profiles, operation, mapping)
                except StageError as err:
                    yield CaseCost(operation.name, mapping, trouble=err.message)
                    return
