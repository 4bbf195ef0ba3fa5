"""CPU times and trace lines to which thread served a virtqueue, and whether it is the one that was asked for. Pure.

A trace says it exactly: its line for a request is written by the thread that took the request. CPU time says it by
share: with one queue loaded, one IOThread works and all others sleep. The main loop works in any case (it delivers
interrupts, the network and the monitor), so it counts as the one that served only where no IOThread did anything.
Where the shares leave room for doubt, nothing is said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.machine.cost import Cost
from lab.machine.mapping import MAIN_LOOP, Dialect
from lab.machine.mapping_placement import vcpus_of_queue
from lab.machine.mapping_rules import MappedDevice, check
from lab.machine.spec import MachineSpec

_LEAST_REQUESTS = 8
_WORKED_NS = 500
"""CPU time per request from which a thread served it: 3 to 40 microseconds are usual (docs/proof.md)."""
_IDLE_NS = 100
"""CPU time per request below which all IOThreads together did nothing."""
_CLEAR_SHARE = 0.9
_CLEAR_SHARE_OF_TRACE = 0.95
"""Below 1, because the guest may ask its disk something by itself meanwhile, from any vCPU."""
_PROVING_SHARE_OF_TRACE = 0.99
"""Of 512 requests, five of others are the guest's own; twenty may be requests of the queue that went another way."""
_STRANGER_SHARE = 0.05
_STARVED_SHARE = 0.05


