"""Who served a queue, from made-up traces and CPU times."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.machine.cost import Cost
from lab.machine.mapping import MAIN_LOOP, Device, IOThreadMapping
from lab.machine.observe import ProofVerdict, QueueSeen, expected_threads, loaded_threads, unexpected_thread
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, NullBackend
from lab.machine.threads import CpuTime

SEEN = QueueSeen(
    controller="scsi0",
    disk="sda",
    queue="1",
    vcpu=1,
    asked="t0",
    stored="t0",
    requests=512,
    cpu_ns={MAIN_LOOP: 20_000_000, "t0": 9_000_000, "t1": 0},
    taken={"t0": 512},
    virtqueue="1",
)
QUEUES = {"ctrl": MAIN_LOOP, "event": MAIN_LOOP, "0": "t0", "1": "t1", "2": "t0", "3": "t1"}


def cpu(main_loop_us: float, t0_us: float, t1_us: float, requests: int = 512) -> dict[str, int]:
    """Return CPU times, given as microseconds per request."""
    times = {MAIN_LOOP: main_loop_us, "t0": t0_us, "t1": t1_us}
    return {name: int(us * 1000 * requests) for name, us in times.items()}


@pytest.mark.parametrize(
    ("times", "served"),
    [
        (cpu(40, 16, 0), "t0"),  # as measured under TCG: the main loop delivers the interrupts
        (cpu(0.2, 1.5, 0), "t0"),  # as with KVM
        (cpu(40, 0, 0), MAIN_LOOP),
        (cpu(40, 16, 1), "t0"),
        (cpu(40, 16, 8), None),  # two work: who served?
        (cpu(40, 0.3, 0), None),  # too much for a thread that sleeps, too little for one that works
        (cpu(0.1, 0, 0), None),  # nobody did anything
        ({MAIN_LOOP: 20_000_000}, MAIN_LOOP),  # a machine without IOThreads
    ],
)
def test_cpu_time_names_a_thread_only_where_it_is_clear(times: dict[str, int], served: str | None) -> None:
    """The main loop works in any case, so it counts only where no IOThread does."""
    assert replace(SEEN, cpu_ns=times).by_cpu_time == served


def test_few_requests_say_nothing_by_their_cpu_time() -> None:
    """A disk that answers once in a second leaves too little to see."""
    assert replace(SEEN, requests=7, cpu_ns=cpu(40, 16, 0, 7)).by_cpu_time is None


@pytest.mark.parametrize(
    ("taken", "served"),
    [
        ({"t0": 512}, "t0"),
        ({"t0": 512, "t1": 3}, "t0"),
        ({"t1": 256, "t0": 256}, "t0 and t1"),
        ({}, None),
        (None, None),
    ],
)
def test_the_trace_names_who_took_the_requests(taken: dict[str, int] | None, served: str | None) -> None:
    """A request or two of the guest's own from another vCPU do not matter."""
    assert replace(SEEN, taken=taken).by_trace == served


def test_a_queue_is_proved_by_either_witness() -> None:
    """Trace and CPU time, the trace alone, CPU time alone."""
    assert SEEN.verdict is ProofVerdict.PROVED
    assert replace(SEEN, requests=2, taken={"t0": 2}).verdict is ProofVerdict.PROVED
    assert replace(SEEN, taken=None, virtqueue=None).verdict is ProofVerdict.PROVED


def test_doubt_is_not_turned_into_a_verdict() -> None:
    """Neither proved nor refuted without a clear witness; nor where one request in 25 went another way."""
    assert replace(SEEN, taken={"t0": 512, "t1": 3}).verdict is ProofVerdict.PROVED
    assert replace(SEEN, taken={"t0": 492, MAIN_LOOP: 20}).verdict is ProofVerdict.UNDECIDED
    unclear = replace(SEEN, taken=None, cpu_ns=cpu(40, 16, 8))
    assert unclear.verdict is ProofVerdict.UNDECIDED and not unclear.objections and unclear.observed is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stored": MAIN_LOOP}, "t0 was asked for, but QEMU stored main loop"),
        ({"taken": {"t1": 512}}, "the trace shows t1 taking its requests, not t0"),
        ({"taken": {"t1": 256, "t0": 256}}, "the trace shows t0 and t1"),
        ({"taken": None, "cpu_ns": cpu(40, 0, 16)}, "t1 spent the CPU time on its requests, not t0"),
        ({"taken": None, "cpu_ns": cpu(40, 0, 0)}, "main loop spent the CPU time"),
        ({"virtqueue": "0"}, "requests of vCPU 1 arrived in queue 0"),
    ],
)
def test_what_contradicts_the_mapping_refutes_it(changes: dict[str, object], words: str) -> None:
    """Each of the three ways does so alone, whatever the others say."""
    seen = replace(SEEN, **changes)  # type: ignore[arg-type]
    assert seen.verdict is ProofVerdict.REFUTED
    assert any(words in line and line.startswith("scsi0, queue 1: ") for line in seen.objections)


