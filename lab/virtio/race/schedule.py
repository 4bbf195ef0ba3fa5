"""What is done to a controller in a race, as data: steps in order, and the machine they are done to.

A schedule says what is begun and when. It does not say how QEMU's threads interleave, which is what makes it a race:
the same schedule is performed many times, and a failure is reported as n of m.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from lab.errors import InputError
from lab.virtio.backing import Backing

FORMAT = 1
"""1: the first."""

_MOST_QUEUES = 64
_MOST_STEPS = 1000
_MOST_IOTHREADS = 64
_MOST = {"unit": 64, "queue": _MOST_QUEUES, "count": 1000, "function": 0xFFFFFFFF, "pause_us": 1_000_000}
"""Of a step; far more than is ever drawn."""
_LONGEST_PAUSES_US = 60_000_000
"""Of all steps together: a stored schedule comes to an end, whoever wrote it."""
_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
"""What QEMU takes for an id (util/id.c)."""
_PROPERTIES = {"iothread", "iothread-vq-mapping"}
"""The properties of a controller that make a mapping; a schedule names no others."""


class Action(StrEnum):
    """What a step begins. None of them waits for what it began, unless it says so."""

    READ = "read"
    """``count`` READs of one block each."""
    WRITE = "write"
    """``count`` WRITEs of one block each, to blocks that nothing else touches."""
    LOAD = "load"
    """From now on keep ``count`` READs in flight on this queue and disk; 0 ends that."""
    FUNCTION = "function"
    """The task management function ``function``; its tag is that of the ``count``-th youngest command to the disk."""
    HOLD = "hold"
    """The disks keep what arrives from now on (held disks only)."""
    RELEASE = "release"
    """The disks answer ``count`` requests they keep, the oldest first; 0 answers all, and what comes later too."""
    FAIL = "fail"
    """As release, with an I/O error."""
    KICK = "kick"
    """Notify every queue once more."""
    DEVICE_RESET = "device-reset"
    """The driver resets the device and brings it up again, and waits for that; the disks let go first."""
    EARLY_KICK = "early-kick"
    """As device-reset, with ``count`` READs made available and notified before DRIVER_OK."""
    UNPLUG_DISK = "unplug-disk"
    PLUG_DISK = "plug-disk"
    STOP = "stop"
    CONT = "cont"
    SYSTEM_RESET = "system-reset"
    RESTART_DRIVER = "restart-driver"
    """After a system reset: wait for it, find the device again and bring it up."""
    MIRROR = "mirror"
    MIRROR_END = "mirror-end"
    """Switch over to the copy."""
    MIRROR_CANCEL = "mirror-cancel"
    SNAPSHOT = "snapshot"
    REOPEN = "reopen"
    """Move the disk's throttle filter to the other throttle group."""
    THROTTLE = "throttle"
    """Limit the first throttle group to ``count`` requests a second; 0 lifts the limit."""
    IOTHREAD_DEL = "iothread-del"
    """object-del of the IOThread of number ``queue``, in use or not."""
    IOTHREAD_ADD = "iothread-add"
    CONTROLLER_DEL = "controller-del"
    """device_del of the controller and a system reset, which completes it; nothing but QMP is left afterwards."""


ON_A_DISK = frozenset(
    {Action.READ, Action.WRITE, Action.LOAD, Action.FUNCTION, Action.UNPLUG_DISK, Action.PLUG_DISK, Action.MIRROR}
    | {Action.MIRROR_END, Action.MIRROR_CANCEL, Action.SNAPSHOT, Action.REOPEN}
)
"""Actions on the disk of number ``unit``."""


