"""Many seeds to findings: performed in processes side by side; what fails is reduced and written down to be run again.

Each fault is reduced once: the tenth schedule that shows the same crash says nothing new.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from lab.deadline import Deadline
from lab.progress import Progress
from lab.virtio.race.attempt import RaceResult, attempt
from lab.virtio.race.judge import Fault, FaultKind
from lab.virtio.race.reduce import Steps, reduced
from lab.virtio.race.schedule import Schedule

_BUDGET_S = 90.0
"""For making one finding shorter."""
_BATCH = 8
"""Performances at a time: an answer takes as many batches as it needs."""
_BATCHES = 3
_NEEDED = 2
"""Failures that make a shorter schedule one that fails: one alone may be luck that never comes again. Of a schedule
that always fails, a shorter one has to fail as often in a row."""
_CONFIRMATIONS = 24
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Finding:
    """A fault, with the shortest schedule that was found for it.

    :param result: the performance of the shortest schedule that was drawn and showed it.
    :param seeds: of all schedules that showed the same.
    :param shortest: shows the same fault in ``failed`` of ``performed`` performances; the schedule of ``result`` where
        nothing was made shorter.
    """

    fault: Fault
    result: RaceResult
    seeds: tuple[int, ...]
    shortest: Schedule
    failed: int
    performed: int


class Performers:
    """Processes that perform races side by side; a context manager that ends them.

    :param count: how many; by default two for each CPU, since a race waits now and then.
    """

    def __init__(self, qemu: Path, count: int | None = None) -> None:
        self._qemu = qemu
        self._pool = ProcessPoolExecutor(
            count or min(2 * (os.cpu_count() or 1), 32),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_die_with_parent,
            initargs=(os.getpid(),),
        )

    def perform(self, schedules: Sequence[Schedule], evidence: Path | None) -> Iterator[tuple[int, RaceResult]]:
        """Perform every schedule once and yield its number and what came of it, as they come.

        :param evidence: folder that gets a folder for each performance in which something is wrong.
        :raise LabError: QEMU does not start.
        """
        futures = {
            self._pool.submit(
                attempt, self._qemu, schedule, evidence=evidence and evidence / f"{number:05}", backtrace=bool(evidence)
            ): number
            for number, schedule in enumerate(schedules)
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            for future in futures:
                future.cancel()

    def count(self, schedule: Schedule, fault: Fault, times: int | None = None) -> tuple[int, int]:
        """Perform a schedule several times, and return how often it showed a fault, and of how many.

        :param times: by default as often as a finding is confirmed.
        :raise LabError: QEMU does not start.
        """
        times = times or _CONFIRMATIONS
        results = self.perform([schedule] * times, None)
        return sum(result.judgement.has(fault) for _, result in results), times

    def __enter__(self) -> Performers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def run_schedules(
    performers: Performers, schedules: Sequence[Schedule], *, evidence: Path, progress: Progress
) -> tuple[RaceResult, ...]:
    """Perform every schedule once; results are in the order of the schedules.

    :param evidence: folder that gets a folder for each performance in which something is wrong.
    :raise LabError: QEMU does not start.
    """
    results: dict[int, RaceResult] = {}
    with progress.stage(f"{len(schedules)} races", len(schedules)) as stage:
        for number, result in performers.perform(schedules, evidence):
            results[number] = result
            faulty = sum(bool(result.judgement.faults) for result in results.values())
            stage.update(len(results), note=f"{faulty} went wrong" if faulty else "")
    return tuple(results[number] for number in range(len(schedules)))


def findings_of(
    performers: Performers, results: Sequence[RaceResult], *, reduce: bool, progress: Progress
) -> tuple[Finding, ...]:
    """Return one finding for each fault.

    :param reduce: look for a shorter schedule, for a minute or two each.
    :raise LabError: QEMU does not start.
    """
    groups: dict[tuple[FaultKind, str], list[tuple[Fault, RaceResult]]] = {}
    for result in results:
        firsts = {(fault.kind, fault.gist): fault for fault in reversed(result.judgement.faults)}
        for key, fault in firsts.items():
            groups.setdefault(key, []).append((fault, result))
    found = []
    for group in groups.values():
        fault, shown = min(group, key=lambda pair: len(pair[1].schedule.steps))
        seeds = tuple(result.schedule.seed for _, result in group)
        failed = sum(result.schedule == shown.schedule for _, result in group)
        performed = sum(result.schedule == shown.schedule for result in results)  # more than one in a replay
        finding = Finding(fault, shown, seeds, shown.schedule, failed, performed)
        found.append(_reduced(performers, finding, progress) if reduce else finding)
    return tuple(found)


def _reduced(performers: Performers, finding: Finding, progress: Progress) -> Finding:
    schedule, fault = finding.shortest, finding.fault
    budget = Deadline(_BUDGET_S)
    performed = 0
    with progress.stage(f"making seed {schedule.seed} shorter ({fault.kind})") as stage:

        def count(steps: Steps, times: int) -> int:
            nonlocal performed
            failed, _ = performers.count(schedule.with_steps(steps), fault, times)
            performed += times
            stage.update(performed, note=f"{performed} performances, now {len(steps)} steps")
            return failed

        certain = count(schedule.steps, _BATCH) == _BATCH
        batches, batch = (1, _NEEDED) if certain else (_BATCHES, _BATCH)

        def fails(steps: Steps) -> bool:
            failed = 0
            for _ in range(batches):
                if budget.passed():
                    break
                failed += count(steps, batch)
                if failed >= _NEEDED:
                    return True
            return False

        shortest = reduced(schedule.steps, fails)
        failed = count(shortest, _CONFIRMATIONS)
    return replace(finding, shortest=schedule.with_steps(shortest), failed=failed, performed=_CONFIRMATIONS)


def _die_with_parent(parent: int) -> None:
    """Have the kernel end this worker, and with it its QEMU, when the lab is killed.

    A worker takes a second to be loaded. If the lab was killed meanwhile, the kernel says nothing any more, and the
    worker would wait for work for ever: it holds the other end of that pipe itself.

    :param parent: process id of the lab.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the lab itself is interrupted, and tells us
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
