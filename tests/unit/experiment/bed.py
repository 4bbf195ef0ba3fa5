"""A test bed for runs: a guest that does what the test says, on a host that does nothing else."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.errors import StageError
from lab.experiment.job import LoadedJob
from lab.experiment.realise import BOOT_TIMEOUT_S, Bench, realise
from lab.experiment.without_guest import NO_GUEST, QTEST
from lab.host.cpu_plan import CpuPlan, Threads
from lab.host.cpu_plan_choice import plan_nothing
from lab.host.passport import CpuTicks, NoiseReading
from lab.host.passport_reading import NoiseWatch
from lab.host.topology import Cpu, Topology
from lab.machine.command_line import GuestBoot
from lab.machine.cost import Reading
from lab.machine.guest import CONSOLE_LOG, QEMU_LOG, Guest
from lab.machine.guest_clock import ClockReading
from lab.machine.spec import MachineSpec
from lab.machine.threads import ThreadMap
from lab.record import Arm, Cell, Level, Outcome, Point, RunRecord, ScheduledRun, json_from_record
from lab.testing import Answer, FakeMonitor, FakeProcess, FakeShell
from tests.unit.experiment.made_up import BASELINE, CANDIDATE

DATA = Path(__file__).parents[2] / "data" / "fio"
VCPUS = {2: "vcpu0", 4: "vcpu1", 5: "vcpu2", 6: "vcpu3"}
THREADS = ThreadMap(1, {1: "main-loop", **VCPUS, 3: "iothread0"}, frozenset(VCPUS), frozenset({3}))
WORKER = 9
"""A thread of QEMU that QMP does not name."""
EIGHT = Topology(tuple(Cpu(number, number, 0) for number in range(8)))
UNPINNED = plan_nothing(EIGHT, Threads(4, ("iothread0",)))
MAPPED = [{"iothread": "iothread0"}]
FIO, LOG = "fio --output-format=json", "cat /tmp/lab/"
"""Words of the commands that a run gives."""
WORKS: dict[str, Answer] = {
    "test -b": "",
    "mkdir": "",
    FIO: (DATA / "guest-randread.json").read_text(),
    LOG: "1000, 9000, 0, 0, 0\n2000, 9500, 0, 0, 0\n",
}


def busy(iothread_ns: int = 2_000) -> list[Reading]:
    """Return readings of eight seconds at 1000 requests a second, of which each costs the IOThread this much."""
    return [
        Reading(i / 2, 500 * i, {1: 0, 2: 400_000_000 * i, 3: 500 * iothread_ns * i, 9: 1_000 * i}) for i in range(17)
    ]


class Places:
    """Where threads are, for a plan to move them.

    :param granted: the CPUs that the cpuset grants: the kernel narrows to them without a word.
    """

    def __init__(self, granted: frozenset[int] = frozenset(range(8))) -> None:
        self.at: dict[int, frozenset[int]] = {}
        self.granted = granted

    def get(self, thread_id: int) -> frozenset[int]:
        """Return where a thread is."""
        return self.at[thread_id]

    def set(self, thread_id: int, cpus: frozenset[int]) -> None:
        """Move a thread, or refuse as the kernel does."""
        if not cpus & self.granted:
            raise OSError(errno.EINVAL, "Invalid argument")
        self.at[thread_id] = cpus & self.granted


class QuietHost:
    """A host on which nothing happens but what a test says.

    :param others_ns: what somebody else spends on each CPU of the plan from reading to reading, out of 1000 ns.
    """

    def __init__(self) -> None:
        self.others_ns = 0
        self.stolen_ns = 0
        self.watched: list[tuple[frozenset[int], frozenset[int]]] = []
        self._taken = 0

    def watch(self, planned: frozenset[int], neighbours: frozenset[int]) -> NoiseWatch:
        """Watch this host, as a :class:`Bench` is told to."""
        self.watched.append((planned, neighbours))
        return NoiseWatch(planned, neighbours, read=self.read)

    def read(self) -> NoiseReading:
        """Take a reading."""
        at = self._taken
        self._taken += 1
        ticks = CpuTicks(self.others_ns * at, self.stolen_ns * at, 1000 * at)
        return NoiseReading(float(at), dict.fromkeys(range(8), ticks), 0, 0)


class Bed:
    """What a test bed gives ``realise``: a guest, and what it was asked.

    :param stored: what QEMU says the mapping is.
    :param guest_seconds: what the guest's clock shows for ten seconds of the host.
    :param boot: what happens instead of a boot.
    """

    def __init__(self, bench: Bench, evidence: Path) -> None:
        self.bench = bench
        self.evidence = evidence
        self.shell = FakeShell(WORKS)
        self.process = FakeProcess(log=evidence / QEMU_LOG)
        self.stored: object = MAPPED
        self.readings = busy()
        self.boot_error: BaseException | None = None
        self.threads = THREADS
        self.places = Places()
        self.host = QuietHost()
        self.booted: list[tuple[Path, MachineSpec, GuestBoot]] = []
        self.ended = 0
        self.guest_seconds = 10.0
        self._clocks = 0

    def clocks(self, _shell: object) -> ClockReading:
        """Stand in for :func:`lab.machine.guest_clock.read_clocks`."""
        self._clocks += 1
        return ClockReading(self.guest_seconds * self._clocks, 10.0 * self._clocks, 0.05)

    def pin(self, plan: CpuPlan) -> None:
        """Let the next runs be pinned."""
        self.bench = replace(self.bench, plan=plan)

    def run(self, arm: Arm = Arm.CANDIDATE, **levels: Level) -> RunRecord:
        """Realise a cell of one IOThread, or with other levels."""
        cell = Cell(arm, Point.from_levels({"iothreads": 1, "iodepth": 64} | levels))
        bench = replace(self.bench, affinities=self.places, watch=self.host.watch)
        return realise(bench, ScheduledRun(1, 2, cell, 77), attempt=1, evidence=self.evidence)

    def crash(self, signal: int, error: StageError) -> Callable[[], str]:
        """Return an answer that ends QEMU by a signal and then is an error."""

        def answer() -> str:
            self.process.exited = -signal
            raise error

        return answer

    def panic(self, error: StageError) -> Callable[[], str]:
        """Return an answer before which the guest's kernel panics, which ends QEMU with status 0."""

        def answer() -> str:
            (self.evidence / CONSOLE_LOG).write_text("Kernel panic - not syncing: Attempted to kill init!\n")
            self.process.exited = 0
            raise error

        return answer

    @contextmanager
    def boot(
        self, qemu: Path, firmware: Sequence[Path], spec: MachineSpec, boot: GuestBoot, **options: Any
    ) -> Iterator[Guest]:
        """Stand in for :func:`lab.machine.guest.booted`."""
        assert options == {"evidence": self.evidence, "timeout_s": BOOT_TIMEOUT_S}
        self.booted.append((qemu, spec, boot))
        if self.boot_error is not None:
            raise self.boot_error
        try:
            monitor = FakeMonitor({"qom-get": self.stored})
            yield Guest(spec, self.process, monitor, self.shell, self.threads, 4.5, self.evidence)
        finally:
            self.ended += 1

    @contextmanager
    def read(self, guest: Guest) -> Iterator[list[Reading]]:
        """Stand in for :func:`lab.machine.cost.readings_during`."""
        readings: list[Reading] = []
        yield readings
        readings += self.readings


def realise_without_guest(
    loaded: LoadedJob, evidence: Path, *, plan: CpuPlan = UNPINNED, places: Places | None = None, **levels: Level
) -> RunRecord:
    """Realise the candidate of a job of tier qtest, with one IOThread and other levels."""
    bench = Bench(
        loaded,
        loaded.job.profile["quick"],
        {Arm.BASELINE: BASELINE, Arm.CANDIDATE: CANDIDATE},
        NO_GUEST,
        QTEST,
        "f00d",
        plan,
        affinities=places or Places(),
        watch=QuietHost().watch,
    )
    cell = Cell(Arm.CANDIDATE, Point.from_levels({"iothreads": 1} | levels))
    return realise(bench, ScheduledRun(1, 2, cell, 77), attempt=1, evidence=evidence)


def assert_failed(record: RunRecord, outcome: Outcome, words: str) -> None:
    """Check that a record says what went wrong and carries no number that somebody could compare."""
    assert record.outcome is outcome, record.reason
    assert words in record.reason
    assert not record.metrics and not record.traces
    json_from_record(record)