@pytest.mark.parametrize(
    ("vcpus", "workers", "loaded"), [(4, 4, {"t0", "t1"}), (4, 1, {"t0"}), (4, 0, set()), (2, 8, {"t0", "t1"})]
)
def test_threads_that_a_load_keeps_busy(vcpus: int, workers: int, loaded: set[str]) -> None:
    """Worker k is on vCPU k, and a vCPU fills one queue."""
    assert loaded_threads(QUEUES, 4, vcpus, workers) == loaded


def test_threads_of_all_controllers_are_expected() -> None:
    """One with a mapping, one with the iothread property, one with the main loop."""
    disks = (Disk("d", NullBackend()),)
    mapping = IOThreadMapping.from_short("t0:0-1,t1:2-3")
    controllers = (
        Controller("scsi0", Device.VIRTIO_SCSI, 4, disks, mapping),
        Controller("blk0", Device.VIRTIO_BLK, 1, disks, iothread="t2"),
        Controller("blk1", Device.VIRTIO_BLK, 1, disks),
    )
    spec = MachineSpec("tcg", 4, 1024, tuple(IOThread(f"t{number}") for number in range(4)), controllers)
    every = frozenset(("t0", "t1", "t2"))
    assert expected_threads(spec, 4) == (every, every)
    assert expected_threads(spec, 1) == (every, every - {"t1"})
    assert expected_threads(spec, 0) == (every, frozenset())


def test_a_run_is_not_void_for_the_dialect_that_its_binary_speaks() -> None:
    """The first command queue is t0's where 0 is the first command queue, and t2's where 0 is ctrl."""
    threads = tuple(f"t{number}" for number in range(5))
    controller = Controller(
        "scsi0", Device.VIRTIO_SCSI, 4, (Disk("d", NullBackend()),), IOThreadMapping.round_robin(threads)
    )
    spec = MachineSpec("tcg", 4, 1024, tuple(IOThread(name) for name in threads), (controller,))
    assert expected_threads(spec, 1) == (frozenset(threads), frozenset())
    assert expected_threads(spec, 4) == (frozenset(threads), frozenset(("t0", "t2", "t3")))


def cost_of(**cpu_us: float) -> Cost:
    """Return the cost of 1000 requests, given as microseconds per request and IOThread."""
    by_name = {name: int(us * 1e6) for name, us in cpu_us.items()}
    return Cost(1000, 1.0, CpuTime(0, sum(by_name.values()), 0, 0, by_name))


@pytest.mark.parametrize(
    ("cost", "mapped", "loaded", "words"),
    [
        (cost_of(t0=10, t1=9), {"t0", "t1"}, {"t0", "t1"}, None),
        (cost_of(t0=10, t1=0.1), {"t0"}, {"t0"}, None),
        (cost_of(t0=10, t1=3), {"t0"}, {"t0"}, "'t1' serves no queue, but spent 23%"),
        (cost_of(t0=10, t1=0), {"t0", "t1"}, {"t0", "t1"}, "'t1' serves queues that were loaded, but spent 0.00%"),
        (cost_of(t0=10, t1=0), {"t0", "t1"}, {"t0"}, None),
        (cost_of(t0=0, t1=0), {"t0", "t1"}, {"t0", "t1"}, "another thread served them"),
        (cost_of(t0=0, t1=0), {"t0"}, set(), "another thread served them"),
        (cost_of(t0=0, t1=0), set(), set(), None),
        (cost_of(t0=10, t1=0), set(), set(), "'t0' serves no queue, but spent 100%"),
    ],
)
def test_a_thread_that_works_or_sleeps_against_the_mapping(
    cost: Cost, mapped: set[str], loaded: set[str], words: str | None
) -> None:
    """Both are found in the CPU times of a run; what the mapping explains is not."""
    found = unexpected_thread(cost, ("t0", "t1"), mapped, loaded)
    assert (found is None) if words is None else (found is not None and words in found)
