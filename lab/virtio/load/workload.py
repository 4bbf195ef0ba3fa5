"""What an fio job says about its requests to what the drivers of a load without a guest are told."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from lab.errors import InputError
from lab.virtio.scsi import BLOCK_BYTES

_LARGEST_BYTES = 1 << 20
_SIZE = re.compile(r"(\d{1,7})([kKmM]?)i?[bB]?")
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20}


class Direction(StrEnum):
    """What the commands do."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Workload:
    """What is asked of the device.

    :param random: addresses are drawn; otherwise each driver goes through the disk from its own start.
    :param request_bytes: of each command.
    :param depths: commands in flight by command virtqueue; no entry for one that stays idle.
    """

    direction: Direction
    random: bool
    request_bytes: int
    depths: tuple[tuple[int, int], ...]

    @property
    def in_flight(self) -> int:
        """Commands in flight on all virtqueues together."""
        return sum(depth for _, depth in self.depths)


def workload_from_fio(*, rw: str, bs: str, iodepth: int, numjobs: int, num_queues: int) -> Workload:
    """Return what fio's options of these names mean without a guest.

    Worker k of fio fills the virtqueue of vCPU k; here it fills virtqueue k, modulo their number.

    :raise InputError: a mix of directions, a size that no driver asks for.
    """
    random, name = rw.startswith("rand"), rw.removeprefix("rand")
    if name not in tuple(Direction):
        raise InputError(
            f"rw={rw} cannot be had without a guest", remedy="the tier qtest knows read, write, randread and randwrite"
        )
    depths = Counter(worker % num_queues for worker in range(numjobs))
    return Workload(
        Direction(name), random, _bytes_from_text(bs), tuple((q, n * iodepth) for q, n in sorted(depths.items()))
    )


def _bytes_from_text(text: str) -> int:
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _FACTORS[match[2].lower()] if match else 0
    if size % BLOCK_BYTES or not BLOCK_BYTES <= size <= _LARGEST_BYTES:
        raise InputError(
            f"bs={text} cannot be had without a guest",
            remedy=f"the tier qtest takes one size, a multiple of {BLOCK_BYTES} bytes up to 1m",
        )
    return size
