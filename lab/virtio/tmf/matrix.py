"""Cases to results: each on a QEMU of its own, several at a time, each under a watchdog.

A case takes about a tenth of a second of CPU time and mostly waits, so there are more machines than CPUs.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from lab.command import text_from_argv
from lab.errors import DeviceError, LabError
from lab.progress import Progress
from lab.scratch import scratch_folder
from lab.virtio.evidence import keep_evidence
from lab.virtio.qtest_machine import QtestMachine, QtestSpec, start_machine
from lab.virtio.tmf.case import NUM_QUEUES, TmfCase
from lab.virtio.tmf.controller import controller_mapping
from lab.virtio.tmf.judge import Judgement, judge
from lab.virtio.tmf.observation import Observation
from lab.virtio.tmf.oracle import Expectation, expectation
from lab.virtio.tmf.perform import Performance
from lab.virtio.tmf.plan import UNITS, Plan, plan_from_case
from lab.virtio.tmf.watchdog import Stall, crash_text, examine_stall
from lab.virtio.tmf.witness import EVENTS
from lab.virtio.verdict import Verdict

_ATTEMPTS = 3
"""A case that could not be decided is performed again, on another machine."""


@dataclass(frozen=True)
class TmfResult:
    """What came out of a case.

    :param evidence: folder with logs, trace and what the watchdog found; None for a case that passed.
    :param attempts: machines it took; more than one where the first could not be judged.
    """

    case: TmfCase
    plan: Plan
    expected: Expectation
    seen: Observation
    judgement: Judgement
    evidence: Path | None
    seconds: float
    attempts: int


class Backtraces:
    """Which functions have a backtrace already: one for each is enough, and each takes seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[int] = set()

    def wanted(self, case: TmfCase) -> bool:
        """Tell whether this hang should get one, and remember that it does."""
        with self._lock:
            fresh = case.subtype not in self._taken
            self._taken.add(case.subtype)
            return fresh


def run_matrix(
    qemu: Path, cases: Sequence[TmfCase], *, evidence: Path, progress: Progress, title: str, workers: int | None = None
) -> tuple[TmfResult, ...]:
    """Perform every case, in any order; results are in the order of the cases.

    :param evidence: folder that gets a folder for each case that did not pass; made only then.
    :param workers: machines at a time; by default four for each CPU.
    :raise LabError: QEMU does not start at all.
    """
    backtraces = Backtraces()
    count = workers or min(4 * (os.cpu_count() or 1), 32)
    results: dict[TmfCase, TmfResult] = {}
    failed = 0
    with progress.stage(title, len(cases)) as stage, ThreadPoolExecutor(count, thread_name_prefix="tmf") as pool:
        futures = [pool.submit(run_case, qemu, case, evidence, backtraces) for case in cases]
        try:
            for future in as_completed(futures):
                result = future.result()
                results[result.case] = result
                failed += result.judgement.verdict is Verdict.FAILED
                stage.update(len(results), note=f"{failed} failed" if failed else "")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return tuple(results[case] for case in cases)


def run_case(qemu: Path, case: TmfCase, evidence: Path, backtraces: Backtraces) -> TmfResult:
    """Perform one case on a QEMU of its own, again where it could not be judged.

    :raise LabError: QEMU does not start.
    """
    start = time.monotonic()
    for attempt in range(1, _ATTEMPTS + 1):
        result = _attempt(qemu, case, evidence, backtraces, attempt)
        if result.judgement.verdict is not Verdict.UNDECIDED:
            break
    return _timed(result, time.monotonic() - start)


def _timed(result: TmfResult, seconds: float) -> TmfResult:
    return TmfResult(**{**vars(result), "seconds": seconds})


def _attempt(qemu: Path, case: TmfCase, evidence: Path, backtraces: Backtraces, attempt: int) -> TmfResult:
    plan = plan_from_case(case)
    expected = expectation(case, plan)
    mapping = controller_mapping(case.mapping, NUM_QUEUES)
    spec = QtestSpec(qemu, UNITS, NUM_QUEUES, iothreads=mapping.iothreads, controller=mapping.properties, trace=EVENTS)
    with scratch_folder() as folder:
        with start_machine(spec, folder) as machine:
            command_line = text_from_argv(machine.process.argv)
            seen = _observed(machine, case, plan, backtraces)
        judgement = judge(plan, expected, seen, mapping.served_by)
        kept = None
        if judgement.verdict is not Verdict.PASSED:
            story = {"case": case.id, "verdict": judgement.verdict, "reasons": judgement.reasons}
            target = evidence / case.id
            kept = keep_evidence(folder, target, command_line=command_line, story_file="case.json", story=story)
        return TmfResult(case, plan, expected, seen, judgement, kept, 0.0, attempt)


def _observed(machine: QtestMachine, case: TmfCase, plan: Plan, backtraces: Backtraces) -> Observation:
    """Perform a case; where the machine crashed or hangs, find out about that."""
    performance = Performance(machine, case, plan)
    seen = performance.observation
    try:
        performance.run()
    except DeviceError as err:
        seen.broken = err.message
    except LabError as err:
        seen.trouble = err.message
    if seen.trouble or seen.broken or seen.stall is Stall.EXITED:
        seen.crash = crash_text(machine.process) or ""
    if seen.stall is not None and not seen.crash:
        seen.moved_by = examine_stall(
            machine,
            seen.stall,
            NUM_QUEUES,
            performance.everything_ended,
            wants_backtrace=lambda: backtraces.wanted(case),
        )
    return seen
