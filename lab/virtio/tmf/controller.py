"""A mapping by name to the IOThreads, the controller's properties and who should serve which queue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.errors import InputError
from lab.machine.capabilities_probe import capabilities_of
from lab.machine.mapping import MAIN_LOOP, Dialect, IOThreadMapping


@dataclass(frozen=True)
class ControllerMapping:
    """How a controller's queues are spread over threads.

    :param name: ``none``, ``iothread``, the number of IOThreads of a round robin, ``explicit`` or ``all-queues``.
    :param iothreads: ids of the IOThreads.
    :param properties: of the controller.
    :param served_by: the thread that should serve each command virtqueue, by number.
    """

    name: str
    iothreads: tuple[str, ...]
    properties: dict[str, object]
    served_by: tuple[str, ...]


ROUND_ROBIN = ("1", "2", "4")
NAMES = ("none", "iothread", *ROUND_ROBIN, "explicit", "all-queues")
"""Every mapping there is; which of them a binary takes, see :func:`mappings_of`."""


def controller_mapping(name: str, num_queues: int) -> ControllerMapping:
    """Return what a name of :data:`NAMES` stands for.

    :raise InputError: no such mapping.
    """
    if name == "none":
        return ControllerMapping(name, (), {}, (MAIN_LOOP,) * num_queues)
    if name == "iothread":
        return ControllerMapping(name, ("t0",), {"iothread": "t0"}, ("t0",) * num_queues)
    if name in ROUND_ROBIN:
        return _mapped(name, IOThreadMapping.round_robin([f"t{k}" for k in range(int(name))]), num_queues)
    if name == "explicit":  # uneven and out of order, unlike any round robin
        last = num_queues - 1
        queues = {"t0": (last, 0), "t1": tuple(range(1, last))}
        return _mapped(name, IOThreadMapping.explicit(queues), num_queues)
    if name == "all-queues":
        indices = range(num_queues + 2)
        queues = {"t0": (0, 1, *indices[2::2]), "t1": tuple(indices[3::2])}
        return _mapped(name, IOThreadMapping.explicit(queues), num_queues, Dialect.ALL_QUEUES)
    raise InputError(f"there is no mapping '{name}'", remedy=f"mappings are: {', '.join(NAMES)}")


def mappings_of(qemu: Path) -> tuple[str, ...]:
    """Ask a binary which mappings it takes.

    :raise InputError: the binary does not start, or is no QEMU.
    """
    dialect = capabilities_of(qemu).scsi_dialect
    if dialect is None:
        return ("none", "iothread")
    if dialect is Dialect.ALL_QUEUES:
        return tuple(name for name in NAMES if name != "explicit")
    return tuple(name for name in NAMES if name != "all-queues")


def _mapped(
    name: str, mapping: IOThreadMapping, num_queues: int, dialect: Dialect = Dialect.MERGED
) -> ControllerMapping:
    assignment = mapping.queue_assignment(num_queues, dialect)
    served_by = tuple(assignment[str(queue)] or MAIN_LOOP for queue in range(num_queues))
    return ControllerMapping(name, mapping.iothreads, {"iothread-vq-mapping": mapping.to_json()}, served_by)
