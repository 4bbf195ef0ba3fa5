"""The program of one driver process: keep one virtqueue of a running QEMU full until the lab says stop.

    python -m lab.virtio.load.driver MEMORY_FD QTEST_FD ORDERS

A process for each queue, because a Python process has one thread that computes: with several queues in one process, the
driver and not QEMU would be what limits a host with many CPUs. It shares guest memory and the qtest socket with the
lab and imports nothing but numpy, to be up soon.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from lab.deadline import Deadline
from lab.errors import DeadlineError, StageError
from lab.virtio.load.control import Control, Order, State
from lab.virtio.load.kicks import Doorbell
from lab.virtio.load.layout import QueueLayout
from lab.virtio.load.ring import Ring, Slots
from lab.virtio.scsi import BLOCK_BYTES

_DRAWN = 1 << 16
_POLL_S = 25e-6
_AGAIN_S = 0.01
_GIVE_UP_S = 10.0
_ORDERS_S = 60.0


@dataclass(frozen=True)
class Orders:
    """What one driver is to do.

    :param doorbell: address of the queue's notification register.
    :param disk_bytes: of the smallest disk; addresses are within it.
    :param start: where a sequential load begins, as a share of the disk.
    :param seed: of the addresses.
    :param spin: poll without sleeping; for hosts that have a CPU for every driver.
    """

    layout: QueueLayout
    doorbell: int
    disk_bytes: int
    random: bool
    start: float
    seed: int
    spin: bool

    def to_json(self) -> str:
        """Return the orders as one word of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Orders:
        """Return the orders that :meth:`to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "layout": QueueLayout(**values["layout"])})


class Addresses:
    """Addresses of requests, in logical blocks, drawn or one after the other; they repeat after 65536."""

    def __init__(self, orders: Orders) -> None:
        per_request = orders.layout.request_bytes // BLOCK_BYTES
        places = min(orders.disk_bytes // orders.layout.request_bytes, (1 << 32) // per_request)
        if orders.random:
            numbers = np.random.default_rng(orders.seed).integers(0, places, _DRAWN)
        else:
            numbers = (int(orders.start * places) + np.arange(_DRAWN)) % places
        self._lbas = (numbers * per_request).astype(np.uint32)
        self._next = 0

    def take(self, count: int) -> npt.NDArray[np.uint32]:
        """Return the next ``count`` addresses."""
        if self._next + count > len(self._lbas):
            self._next = 0
        self._next += count
        return self._lbas[self._next - count : self._next]


class Driver:
    """Keeps a ring full.

    :param ring: prepared, with nothing in it.
    :param kick: tells the device.
    """

    def __init__(
        self, ring: Ring, addresses: Addresses, control: Control, kick: Callable[[], None], depth: int, *, spin: bool
    ) -> None:
        self._ring = ring
        self._addresses = addresses
        self._control = control
        self._kick = kick
        self._depth = depth
        self._spin = spin

    def run(self) -> None:
        """Give all slots to the device, and each again when it comes back, until the order is to stop.

        :raise StageError: a command failed, came back twice, or was never given.
        :raise DeadlineError: nothing came back for ten seconds.
        """
        self._give(np.arange(self._depth))
        while self._control.order is Order.GO:
            slots = self._take()
            self._give(slots)
        while self._ring.in_device:
            self._take()

    def _give(self, slots: Slots) -> None:
        self._ring.give(slots, self._addresses.take(len(slots)))
        kicked = self._ring.wants_kick
        if kicked:
            self._kick()
        self._control.count_batch(kicked=kicked, in_device=self._ring.in_device)

    def _take(self) -> Slots:
        """Wait for commands that come back, and take them.

        :raise StageError: one failed, came back twice, or was never given.
        :raise DeadlineError: none came.
        """
        given_up = Deadline(_GIVE_UP_S)
        while not self._wait():
            if given_up.passed():
                raise DeadlineError(f"{self._ring.in_device} commands did not come back within {_GIVE_UP_S:g} s")
            # The flag that asks for kicks is read after the index was written, and a processor may swap the two.
            self._kick()
            self._control.count_kick_again()
        slots = self._ring.take()
        self._control.count(completed=len(slots), in_device=self._ring.in_device)
        return slots

    def _wait(self) -> bool:
        """Wait until something came back; False where nothing did for 10 ms."""
        if self._ring.returned():
            return True
        soon = Deadline(_AGAIN_S)
        while self._spin and not soon.passed():
            if self._ring.returned():
                return True
            os.sched_yield()
        try:
            soon.wait_for("a command to come back", lambda: self._ring.returned() or None, interval_s=_POLL_S)
        except DeadlineError:
            return False
        return True


def main(memory_fd: int, qtest_fd: int, text: str) -> None:
    """Drive one virtqueue as the control words say."""
    orders = Orders.from_json(text)
    memory = mmap.mmap(memory_fd, os.fstat(memory_fd).st_size)
    control = Control(memory, orders.layout.control)
    doorbell = Doorbell(socket.socket(fileno=qtest_fd))
    driver = Driver(
        Ring(memory, orders.layout),
        Addresses(orders),
        control,
        lambda: doorbell.ring(orders.doorbell, orders.layout.index),
        orders.layout.depth,
        spin=orders.spin,
    )
    control.state = State.READY
    try:
        started = Deadline(_ORDERS_S)
        started.wait_for("the order to go", lambda: control.order is not Order.WAIT or None, interval_s=0.001)
        control.state = State.RUNNING
        driver.run()
    except StageError as err:
        print(err.message, flush=True)  # noqa: T201 - into the process's log, which the lab reads
        control.state = State.FAILED
        return
    control.state = State.DONE


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
