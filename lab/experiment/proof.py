"""A machine to the proof of its mapping: asked = stored = observed, queue by queue, in a boot of its own.

Asked is what the specification says, stored what ``qom-get`` answers, observed which thread works while the guest
loads one queue and nothing else. A boot of its own, because tracing costs speed: nothing that is measured is traced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.build.build import Build
from lab.errors import InputError, MonitorError
from lab.experiment.storage import storage_held
from lab.image.guest_image import GuestImage
from lab.machine.capabilities_probe import capabilities_of
from lab.machine.command_line import GuestBoot
from lab.machine.cost import read_now
from lab.machine.guest import Guest, booted, fallback_warning
from lab.machine.guest_disks import GuestDisk, disks_of
from lab.machine.mapping import MAIN_LOOP, PROPERTY, Device, Dialect, IOThreadMapping
from lab.machine.mapping_rules import MappedDevice, check
from lab.machine.observe import ProofVerdict, QueueSeen
from lab.machine.spec import Controller, MachineSpec
from lab.machine.threads import ThreadMap
from lab.virtio.tmf.witness import Trace, TraceLine

BOOT_TIMEOUT_S = 60.0
TRACE_LOG = "trace.log"

_READS = 512
_LOAD = f"timeout 2 taskset -c {{vcpu}} dd if=/dev/{{disk}} of=/dev/null bs=4096 count={_READS} iflag=direct"
"""dd, not fio: it makes exactly these requests, one at a time from one vCPU, and starts ten times as fast. A slow disk
is read for two seconds at most."""
_LOAD_S = 30.0
_PLACE = ("controller", "disk", "queue", "vcpu", "asked", "stored")
_KICK = "virtio_queue_notify"
_TAKES = {Device.VIRTIO_SCSI: "virtio_scsi_cmd_req", Device.VIRTIO_BLK: "virtio_blk_handle_read"}


@dataclass(frozen=True)
class Proof:
    """What was found out about every queue of a machine.

    :param unused: names of the queues of each controller that the guest has no use for, so nobody can load them.
    :param fallback: QEMU's own word that it runs on without IOThreads; None where it said none.
    """

    queues: tuple[QueueSeen, ...]
    unused: Mapping[str, tuple[str, ...]]
    fallback: str | None = None

    @property
    def objections(self) -> tuple[str, ...]:
        """Sentences on what contradicts the mapping."""
        fallback = () if self.fallback is None else (f"QEMU runs on without IOThreads: {self.fallback}",)
        return (*fallback, *(objection for seen in self.queues for objection in seen.objections))

    @property
    def verdict(self) -> ProofVerdict:
        """Refuted by one objection; proved where every queue that could be loaded is."""
        if self.objections:
            return ProofVerdict.REFUTED
        proved = bool(self.queues) and all(seen.verdict is ProofVerdict.PROVED for seen in self.queues)
        return ProofVerdict.PROVED if proved else ProofVerdict.UNDECIDED

    def to_json(self) -> dict[str, Any]:
        """Return the content of proof.json."""
        return {
            "format": 1,
            "verdict": self.verdict,
            "objections": list(self.objections),
            "unused": {controller: list(names) for controller, names in self.unused.items()},
            "queues": [
                {
                    **{name: getattr(seen, name) for name in _PLACE},
                    "observed": seen.observed,
                    "verdict": seen.verdict,
                    "requests": seen.requests,
                    "cpu_ns": dict(seen.cpu_ns),
                    "taken": None if seen.taken is None else dict(seen.taken),
                    "virtqueue": seen.virtqueue,
                }
                for seen in self.queues
            ],
        }


def prove_machine(build: Build, image: GuestImage, spec: MachineSpec, evidence: Path) -> Proof:
    """Boot a machine, load its queues one by one, and end it.

    :param evidence: an existing folder; gets the logs of the boot and the trace.
    :raise StageError: it does not boot, or went away.
    :raise HostError: a device of the host that it writes to has come into use.
    """
    words: tuple[str, ...] = ()
    trace = None
    if "%" not in str(evidence):  # QEMU reads one in the name of its log as a template (util/log.c)
        trace = Trace(evidence / TRACE_LOG)
        words = ("-msg", "timestamp=on", "-D", str(evidence / TRACE_LOG))
    dialect = capabilities_of(build.qemu).scsi_dialect or Dialect.MERGED
    boot = GuestBoot(image.kernel, image.initrd, image.cmdline)
    with (
        storage_held(spec),
        booted(
            build.qemu, build.firmware, spec, boot, evidence=evidence, timeout_s=BOOT_TIMEOUT_S, words=words
        ) as guest,
    ):
        return prove(guest, dialect, trace)


def prove(guest: Guest, dialect: Dialect, trace: Trace | None) -> Proof:
    """Load each queue of a running guest by itself and see who serves it.

    :param dialect: what the binary's mappings count.
    :param trace: where QEMU writes its trace with thread ids; None does without this witness.
    :raise StageError: the guest or QEMU does not answer, or the guest has not all of its disks.
    """
    disks = disks_of(guest)
    iothreads = tuple(thread.id for thread in guest.spec.iothreads)
    seen: list[QueueSeen] = []
    unused: dict[str, tuple[str, ...]] = {}
    with _tracing(guest, trace) as witness:
        for controller in guest.spec.controllers:
            asked = _served(controller.mapping, controller.iothread, controller, dialect, iothreads)
            stored = _stored(guest, controller, dialect, iothreads)
            loads = tuple(_loads(disks[controller.id]))
            for disk, queue, vcpu in loads:
                requests, cpu_ns, lines = _watched_load(guest, disk, vcpu, witness)
                taken, virtqueue = _from_trace(lines, controller.model, guest.threads, requests)
                names = (asked.get(str(queue), "nobody"), stored.get(str(queue), "nobody"))
                seen.append(
                    QueueSeen(controller.id, disk.name, str(queue), vcpu, *names, requests, cpu_ns, taken, virtqueue)
                )
            loaded = {queue for _, queue, _ in loads}
            unused[controller.id] = tuple(str(n) for n in range(controller.num_queues) if n not in loaded)
    guest.check_alive()
    return Proof(tuple(seen), unused, fallback_warning(guest.evidence))


def text_from_proof(proof: Proof) -> str:
    """Return the matrix queue x thread: microseconds of CPU time per request, the thread that was named marked."""
    threads = tuple(dict.fromkeys(name for seen in proof.queues for name in seen.cpu_ns))
    head = ("controller", "queue", "disk", "vCPU", "asked", "stored", "observed", "verdict", *threads)
    lines = [head, *(_row(seen, threads) for seen in proof.queues)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.append("")
    text.append(f"below a thread: its CPU time, us per request{_of_witnesses(proof)}")
    for controller, names in proof.unused.items():
        if names:
            text.append(f"{controller}: the guest makes no use of queue {', '.join(names)}, so nobody can load it")
    text += [f"refuted: {objection}" for objection in proof.objections]
    text.append(f"The mapping is {proof.verdict}.")
    return "\n".join(text)


def _row(seen: QueueSeen, threads: Sequence[str]) -> tuple[str, ...]:
    shares = (f"{seen.cpu_ns.get(name, 0) / 1000 / max(1, seen.requests):.1f}" for name in threads)
    return (
        *(seen.controller, seen.queue, seen.disk, str(seen.vcpu), seen.asked, seen.stored),
        *(seen.observed or "?", seen.verdict.value, *shares),
    )


def _of_witnesses(proof: Proof) -> str:
    traced = sum(seen.by_trace is not None for seen in proof.queues)
    timed = sum(seen.by_cpu_time is not None for seen in proof.queues)
    return f"; of {len(proof.queues)} loads the trace names the thread of {traced}, CPU time that of {timed}"


def _served(
    mapping: IOThreadMapping | None,
    iothread: str | None,
    controller: Controller,
    dialect: Dialect,
    iothreads: Sequence[str],
) -> dict[str, str]:
    """Return who serves each queue, by QEMU's rules; nobody where QEMU would refuse."""
    device = MappedDevice(controller.model, controller.num_queues, dialect, iothread)
    return check(mapping, device, iothreads=iothreads).queues


