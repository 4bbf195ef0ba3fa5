"""What is counted: commands and task management functions by name, and bursts of them in front of a driver."""

from __future__ import annotations

from dataclasses import dataclass

from lab.virtio.scsi import BLOCK_BYTES, Command, read_10, synchronize_cache_10, test_unit_ready, write_10
from lab.virtio.virtio_scsi import Lun, Tmf
from lab.virtio.virtio_scsi_driver import Request, VirtioScsi

NUM_QUEUES = 4
QUEUE_SIZE = 1024
"""Descriptors of a virtqueue, the most that virtio-scsi takes."""

_LBA = 7
_UNKNOWN_TAG = 1 << 40
"""Of functions that name a command: none in flight has it, so each function ends at once."""
_MEETING = frozenset({Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET, Tmf.I_T_NEXUS_RESET, Tmf.LOGICAL_UNIT_RESET})
"""Functions that concern all commands of a LUN, in whichever thread those are."""


@dataclass(frozen=True)
class BurstSizes:
    """How many operations a virtqueue gets before it is kicked once; both fit into its descriptors.

    The large one is so large that a turn of the main loop more or less hardly shows.
    """

    small: int
    large: int


COMMAND_BURSTS = BurstSizes(20, 220)
"""Of commands, which take up to three descriptors each."""


@dataclass(frozen=True)
class Operation:
    """One kind of request.

    :param command: for the command virtqueues, None for a task management function.
    :param function: for the ctrl virtqueue, None for a command.
    """

    name: str
    command: Command | None = None
    function: Tmf | None = None

    @property
    def sizes(self) -> BurstSizes:
        """The bursts that are compared; a function takes two descriptors."""
        if self.command is not None:
            return COMMAND_BURSTS
        return BurstSizes(20, 120) if self.function in _MEETING else BurstSizes(20, 500)

    @property
    def queues(self) -> tuple[int, ...]:
        """The command virtqueues that get bursts, one after the other; the ctrl virtqueue counts as one."""
        return tuple(range(NUM_QUEUES)) if self.command is not None else (0,)

    @property
    def operations_between(self) -> int:
        """How many operations the large bursts have more than the small ones, over all virtqueues."""
        return (self.sizes.large - self.sizes.small) * len(self.queues)

    def is_steady(self, mapping: str) -> bool:
        """Tell whether the count is the same from machine to machine.

        Some functions make every thread that serves the disk meet. How often a thread wakes up and looks at its
        virtqueues meanwhile depends on the order in which they run, and with it a quarter of the cost.
        """
        return mapping == "none" or self.function not in _MEETING

    def submit(self, driver: VirtioScsi, lun: Lun, queue: int, tag: int) -> Request:
        """Give the device the operation once; the caller batches the kicks.

        :raise StageError: the virtqueue is full.
        """
        if self.command is not None:
            return driver.submit(queue, lun, self.command, tag=tag)
        assert self.function is not None
        return driver.manage_task(self.function, lun, _UNKNOWN_TAG)


OPERATIONS: tuple[Operation, ...] = (
    Operation("READ", read_10(_LBA)),
    Operation("WRITE", write_10(_LBA, bytes(BLOCK_BYTES))),
    Operation("SYNCHRONIZE CACHE", synchronize_cache_10()),
    Operation("TEST UNIT READY", test_unit_ready()),
    *(Operation(function.name, function=function) for function in Tmf),
)
"""Everything that can be counted; the functions, some of which reset the disk, come last."""

NAMES = tuple(operation.name for operation in OPERATIONS)
