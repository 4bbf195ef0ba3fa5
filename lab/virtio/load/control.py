"""The words of shared memory through which the lab starts, watches and stops a driver process, and nothing else does.

They are in guest memory that no device is told of. Each word has one writer, and x86 stores 64 bits in one piece.
"""

from __future__ import annotations

import mmap
from enum import IntEnum

from lab.virtio.load.layout import CONTROL_BYTES


class Order(IntEnum):
    """What the lab wants of a driver."""

    WAIT = 0
    GO = 1
    STOP = 2


class State(IntEnum):
    """How far a driver is."""

    STARTING = 0
    READY = 1
    RUNNING = 2
    DONE = 3
    """Stopped, and every command came back."""
    FAILED = 4
    """Stopped by itself; its log says why."""


class _Word(IntEnum):
    STATE = 0
    COMPLETED = 1
    KICKS = 2
    KICKS_AGAIN = 3
    BATCHES = 4
    IN_DEVICE = 5
    ORDER = 8  # in a cache line of its own: the lab writes it, the driver all others


class Control:
    """The words of one driver.

    :param address: guest-physical, where the words are.
    """

    def __init__(self, memory: mmap.mmap, address: int) -> None:
        self._words = memoryview(memory)[address : address + CONTROL_BYTES].cast("Q")

    @property
    def order(self) -> Order:
        """What the lab wants."""
        return Order(self._words[_Word.ORDER])

    @order.setter
    def order(self, order: Order) -> None:
        self._words[_Word.ORDER] = order

    @property
    def state(self) -> State:
        """How far the driver is."""
        return State(self._words[_Word.STATE])

    @state.setter
    def state(self, state: State) -> None:
        self._words[_Word.STATE] = state

    @property
    def completed(self) -> int:
        """Commands that came back, each once and without an error."""
        return self._words[_Word.COMPLETED]

    @property
    def kicks(self) -> int:
        """Kicks that were sent."""
        return self._words[_Word.KICKS]

    @property
    def kicks_again(self) -> int:
        """Those of them that were sent only because nothing came back for a while."""
        return self._words[_Word.KICKS_AGAIN]

    @property
    def batches(self) -> int:
        """How often commands were given to the device."""
        return self._words[_Word.BATCHES]

    @property
    def in_device(self) -> int:
        """Commands that the device has, as of the last time the driver looked."""
        return self._words[_Word.IN_DEVICE]

    def count(self, *, completed: int, in_device: int) -> None:
        """Note commands that came back, and how many are left with the device."""
        self._words[_Word.COMPLETED] += completed
        self._words[_Word.IN_DEVICE] = in_device

    def count_batch(self, *, kicked: bool, in_device: int) -> None:
        """Note that commands were given to the device."""
        self._words[_Word.BATCHES] += 1
        self._words[_Word.KICKS] += kicked
        self._words[_Word.IN_DEVICE] = in_device

    def count_kick_again(self) -> None:
        """Note a kick because nothing came back."""
        self._words[_Word.KICKS] += 1
        self._words[_Word.KICKS_AGAIN] += 1