def _stored(guest: Guest, controller: Controller, dialect: Dialect, iothreads: Sequence[str]) -> dict[str, str]:
    """Return who serves each queue according to the properties that QEMU stored."""
    path = f"/machine/peripheral/{controller.id}/virtio-backend"
    link = str(guest.monitor.execute("qom-get", {"path": path, "property": "iothread"}))
    try:
        value = guest.monitor.execute("qom-get", {"path": path, "property": PROPERTY})
        mapping = IOThreadMapping.from_json(value)
    except MonitorError:  # a QEMU from before the property
        mapping = IOThreadMapping()
    except InputError:  # a series may change the property itself: then nobody can say who is to serve
        return {}
    return _served(mapping, link.rpartition("/")[2] or None, controller, dialect, iothreads)


@contextmanager
def _tracing(guest: Guest, trace: Trace | None) -> Iterator[Trace | None]:
    """Have QEMU trace what the witness reads; hand over None where the binary cannot."""
    events = sorted({_KICK, *(_TAKES[controller.model] for controller in guest.spec.controllers)})
    try:
        for event in events if trace is not None else ():
            guest.monitor.execute("trace-event-set-state", {"name": event, "enable": True})
    except MonitorError:
        trace = None
    yield trace
    for event in events if trace is not None else ():
        guest.monitor.execute("trace-event-set-state", {"name": event, "enable": False})


