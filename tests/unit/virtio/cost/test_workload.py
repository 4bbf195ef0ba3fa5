from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lab.errors import DeadlineError, InputError
from lab.machine.spec import IOThread, MachineSpec
from lab.virtio.cost import workload as module
from lab.virtio.cost.measure import CaseCost
from lab.virtio.cost.workload import count_workload, counted_workload, counting_machine
from lab.virtio.load.machine import LoadMachine
from lab.virtio.load.ring import Ring
from lab.virtio.load.workload import Direction, Workload
from lab.virtio.virtio_scsi import Lun
from tests.unit.virtio.cost.counted import no_waiting, profile_text
from tests.unit.virtio.load.fake_queue import FakeQueue

LOAD = Workload(Direction.WRITE, random=True, request_bytes=4096, depths=((0, 64),))
READ_COST = 12345


class CountedQueue:
    """A machine of one virtqueue that counts itself, each command costing the same; a kick costs something, too.

    :param answers: whether commands come back.
    """

    def __init__(self, folder: Path, *, answers: bool = True) -> None:
        self.queue = FakeQueue(size=256, depth=220)
        Ring(self.queue.memory, self.queue.layout).prepare(Direction.WRITE, (Lun(0, 0),))
        self.bursts: list[int] = []
        self._answers = answers
        self._folder = folder
        self._spent: Counter[str] = Counter()
        self._cuts = 0
        self._said: list[bytes] = []

    def machine(self, iothreads: int = 0) -> LoadMachine:
        """Return what :func:`count_workload` sees."""
        spec = SimpleNamespace(iothreads=tuple(IOThread(f"t{number}") for number in range(iothreads)))
        made = SimpleNamespace(
            spec=spec,
            qtest=self,
            memory=self.queue.memory,
            layouts=(self.queue.layout,),
            doorbells={self.queue.layout.index: 0x1000},
            disk_bytes=1 << 30,
        )
        return cast("LoadMachine", made)

    def settimeout(self, _seconds: float) -> None:
        """Be the lab's end of a qtest socket."""

    def recv(self, _size: int) -> bytes:
        """Return what QEMU answers."""
        if not self._said:
            raise BlockingIOError
        return self._said.pop(0)

    def sendall(self, line: bytes) -> None:
        """Cut, or serve what is available."""
        if line == b"inb 0x92\n":
            self._cuts += 1
            (self._folder / f"profile.{self._cuts}").write_text(profile_text(self._spent or {"idle": 1}))
            self._spent.clear()
            self._said.append(b"OK 0x0000000000000002\n")
            return
        assert line == b"writew 0x1000 0x2\n"
        self._said.append(b"OK\n")
        self._spent["kick"] += 777
        if self._answers:
            served = self.queue.serve()
            self.bursts.append(len(served))
            self._spent["serve"] += READ_COST * len(served)


def counted(made: CountedQueue, folder: Path, iothreads: int = 0) -> CaseCost:
    """Count."""
    return count_workload(made.machine(iothreads), LOAD, folder, make_deadline=no_waiting)


def test_the_cost_of_a_command_is_exact(tmp_path: Path) -> None:
    """What a kick costs is not in it; every burst is one kick."""
    made = CountedQueue(tmp_path)
    cost = counted(made, tmp_path)
    assert cost.instructions == READ_COST and cost.spread == 0
    assert (cost.operation, cost.mapping) == ("WRITE", "none")
    assert set(made.bursts) == {20, 220}
    assert not list(tmp_path.iterdir()), "profiles are removed"


def test_the_mapping_is_the_number_of_iothreads(tmp_path: Path) -> None:
    """As in the table of lab cost."""
    assert counted(CountedQueue(tmp_path), tmp_path, iothreads=2).mapping == "2"


def test_every_count_asks_for_the_same_addresses(tmp_path: Path) -> None:
    """Another address may be another path through an image's tables."""
    seen = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = CountedQueue(folder)
        counted(made, folder)
        start = made.queue.layout.requests
        seen.append(made.queue.memory[start : start + 64 * 220])
    assert seen[0] == seen[1] and len(set(seen[0][23::64])) > 1


def test_commands_that_do_not_come_back(tmp_path: Path) -> None:
    """The wait ends."""
    with pytest.raises(DeadlineError, match="220 commands to come back"):
        counted(CountedQueue(tmp_path, answers=False), tmp_path)


def test_a_burst_has_its_own_depth() -> None:
    """Whatever iodepth says, and on the same virtqueues."""
    assert counted_workload(LOAD, 256).depths == ((0, 220),)


def test_a_burst_that_does_not_fit() -> None:
    """One kick gives the device all of it."""
    with pytest.raises(InputError, match="bursts of 220 commands do not fit into a virtqueue of 128"):
        counted_workload(LOAD, 128)


def test_a_machine_is_started_under_valgrind_and_without_polling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that polls spends instructions on time, not on commands."""
    started: list[tuple[MachineSpec, Sequence[str]]] = []

    @contextmanager
    def load_machine(
        _qemu: Path, spec: MachineSpec, _workload: Workload, _evidence: Path, *, wrapper: Sequence[str]
    ) -> Iterator[LoadMachine]:
        started.append((spec, wrapper))
        yield CountedQueue(tmp_path).machine()

    monkeypatch.setattr(module, "load_machine", load_machine)
    spec = MachineSpec("qtest", 1, 256, (IOThread("t0", poll_max_ns=32768),), ())
    with counting_machine(Path("qemu"), spec, LOAD, tmp_path) as (_, folder):
        assert f"--callgrind-out-file={folder}/profile" in started[0][1]
    ((given, wrapper),) = started
    assert given.iothreads[0].poll_max_ns == 0 and "--tool=callgrind" in wrapper
