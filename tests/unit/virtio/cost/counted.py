"""A QEMU that counts itself: every operation costs a known number of instructions, in functions of known names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lab.deadline import Deadline
from lab.errors import DeadlineError
from lab.virtio.cost.measure import CaseCost, FunctionCost
from lab.virtio.scsi import Command
from lab.virtio.virtio_scsi import Lun
from lab.virtio.virtio_scsi_driver import Completion, Request

GOOD = bytes(108)
WAKE_UP = 5402
"""Instructions of a turn of the main loop."""


def profile_text(functions: Mapping[str, int]) -> str:
    """Return a profile as callgrind writes it."""
    lines = ["# callgrind format", "positions: line", "events: Ir", f"summary: {sum(functions.values())}", ""]
    for number, (name, cost) in enumerate(functions.items()):
        lines += [f"fn=({number}) {name}", f"{number + 1} {cost}"]
    return "\n".join([*lines, ""])


def no_waiting(seconds: float) -> Deadline:
    """Return a deadline on a clock that jumps to its end."""
    now = [0.0]

    def sleep(pause_s: float) -> None:
        now[0] += max(pause_s, seconds)

    return Deadline(seconds, clock=lambda: now[0], sleep=sleep)


class CountedMachine:
    """A machine as :func:`lab.virtio.cost.measure.measure` uses it.

    :param cost: instructions per operation by the first byte of its CDB; of a function, by its number plus 1000.
    :param extra: turns of the main loop that each piece takes beyond the first, in turn.
    """

    def __init__(self, folder: Path, cost: Mapping[int, int], *, extra: Sequence[int] = (0,), answers: bool = True):
        self.folder = folder
        self.cost = cost
        self.extra = extra
        self.answers = answers
        self.answer = GOOD
        self.heap = 0
        self.odd, self.every = 0, 2
        """What a large burst pays for something else, and which of them do: every second one."""
        self.writes = True
        self.done: list[tuple[str, Mapping[str, Any]]] = []
        self.spec = SimpleNamespace(iothreads=("t0", "t1"))
        self.monitor = self
        self.qtest = self
        self.driver = self
        self._spent: Counter[str] = Counter()
        self._ended: list[Completion] = []
        self._cuts = 0

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> object:
        """Take a QMP command."""
        self.done.append((command, arguments or {}))
        return {}

    def port_in(self, port: int, width: int) -> int:
        """Cut: write a profile."""
        assert (port, width) == (0x92, 1)
        if self.writes:
            turns = 1 + self.extra[self._cuts % len(self.extra)]
            self._cuts += 1
            path = self.folder / f"profile.{self._cuts}"
            loop = {"main_loop_wait": 124 * turns, "g_main_context_check": (WAKE_UP - 124) * turns}
            large = self._cuts % 2 and self._cuts > 1  # the first is that of the warm-up
            odd = self.odd if large and self._cuts // 2 % self.every == 0 else 0
            path.write_text(profile_text({**loop, **self._spent, "odd": odd}))
            self._spent.clear()
        return 2

    def start(self) -> None:
        """Bring the driver up."""
        self.done.append(("start", {}))

    def until_ready(self, _lun: Lun, *, timeout_s: float) -> None:
        """Take the unit attentions."""
        assert timeout_s
        self.done.append(("until_ready", {}))

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Kick once, which costs something whatever the size of the batch."""
        yield
        self._spent["kick"] += 777
        self._spent["_int_free"] += self.heap

    def submit(self, queue: int, _lun: Lun, command: Command, *, tag: int) -> Request:
        """Take a command."""
        return self._take(queue + 2, tag, command.cdb[0], self.answer)

    def manage_task(self, subtype: int, _lun: Lun, tag: int) -> Request:
        """Take a function."""
        return self._take(0, tag, 1000 + subtype, b"\0")

    def poll(self) -> list[Completion]:
        """Return what has ended."""
        ended, self._ended = self._ended, []
        return ended

    def _take(self, queue: int, tag: int, kind: int, answer: bytes) -> Request:
        self._spent[f"serve_{kind}"] += self.cost.get(kind, 100)
        self._spent["_int_free"] += self.heap
        request = Request(queue, 0, tag, None, None)  # type: ignore[arg-type]  # nobody looks at its buffers
        if self.answers:
            self._ended.append(Completion(request, queue, 1, 0.0, len(answer), answer, b""))
        return request


def late(*_words: object, **_options: object) -> CaseCost:
    """Fail as an operation does that is never answered."""
    raise DeadlineError("waited 20 s for the answers, and it did not happen")


def case_of(
    operation: str = "READ", mapping: str = "none", *, functions: Mapping[str, float], spread: float = 0.001
) -> CaseCost:
    """Return a case with these functions."""
    costs = tuple(FunctionCost(name, cost) for name, cost in functions.items())
    case = CaseCost(operation, mapping, n=100, spread=spread, functions=costs, answer="OK")
    return replace(case, instructions=sum(functions.values()))