class ProofVerdict(StrEnum):
    """What an observation says about a mapping."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class QueueSeen:
    """One queue under load, all others idle.

    :param disk: name in the guest of the disk that was read.
    :param queue: its name: ``0`` is the first request or command queue.
    :param vcpu: the vCPU that submitted.
    :param asked: who is to serve it: an IOThread or ``"main loop"``.
    :param stored: who serves it according to what QEMU stored.
    :param requests: completed while looking.
    :param cpu_ns: CPU time meanwhile, of the main loop and each IOThread.
    :param taken: requests by the thread that took them, from the trace; None without a trace.
    :param virtqueue: name of the queue that was kicked according to the trace; None where that is unknown.
    """

    controller: str
    disk: str
    queue: str
    vcpu: int
    asked: str
    stored: str
    requests: int
    cpu_ns: Mapping[str, int]
    taken: Mapping[str, int] | None = None
    virtqueue: str | None = None

    @property
    def by_cpu_time(self) -> str | None:
        """The thread that served the queue by its share of CPU time; None where that is not clear."""
        if self.requests < _LEAST_REQUESTS:
            return None
        iothreads = {name: time_ns for name, time_ns in self.cpu_ns.items() if name != MAIN_LOOP}
        total = sum(iothreads.values())
        if total <= _IDLE_NS * self.requests:
            return MAIN_LOOP if self.cpu_ns.get(MAIN_LOOP, 0) >= _WORKED_NS * self.requests else None
        busiest = max(iothreads, key=iothreads.__getitem__)
        clear = iothreads[busiest] >= _CLEAR_SHARE * total and iothreads[busiest] >= _WORKED_NS * self.requests
        return busiest if clear else None

    @property
    def by_trace(self) -> str | None:
        """The thread that took the requests according to the trace; None without one."""
        if not self.taken:
            return None
        most = max(self.taken, key=self.taken.__getitem__)
        if self.taken[most] >= _CLEAR_SHARE_OF_TRACE * sum(self.taken.values()):
            return most
        return " and ".join(sorted(self.taken))

    @property
    def observed(self) -> str | None:
        """The thread that served the queue; None where nothing shows it."""
        return self.by_trace or self.by_cpu_time

    @property
    def objections(self) -> tuple[str, ...]:
        """Sentences on what contradicts the mapping; none where nothing does."""
        found = []
        where = f"{self.controller}, queue {self.queue}"
        if self.stored != self.asked:
            found.append(f"{where}: {self.asked} was asked for, but QEMU stored {self.stored}")
        if self.by_trace not in (None, self.asked):
            found.append(f"{where}: the trace shows {self.by_trace} taking its requests, not {self.asked}")
        if self.by_cpu_time not in (None, self.asked):
            found.append(f"{where}: {self.by_cpu_time} spent the CPU time on its requests, not {self.asked}")
        if self.virtqueue not in (None, self.queue):
            found.append(f"{where}: requests of vCPU {self.vcpu} arrived in queue {self.virtqueue}")
        return tuple(found)

    @property
    def verdict(self) -> ProofVerdict:
        """Proved where a witness names the thread that was asked for and nothing contradicts or leaves doubt."""
        if self.objections:
            return ProofVerdict.REFUTED
        taken = self.taken or {self.asked: 1}
        alone = taken.get(self.asked, 0) >= _PROVING_SHARE_OF_TRACE * sum(taken.values())
        return ProofVerdict.PROVED if alone and self.observed == self.asked else ProofVerdict.UNDECIDED


def loaded_threads(queues: Mapping[str, str], num_queues: int, vcpus: int, workers: int) -> frozenset[str]:
    """Return the IOThreads that have to work while worker k of a load submits from vCPU k.

    :param queues: queue name to IOThread or ``"main loop"``.
    """
    return frozenset(
        thread
        for name, thread in queues.items()
        if thread != MAIN_LOOP
        and name.isdecimal()
        and any(vcpu < workers for vcpu in vcpus_of_queue(int(name), num_queues, vcpus))
    )


def expected_threads(spec: MachineSpec, workers: int) -> tuple[frozenset[str], frozenset[str]]:
    """Return the IOThreads that serve a queue of a machine, and those whose queues a load of all its disks fills.

    Where both dialects of virtio-scsi take a mapping, as they do a round robin, the first are those of either and the
    second those of both: what a run is void for has to hold whichever the binary speaks.

    :param workers: of the load, worker k on vCPU k; 0 where they may be anywhere.
    """
    iothreads = tuple(thread.id for thread in spec.iothreads)
    mapped: set[str] = set()
    loaded: set[str] = set()
    for controller in spec.controllers:
        device = MappedDevice(controller.model, controller.num_queues, iothread=controller.iothread)
        devices = [replace(device, dialect=spoken) for spoken in Dialect]
        answers = [check(controller.mapping, one, iothreads=iothreads) for one in devices]
        served = [answer.queues for answer in answers if answer.ok]
        mapped |= {thread for queues in served for thread in queues.values()} - {MAIN_LOOP}
        busy = [loaded_threads(queues, controller.num_queues, spec.vcpus, workers) for queues in served]
        loaded |= frozenset.intersection(*busy) if busy else frozenset()
    return frozenset(mapped), frozenset(loaded)


def unexpected_thread(
    cost: Cost, iothreads: Sequence[str], mapped: Collection[str], loaded: Collection[str]
) -> str | None:
    """Say which IOThread worked or slept against the mapping while a run was measured; None where none did.

    :param iothreads: all of the machine.
    :param mapped: those that serve a queue.
    :param loaded: those whose queues the workload fills; see :func:`loaded_threads`.
    """
    spent = {name: cost.cpu.by_name_ns.get(name, 0) for name in iothreads}
    total = sum(spent.values())
    if total < _IDLE_NS * cost.requests:
        if not mapped:
            return None
        return "the IOThreads that were asked for spent no CPU time on the requests: another thread served them"
    for name, time_ns in spent.items():
        share = time_ns / total
        if name not in mapped and share > _STRANGER_SHARE:
            return f"IOThread '{name}' serves no queue, but spent {share:.0%} of the IOThreads' CPU time"
        if name in loaded and share < _STARVED_SHARE / len(mapped):
            return f"IOThread '{name}' serves queues that were loaded, but spent {share:.2%} of the IOThreads' CPU time"
    return None
