"""A virtio-scsi host in memory with three disks that hold requests: without fault, or with one of a kind.

It stands where QEMU and the hold server stand, so that what the lab does with them can be tested without either. It
does what VIRTIO and SAM ask for; each fault is one that a QEMU could have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import MonitorError
from lab.testing import FakeMonitor
from lab.virtio.guest_memory import GuestMemory
from lab.virtio.hold_server import BlockRequest, block_pattern
from lab.virtio.nbd import NbdCommand
from lab.virtio.tmf.plan import UNITS
from lab.virtio.virtio_pci import find_virtio_device
from lab.virtio.virtio_scsi import Lun, Response, Tmf
from lab.virtio.virtio_scsi_driver import VirtioScsi
from tests.unit.virtio.fake_device import FakeDevice

MAIN_THREAD, FIRST_IOTHREAD = 100, 101
UNIT_ATTENTION = bytes((0x72, 6, 0x29, 0, 0, 0, 0, 0))


@dataclass
class Task:
    """A command that the device has.

    :param ends: its response once the disk has answered.
    :param returned: it was given back before that, without data.
    """

    queue: int
    head: int
    lun: Lun
    tag: int
    lba: int
    writable: list[tuple[int, int]]
    ends: Response = Response.OK
    returned: bool = False


@dataclass
class Function:
    """A task management function that waits for tasks."""

    head: int
    address: int
    lun: Lun
    tag: int
    waits_for: list[Task] = field(default_factory=list)


class Model(FakeDevice):
    """The device, its disks, its trace and its monitor: what a performance needs of a machine.

    :param iothreads: the queues are dealt out to them in turn; none for the main loop.
    :param fault: what it does wrong.
    """

    def __init__(self, folder: Path, *, iothreads: int = 2, fault: str = "") -> None:
        super().__init__(GuestMemory(2), num_queues=4)
        self.fault = fault
        self.iothreads = iothreads
        self.trace_log = folder / "trace.log"
        self.trace_log.touch()
        self.luns = {unit.lun: unit.name for unit in UNITS}
        self.attentions = set(self.luns)
        self.tasks: list[Task] = []
        self.waiting: list[Function] = []
        self.disk = self
        self.process = self
        self.pid = MAIN_THREAD
        self._holding = False
        self._numbers: dict[int, Task] = {}
        self._arrived = 0
        self.driver = VirtioScsi(find_virtio_device(self), self.memory)
        threads = [{"id": f"t{n}", "thread-id": FIRST_IOTHREAD + n} for n in range(iothreads)]
        self.monitor = FakeMonitor({"query-cpus-fast": [], "query-iothreads": threads})

    # What a machine does

    def start_command(self, command: str, arguments: Mapping[str, object], *, timeout_s: float) -> DeviceDel:
        """Unplug a disk: its commands are cancelled and it is gone when they have ended."""
        assert command == "device_del" and timeout_s > 0
        (lun,) = (unit.lun for unit in UNITS if unit.device_id == arguments["id"])
        tasks = [task for task in self.tasks if task.lun == lun]
        for task in tasks:
            self._cancel(task, Response.ABORTED)
        del self.luns[lun]
        error = str(MonitorError("no such device")) if self.fault == "refuses device_del" else ""
        return DeviceDel(lambda: not any(task in self.tasks for task in tasks), error)

    # What a disk does

    def hold(self) -> None:
        """Keep what arrives."""
        self._holding = True

    def held(self) -> tuple[BlockRequest, ...]:
        """Return what is held, lowest number first."""
        return tuple(
            BlockRequest(number, next(u.name for u in UNITS if u.lun == task.lun), NbdCommand.READ, task.lba, 0.0)
            for number, task in self._numbers.items()
        )

    def release(self, request: BlockRequest) -> None:
        """Answer one request."""
        self._answered(self._numbers.pop(request.number))

    def release_all(self) -> None:
        """Answer everything."""
        self._holding = False
        for request in self.held():
            self.release(request)

    # What a device does

    def post_write(self, address: int, value: int, width: int) -> None:
        """Take a kick and serve the queue at once."""
        super().post_write(address, value, width)
        if value == 0:
            self._serve_functions()
        elif value > 1:
            self._serve_commands(value)

    def _serve_commands(self, queue: int) -> None:
        while (chain := self.take(queue)) is not None:
            head, (request, *_), writable = chain
            lun, tag = Lun.from_bytes(request[:8]), int.from_bytes(request[8:16], "little")
            self._say(self._thread(queue), f"virtio_scsi_cmd_req lun={lun.lun} tag=0x{tag & 0xFFFFFFFF:x} cmd=0x0")
            task = Task(queue, head, lun, tag, int.from_bytes(request[21:25], "big"), writable)
            if lun in self.attentions:
                self.attentions.discard(lun)
                self._end(task, status=2, sense=UNIT_ATTENTION)
            elif request[19] == 0:
                self._end(task)
            else:
                self.tasks.append(task)
                self._arrived += 1
                self._numbers[self._arrived] = task
                if not self._holding:
                    self.release_all()

    def _serve_functions(self) -> None:
        while (chain := self.take(0)) is not None:
            head, (request,), ((address, _),) = chain
            subtype = int.from_bytes(request[4:8], "little")
            function = Function(head, address, Lun.from_bytes(request[8:16]), int.from_bytes(request[16:24], "little"))
            lun, tag = function.lun.lun, function.tag & 0xFFFFFFFF
            self._say(MAIN_THREAD, f"virtio_scsi_tmf_req lun={lun} tag=0x{tag:x} subtype={subtype}")
            self._act(subtype, function)

    def _act(self, subtype: int, function: Function) -> None:
        known = subtype in Tmf.__members__.values() and subtype != Tmf.CLEAR_ACA
        if not known:
            self._answer(function, Response.FUNCTION_REJECTED)
        elif not any(lun.target == function.lun.target for lun in self.luns):
            self._answer(function, Response.BAD_TARGET)
        elif function.lun not in self.luns and subtype != Tmf.I_T_NEXUS_RESET:
            self._answer(function, Response.INCORRECT_LUN)
        elif subtype in (Tmf.QUERY_TASK, Tmf.QUERY_TASK_SET):
            there = {task.tag for task in self.tasks if task.lun == function.lun}
            found = bool(there) if subtype == Tmf.QUERY_TASK_SET else function.tag in there
            self._answer(function, Response.FUNCTION_SUCCEEDED if found else Response.OK)
        else:
            self._end_tasks(subtype, function)

    def _end_tasks(self, subtype: int, function: Function) -> None:
        reset = subtype in (Tmf.LOGICAL_UNIT_RESET, Tmf.I_T_NEXUS_RESET)
        function.waits_for = [task for task in self.tasks if self._selects(subtype, function, task)]
        for task in function.waits_for:
            right = Response.RESET if reset else Response.ABORTED
            self._cancel(task, Response.ABORTED if self.fault == "aborts in a reset" else right)
        if self.fault == "resets everything":
            self.attentions |= set(self.luns)
        if reset and self.fault != "forgets the unit attention":
            whole = subtype == Tmf.I_T_NEXUS_RESET
            same = {lun for lun in self.luns if lun.target == function.lun.target}
            self.attentions |= same if whole else {function.lun}
        self.waiting.append(function)
        if self.fault == "answers early" or (self.fault == "answers the earlier abort early" and not reset):
            function.waits_for = []
        self._answer_functions()

    def _selects(self, subtype: int, function: Function, task: Task) -> bool:
        mask = 0xFFFFFFFF if self.fault == "compares half a tag" else (1 << 64) - 1
        if subtype == Tmf.I_T_NEXUS_RESET and self.fault != "resets one LUN only":
            return task.lun.target == function.lun.target
        if task.lun != function.lun and self.fault != "ignores the LUN":
            return False
        return subtype != Tmf.ABORT_TASK or (task.tag ^ function.tag) & mask == 0

    def _cancel(self, task: Task, ends: Response) -> None:
        self._say(
            MAIN_THREAD, f"scsi_req_cancel target {task.lun.target} lun {task.lun.lun} tag {task.tag & 0xFFFFFFFF}"
        )
        task.ends = task.ends or ends
        if self.fault == "lets go of commands too soon" and not task.returned:
            task.returned = True
            self._end(task)

    def _answered(self, task: Task) -> None:
        if self.fault == "loses aborted commands" and task.ends:
            return
        self.tasks.remove(task)
        if task.returned:
            self.memory.write(task.writable[1][0], block_pattern(task.lba))
        else:
            self._end(task)
        if self.fault == "ends commands twice":
            self.give_back(task.queue, task.head)
        self._answer_functions()

    def _end(self, task: Task, *, status: int = 0, sense: bytes = b"") -> None:
        header = bytes((len(sense), 0, 0, 0, 0, 0, 0, 0, 0, 0, status, task.ends)) + sense.ljust(96, b"\0")
        wrong = 1 if self.fault == "reads the wrong block" else 0
        rest = header + block_pattern(task.lba + wrong)
        for address, size in task.writable[: 1 if task.returned else None]:
            self.memory.write(address, rest[:size])
            rest = rest[size:]
        self.give_back(task.queue, task.head, 108)

    def _answer_functions(self) -> None:
        for function in list(self.waiting):
            if not any(task in self.tasks for task in function.waits_for):
                self.waiting.remove(function)
                self._answer(function, Response.OK)

    def _answer(self, function: Function, response: Response) -> None:
        if self.fault == "never answers":
            return
        if self.fault == "accepts everything" and response is Response.FUNCTION_REJECTED:
            response = Response.OK
        if self.fault != "writes no response":
            self.memory.write(function.address, bytes((response,)))
        self.give_back(0, function.head, 0 if self.fault == "says it wrote nothing" else 1)

    def _thread(self, queue: int) -> int:
        if not self.iothreads or self.fault == "serves everything in the main loop":
            return MAIN_THREAD
        return FIRST_IOTHREAD + (queue - 2) % self.iothreads

    def _say(self, thread: int, text: str) -> None:
        with self.trace_log.open("a") as log:
            log.write(f"{thread}@1.5:{text.split(maxsplit=1)[0]} {text}\n")


@dataclass(frozen=True)
class DeviceDel:
    """A device_del under way."""

    done: Callable[[], bool]
    error: str

    @property
    def finished(self) -> bool:
        """Tell whether the disk is gone."""
        return self.done()
