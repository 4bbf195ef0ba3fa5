"""Where threads may run, held against who serves which queue: which IOThread shares a CPU with its queue's vCPU.

A queue is kicked by the vCPUs whose requests it takes. When the IOThread that has to answer can only run on the CPU
of that vCPU, the two take turns and an IOThread brings nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lab.errors import InputError
from lab.units import text_from_cpus

_CPU_LIMIT = 2**16
_RANGE = re.compile(r"(?P<first>[0-9]{1,5})(-(?P<last>[0-9]{1,5}))?")
_VCPU = re.compile(r"vcpu(?P<number>[0-9]{1,5})")


@dataclass(frozen=True)
class Placement:
    """The host CPUs that threads are allowed on; a thread that is not named may run anywhere.

    :param vcpus: vCPU number to host CPUs.
    :param iothreads: IOThread id to host CPUs.
    """

    vcpus: Mapping[int, frozenset[int]] = field(default_factory=dict)
    iothreads: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @classmethod
    def from_pins(cls, pins: Iterable[str]) -> Placement:
        """Return the placement of texts such as ``vcpu0=0`` and ``t0=4-5,7``.

        An IOThread that is itself called like ``vcpu0`` cannot be placed this way.

        :raise InputError: not of that form, or a name that is given twice.
        """
        vcpus: dict[int, frozenset[int]] = {}
        iothreads: dict[str, frozenset[int]] = {}
        for pin in pins:
            name, equals, text = (piece.strip() for piece in pin.partition("="))
            if not name or not equals:
                raise InputError(f"'{pin}' does not place a thread", remedy="write vcpu0=0 or t0=4-5")
            match = _VCPU.fullmatch(name)
            number = int(match["number"]) if match else None
            if number in vcpus or name in iothreads:
                raise InputError(f"'{name}' is placed twice", remedy="give all its CPUs at once: t0=4-5,7")
            if number is None:
                iothreads[name] = cpus_from_text(text)
            else:
                vcpus[number] = cpus_from_text(text)
        return cls(vcpus, iothreads)


def cpus_from_text(text: str) -> frozenset[int]:
    """Return the CPUs of a list as the kernel writes it: ``0-3,8``.

    :raise InputError: not such a list.
    """
    cpus: set[int] = set()
    for piece in text.split(","):
        match = _RANGE.fullmatch(piece.strip())
        first, last = (int(match["first"]), int(match["last"] or match["first"])) if match else (0, _CPU_LIMIT)
        if not first <= last < _CPU_LIMIT:
            raise InputError(f"'{text}' is not a list of CPUs", remedy="write for example 0-3,8")
        cpus.update(range(first, last + 1))
    return frozenset(cpus)


def vcpus_of_queue(queue: int, num_queues: int, vcpus: int) -> range:
    """Return the vCPUs whose requests a Linux guest puts on a queue; none for a queue it has no use for.

    Linux takes as many queues as it has CPUs (``virtscsi_probe()``, ``init_vq()`` of virtio_blk) and gives each a
    run of neighbouring CPUs, the first ones one more where it does not come out even (lib/group_cpus.c). That is for
    a guest of one NUMA node without SMT and with MSI-X vectors per queue, which is what these devices get.
    """
    used = min(num_queues, vcpus)
    if queue >= used:
        return range(0)
    share, rest = divmod(vcpus, used)
    first = queue * share + min(queue, rest)
    return range(first, first + share + (queue < rest))


def sharing(
    queues: Mapping[str, str | None], num_queues: int, vcpus: int | None, placement: Placement | None
) -> Iterator[str]:
    """Yield a sentence for each queue whose IOThread may run on a CPU of the vCPU that fills the queue.

    :param queues: queue name to IOThread, None for the main loop; only command and request queues are looked at.
    :param vcpus: of the guest; None takes as many as are placed.
    """
    if placement is None:
        return
    count = vcpus if vcpus is not None else max(placement.vcpus, default=-1) + 1
    for name, iothread in queues.items():
        if iothread is None or not name.isdecimal() or count == 0:
            continue
        for vcpu in vcpus_of_queue(int(name), num_queues, count):
            shared = placement.vcpus.get(vcpu, frozenset()) & placement.iothreads.get(iothread, frozenset())
            if shared:
                yield (
                    f'queue {name}: IOThread "{iothread}" and vCPU {vcpu}, which fills the queue, '
                    f"share CPU {text_from_cpus(shared)}"
                )
