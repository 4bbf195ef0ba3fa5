"""A malformed request to a verdict: a QEMU of its own reacts, is reset, and has to work again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from lab.command import text_from_argv
from lab.errors import InputError, LabError
from lab.machine.process import tail_of
from lab.progress import Progress
from lab.scratch import scratch_folder
from lab.virtio.backing import Backing
from lab.virtio.evidence import keep_evidence
from lab.virtio.malformed.case import LUN, MalformedCase
from lab.virtio.malformed.perform import Outcome, Reaction, put_before, recover
from lab.virtio.malformed.request import MalformedRequest
from lab.virtio.qtest_machine import LogicalUnit, QtestMachine, QtestSpec, start_machine
from lab.virtio.tmf.case import NUM_QUEUES
from lab.virtio.tmf.controller import controller_mapping
from lab.virtio.tmf.watchdog import crash_text
from lab.virtio.verdict import Verdict

_SANITISER = ("AddressSanitizer", "UndefinedBehaviorSanitizer", "runtime error:", "ThreadSanitizer", "LeakSanitizer")
_QMP_S = 10.0


@dataclass(frozen=True)
class MalformedResult:
    """What came of a request.

    :param reaction: None where QEMU did not get as far.
    :param faults: what is wrong; empty where nothing is.
    :param trouble: why it cannot be told.
    :param evidence: folder with logs and the request; None where nothing is wrong.
    """

    name: str
    mapping: str
    request: MalformedRequest
    reaction: Reaction | None
    faults: tuple[str, ...]
    trouble: str
    evidence: Path | None
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """Whether it passed."""
        if self.faults:
            return Verdict.FAILED
        return Verdict.UNDECIDED if self.trouble else Verdict.PASSED


def run_cases(
    qemu: Path,
    cases: Sequence[MalformedCase],
    mappings: Sequence[str],
    *,
    evidence: Path,
    progress: Progress,
    workers: int | None = None,
) -> tuple[MalformedResult, ...]:
    """Put every case before a QEMU of its own, for each mapping; results are in that order.

    :param workers: machines at a time; by default four for each CPU, since most of the time is waiting.
    :raise LabError: QEMU does not start.
    """
    jobs = [(case, mapping) for case in cases for mapping in mappings]
    if not jobs:
        return ()
    results: dict[int, MalformedResult] = {}
    count = workers or min(4 * (os.cpu_count() or 1), 32)
    with progress.stage("malformed requests", len(jobs)) as stage, ThreadPoolExecutor(count) as pool:
        futures = {pool.submit(run_case, qemu, *job, evidence): number for number, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                failed = sum(result.verdict is Verdict.FAILED for result in results.values())
                stage.update(len(results), note=f"{failed} failed" if failed else "")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return tuple(results[number] for number in range(len(jobs)))


def spec_for(qemu: Path, mapping: str) -> QtestSpec:
    """Return the machine that requests are put before: one disk that answers zeros."""
    controller = controller_mapping(mapping, NUM_QUEUES)
    unit = LogicalUnit("disk", LUN)
    iothreads, properties = controller.iothreads, controller.properties
    return QtestSpec(qemu, (unit,), NUM_QUEUES, iothreads, properties, backing=Backing.NULL, disk_mib=1)


def run_case(qemu: Path, case: MalformedCase, mapping: str, evidence: Path) -> MalformedResult:
    """Put one case before a QEMU of its own.

    :raise LabError: QEMU does not start.
    """
    start = time.monotonic()
    with scratch_folder() as folder, start_machine(spec_for(qemu, mapping), folder) as machine:
        command_line = text_from_argv(machine.process.argv)
        reaction, faults, trouble = tried(machine, case.request)
        faults += tuple(_unexpected(case, reaction)) if reaction else ()
        kept = None
        if faults or trouble:
            story = {"case": case.name, "mapping": mapping, "faults": faults, "trouble": trouble}
            target = evidence / mapping / case.name.replace(" ", "-")
            kept = keep_evidence(folder, target, command_line=command_line, story_file="case.json", story=story)
        seconds = time.monotonic() - start
    return MalformedResult(case.name, mapping, case.request, reaction, faults, trouble, kept, seconds)


def tried(
    machine: QtestMachine, request: MalformedRequest, *, patient: bool = True
) -> tuple[Reaction | None, tuple[str, ...], str]:
    """Put a request before a machine, reset it and use it.

    :param patient: wait until QEMU sleeps before it counts as one that does nothing.
    :return: the reaction, what is wrong whatever the request was, and why it cannot be told.
    """
    reaction = None
    try:
        reaction = put_before(machine, request, patient=patient)
        recover(machine, LUN)
        machine.monitor.execute("query-status", timeout_s=_QMP_S)
    except InputError:
        raise
    except LabError as err:
        crash = crash_text(machine.process)
        return reaction, (crash or f"it does not work again after a reset: {err.message}",), ""
    return reaction, tuple(_always_wrong(machine, reaction)), ""


def _always_wrong(machine: QtestMachine, reaction: Reaction) -> Iterator[str]:
    log = tail_of(machine.process.log)
    for line in log.splitlines():
        if any(word in line for word in _SANITISER):
            yield f"a sanitiser reports: {line.strip()}"
    if reaction.early:
        yield "the device took a request before DRIVER_OK, which VIRTIO 1.2, section 2.1.2, forbids"


def _unexpected(case: MalformedCase, reaction: Reaction) -> Iterator[str]:
    if reaction.outcome not in case.allowed:
        names = " or ".join(sorted(case.allowed))
        yield f"the device {reaction.outcome}; it may do this: {names}"
    elif reaction.outcome is Outcome.RETURNED and case.ends and reaction.response is not None:
        end = str(reaction.response)
        if not end.startswith(case.ends):
            yield f"the request ended {end} instead of {' or '.join(case.ends)}"