@dataclass(frozen=True)
class Step:
    """One thing that is begun.

    :param unit: number of the disk, where the action is on one.
    :param queue: command virtqueue, or number of an IOThread.
    :param count: as the action says.
    :param function: TMF subtype.
    :param pause_us: microseconds to go on polling the rings before it.
    """

    action: Action
    unit: int = 0
    queue: int = 0
    count: int = 1
    function: int = 0
    pause_us: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what differs from the defaults."""
        plain = Step(self.action)
        numbers = {name: value for name, value in vars(self).items() if value != getattr(plain, name)}
        return {"action": str(self.action), **numbers}


@dataclass(frozen=True)
class Schedule:
    """A race.

    :param seed: it was drawn from; kept by a reduced one.
    :param mapping: name of the mapping (lab.virtio.tmf.controller).
    :param iothreads: ids of the IOThreads.
    :param controller: properties of the controller that make the mapping.
    :param num_queues: command virtqueues.
    """

    seed: int
    mapping: str
    iothreads: tuple[str, ...]
    controller: Mapping[str, object]
    num_queues: int
    backing: Backing
    steps: tuple[Step, ...]

    def with_steps(self, steps: tuple[Step, ...]) -> Schedule:
        """Return the same race with other steps."""
        return replace(self, steps=steps)

    def to_json(self) -> dict[str, Any]:
        """Return the schedule as it is stored."""
        return {
            "format": FORMAT,
            "seed": self.seed,
            "mapping": self.mapping,
            "iothreads": list(self.iothreads),
            "controller": dict(self.controller),
            "num_queues": self.num_queues,
            "backing": str(self.backing),
            "steps": [step.to_json() for step in self.steps],
        }


def schedule_from_text(text: str) -> Schedule:
    """Read a stored schedule.

    :raise InputError: it is not one, or a number in it is out of range.
    """
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise InputError(f"the schedule has format {data['format']!r}, and this lab reads {FORMAT}")
        schedule = Schedule(
            seed=_whole("seed", data["seed"], 1 << 64),
            mapping=str(data["mapping"]),
            iothreads=_iothreads(data["iothreads"]),
            controller=_controller(data["controller"], data["iothreads"]),
            num_queues=_whole("num_queues", data["num_queues"], _MOST_QUEUES),
            backing=Backing(data["backing"]),
            steps=tuple(_step(item) for item in data["steps"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
        raise InputError(
            f"not a schedule of a race: {err}", remedy="give the schedule.json that the lab wrote"
        ) from err
    if not schedule.num_queues or len(schedule.steps) > _MOST_STEPS:
        raise InputError(f"the schedule has no command queue, or more than {_MOST_STEPS} steps")
    if sum(step.pause_us for step in schedule.steps) > _LONGEST_PAUSES_US:
        raise InputError(f"the pauses of the schedule take longer than {_LONGEST_PAUSES_US / 1e6:g} s")
    return schedule


def _iothreads(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or len(names) > _MOST_IOTHREADS or len(set(map(_id, names))) < len(names):
        raise ValueError(f"IOThreads are a list of at most {_MOST_IOTHREADS}, each once")
    return tuple(names)


def _controller(properties: Any, iothreads: Sequence[str]) -> dict[str, object]:
    if not isinstance(properties, dict) or not properties.keys() <= _PROPERTIES:
        raise ValueError("a controller has properties that make no mapping")
    parts = properties.get("iothread-vq-mapping", [])
    named = [*([properties["iothread"]] if "iothread" in properties else []), *(part["iothread"] for part in parts)]
    unknown = next((name for name in named if name not in iothreads), None)
    if unknown is not None:
        raise ValueError(f"the controller's IOThread {unknown!r} is not there")
    for part in parts:
        for queue in part.get("vqs", ()):
            _whole("vqs", queue, _MOST_QUEUES + 1)  # the ctrl and event queue count in some dialects
    return properties


def _id(name: Any) -> str:
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(f"an IOThread's id is {name!r}")
    return name


def _step(item: dict[str, Any]) -> Step:
    numbers = {name: _whole(name, item[name], most) for name, most in _MOST.items() if name in item}
    return Step(Action(item["action"]), **numbers)


def _whole(name: str, value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} is {value!r}, not a number from 0 to {most}")
    return value