def _loads(disks: Sequence[GuestDisk]) -> Iterator[tuple[GuestDisk, int, int]]:
    """Yield disk, queue and vCPU so that each queue and each disk of a controller has its turn."""
    pairs = [(queue, cpus[0]) for queue, cpus in sorted(disks[0].queues.items()) if cpus] if disks else []
    for turn in range(max(len(pairs), len(disks)) if pairs else 0):
        yield disks[turn % len(disks)], *pairs[turn % len(pairs)]


def _watched_load(
    guest: Guest, disk: GuestDisk, vcpu: int, trace: Trace | None
) -> tuple[int, dict[str, int], Sequence[TraceLine] | None]:
    """Read from a disk on one vCPU; return the requests, the CPU time by thread, and what was traced."""
    if trace is not None:
        trace.forget()
    before = read_now(guest)
    guest.shell.run(_LOAD.format(vcpu=vcpu, disk=disk.name), timeout_s=_LOAD_S, check=False)
    after = read_now(guest)
    if trace is not None:
        trace.catch_up()
    tids = (guest.threads.pid, *sorted(guest.threads.iothreads))
    spent = {_name(guest.threads, tid): after.cpu_ns.get(tid, 0) - before.cpu_ns.get(tid, 0) for tid in tids}
    return after.requests - before.requests, spent, None if trace is None else tuple(trace.lines)


def _from_trace(
    lines: Sequence[TraceLine] | None, model: Device, threads: ThreadMap, requests: int
) -> tuple[dict[str, int] | None, str | None]:
    """Return the requests by the thread that took them, and the queue that was kicked for most of them."""
    if lines is None:
        return None, None
    takers = Counter(line.thread for line in lines if line.event == _TAKES[model])
    if not takers:
        return None, None  # another trace backend writes elsewhere
    most = takers.most_common(1)[0][0]
    kicks = Counter(
        (line.fields.get("vdev"), line.fields.get("n", 0))
        for line in lines
        if line.event == _KICK and line.thread == most
    )
    virtqueue = None
    if kicks:
        (_, number), count = kicks.most_common(1)[0]
        fixed = model.fixed_queues
        if 2 * count > requests:
            virtqueue = fixed[number] if number < len(fixed) else str(number - len(fixed))
    return {_name(threads, tid): count for tid, count in takers.items()}, virtqueue


def _name(threads: ThreadMap, tid: int) -> str:
    return MAIN_LOOP if tid == threads.pid else threads.names.get(tid, f"thread {tid}")
