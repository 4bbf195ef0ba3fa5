"""Bursts of two sizes to the cost of one operation more.

A small and a large burst take turns, each cut out as a profile of its own. Both contain what a burst costs whatever
its size: the register accesses over qtest, the wake-up of a thread. What the large one costs more is the cost of its
further operations. The main loop may turn more often than needed, which is taken out (turns.py); of several bursts of a
size, the median counts for each of QEMU's functions. The spread is how far apart two halves of the bursts are. It is
next to nothing but for functions where threads have to meet, such as the reset of a disk that IOThreads serve.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.deadline import Deadline
from lab.errors import StageError
from lab.virtio.cost.callgrind import Profiles
from lab.virtio.cost.operation import QUEUE_SIZE, BurstSizes, Operation
from lab.virtio.cost.profile import Profile, profile_from_file
from lab.virtio.cost.turns import Functions, at_equal_turns
from lab.virtio.qtest_machine import LogicalUnit, QtestMachine
from lab.virtio.virtio_scsi import Lun, command_response, response_text
from lab.virtio.virtio_scsi_driver import Completion, VirtioScsi

DISK = LogicalUnit("disk", Lun(0, 0))
REPEATS = 5
_WARM_UPS = 2
_BURST_S = 30.0
_SETTLE_S = 0.002
"""For a thread to go back to sleep after the last operation of a burst."""
_NULL_DISK = {"driver": "null-co", "node-name": DISK.name, "size": 64 << 20, "read-zeroes": True}
"""Answers at once: with a latency each request would add the turns of a timer."""

_HEAP = frozenset(
    {
        "_int_malloc",
        "_int_free",
        "_int_memalign",
        "_int_realloc",
        "alloc_perturb",
        "malloc_consolidate",
        "sysmalloc",
        "unlink_chunk",
    }
)
"""What glibc's malloc does behind its doors. It depends on how the heap happens to lie, which differs from machine to
machine (by 2 % of TEST UNIT READY) and is no property of QEMU; the calls of malloc and free themselves are counted."""


@dataclass(frozen=True)
class FunctionCost:
    """What one operation spends in one function itself, without those it calls.

    :param instructions: per operation; below zero where it saves a little elsewhere.
    """

    name: str
    instructions: float


@dataclass(frozen=True)
class CaseCost:
    """The cost of one operation with one mapping.

    :param instructions: per operation, in all threads.
    :param n: operations that were counted, over all bursts.
    :param spread: by how much two halves of the bursts differ, as a fraction of ``instructions``.
    :param heap: beyond ``instructions``, those of glibc's malloc for keeping its heap, which are not judged.
    :param is_steady: whether counts of the same work agree; see :meth:`Operation.is_steady`.
    :param functions: costliest first; they add up to ``instructions``.
    :param answer: what the device answered to each.
    :param trouble: why there is no cost; empty where there is one.
    """

    operation: str
    mapping: str
    instructions: float = 0.0
    n: int = 0
    spread: float = 0.0
    heap: float = 0.0
    is_steady: bool = True
    functions: tuple[FunctionCost, ...] = ()
    answer: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class CountedBursts:
    """The profiles of small bursts, and of as many large ones."""

    small: tuple[Profile, ...]
    large: tuple[Profile, ...]


def plug_in_disk(machine: QtestMachine) -> None:
    """Plug in the disk, switch polling off in every IOThread, and bring the driver up.

    :raise StageError: QEMU refuses or is gone.
    """
    for name in machine.spec.iothreads:
        arguments = {"path": f"/objects/{name}", "property": "poll-max-ns", "value": 0}
        machine.monitor.execute("qom-set", arguments)
    machine.monitor.execute("blockdev-add", _NULL_DISK)
    machine.monitor.execute("device_add", DISK.device_json())
    machine.driver.queue_size = QUEUE_SIZE
    machine.driver.start()


def measure(
    machine: QtestMachine,
    profiles: Profiles,
    operation: Operation,
    mapping: str,
    *,
    repeats: int = REPEATS,
    make_deadline: Callable[[float], Deadline] = Deadline,
) -> CaseCost:
    """Count one operation on a machine whose disk is plugged in; the profiles are removed.

    :param mapping: its name, for the result.
    :param repeats: bursts of each size.
    :raise InputError: the binary has no symbols.
    :raise DeadlineError: the device did not answer.
    :raise StageError: it answered with an error, or QEMU went away.
    """
    bursts = _Bursts(machine.driver, operation, make_deadline)
    machine.driver.until_ready(DISK.lun, timeout_s=_BURST_S)
    counted = count_bursts(bursts.run, operation.sizes, profiles, repeats=repeats, make_deadline=make_deadline)
    case = cost_from_bursts(operation.name, mapping, counted, operation.operations_between)
    return replace(case, is_steady=operation.is_steady(mapping), answer=bursts.answer)


def count_bursts(
    run: Callable[[int], None],
    sizes: BurstSizes,
    profiles: Profiles,
    *,
    repeats: int = REPEATS,
    make_deadline: Callable[[float], Deadline] = Deadline,
) -> CountedBursts:
    """Run small and large bursts in turns, after some that warm the caches, and return what each of them cost.

    :param run: does a burst of so many operations on each virtqueue, and returns when all have come back.
    :param repeats: bursts of each size.
    :raise InputError: the binary has no symbols.
    :raise StageError: a burst failed, or QEMU went away.
    """
    for _ in range(_WARM_UPS):
        run(sizes.large)
    profiles.cut().unlink()
    small: list[Path] = []
    large: list[Path] = []
    for _ in range(repeats):
        for count, paths in ((sizes.small, small), (sizes.large, large)):
            run(count)
            make_deadline(_SETTLE_S).rest()
            paths.append(profiles.cut())
    counted = CountedBursts(*(tuple(profile_from_file(path) for path in paths) for paths in (small, large)))
    for path in (*small, *large):
        path.unlink()
    return counted


def cost_from_bursts(operation: str, mapping: str, counted: CountedBursts, more: int) -> CaseCost:
    """Return the cost of one operation.

    :param more: how many operations a large burst has more than a small one, over all virtqueues.
    """
    before, after = counted.small, counted.large
    functions = _functions(before, after, more)
    instructions = sum(function.instructions for function in functions)
    halves = [
        sum(function.instructions for function in _functions(before[half::2], after[half::2], more)) for half in (0, 1)
    ]
    return CaseCost(
        operation,
        mapping,
        instructions=instructions,
        n=more * len(after),
        spread=abs(halves[0] - halves[1]) / instructions,
        heap=sum(cost for name, cost in _costs(before, after, more) if name in _HEAP),
        functions=functions,
    )


def _functions(before: Sequence[Profile], after: Sequence[Profile], operations: int) -> tuple[FunctionCost, ...]:
    """Return what each function spends on an operation, costliest first; one that spends nothing is left out."""
    costs = ((name, cost) for name, cost in _costs(before, after, operations) if cost and name not in _HEAP)
    return tuple(FunctionCost(*cost) for cost in sorted(costs, key=lambda cost: (-cost[1], cost[0])))


def _costs(before: Sequence[Profile], after: Sequence[Profile], operations: int) -> Iterator[tuple[str, float]]:
    bursts = at_equal_turns([profile.functions for profile in before], [profile.functions for profile in after])
    small, large = (_typical(functions) for functions in bursts)
    for name in {*small, *large}:
        yield name, (large.get(name, 0.0) - small.get(name, 0.0)) / operations


def _typical(bursts: Sequence[Functions]) -> dict[str, float]:
    """Return the median of each function over the bursts: now and then one of them pays for tidying up the heap."""
    names = {name for burst in bursts for name in burst}
    return {name: statistics.median(burst.get(name, 0) for burst in bursts) for name in names}


class _Bursts:
    """Bursts of one operation, whose answers are all the same."""

    def __init__(self, driver: VirtioScsi, operation: Operation, make_deadline: Callable[[float], Deadline]) -> None:
        self._driver = driver
        self._operation = operation
        self._make_deadline = make_deadline
        self.answer = "OK" if operation.command is not None else ""
        """What each operation is answered; of a function, what the first one was."""

    def run(self, count: int) -> None:
        """Give the device a burst on each virtqueue, one after the other, and wait for its end."""
        for queue in self._operation.queues:
            with self._driver.batch():
                for tag in range(count):
                    self._operation.submit(self._driver, DISK.lun, queue, tag)
            for completion in self._all_of(count):
                self._check(completion)

    def _all_of(self, count: int) -> list[Completion]:
        done: list[Completion] = []

        def look() -> bool | None:
            done.extend(self._driver.poll())
            return True if len(done) >= count else None

        self._make_deadline(_BURST_S).wait_for(f"the answers to {count} times {self._operation.name}", look)
        return done

    def _check(self, completion: Completion) -> None:
        if self._operation.command is not None:
            answer = str(command_response(completion.answer)) if completion.answer else "nothing"
        else:
            answer = response_text(completion.answer[0]) if completion.answer else "nothing"
        self.answer = self.answer or answer
        if answer != self.answer:
            raise StageError(f"{self._operation.name} was answered {answer}, and {self.answer} was expected")
