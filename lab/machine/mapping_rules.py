"""What QEMU says to a mapping, before it is asked: a mapping and its device in, errors and warnings out.

Errors are QEMU's own sentences in the order in which QEMU comes upon them, so that the first is the one the binary
prints: ``virtio_scsi_dataplane_setup()`` in hw/scsi/virtio-scsi-dataplane.c, ``virtio_blk_vq_aio_context_init()`` in
hw/block/virtio-blk.c, ``iothread_vq_mapping_validate()`` in hw/virtio/iothread-vq-mapping.c. QEMU stops at the first;
here the others follow. Warnings are about what QEMU takes without a word although nobody can have meant it.
tests/real/test_mapping_oracle.py holds the errors against a real binary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from lab.machine.mapping import MAIN_LOOP, Device, Dialect, IOThreadMapping, iothreads_named
from lab.machine.mapping_placement import Placement, sharing
from lab.machine.mapping_short import is_iothread_name

VIRTQUEUE_LIMIT = 1024
"""``VIRTIO_QUEUE_MAX`` in QEMU's include/hw/virtio/virtio.h."""


@dataclass(frozen=True)
class MappedDevice:
    """What of a device decides about its mapping.

    :param num_queues: request virtqueues; for virtio-scsi the command virtqueues only.
    :param iothread: value of the ``iothread`` property, None where it is not set.
    :param ioeventfd: value of the ``ioeventfd`` property, on by default.
    :param notifiers: the transport has guest and host notifiers. PCI, MMIO and CCW all have, so no device of QEMU
        10.0 can be made to print the message about it.
    """

    model: Device
    num_queues: int
    dialect: Dialect = Dialect.MERGED
    iothread: str | None = None
    ioeventfd: bool = True
    notifiers: bool = True

    @property
    def mapped_queue_count(self) -> int:
        """How many virtqueues a mapping has to assign."""
        return self.dialect.mapped_queue_count(self.model, self.num_queues)


@dataclass(frozen=True)
class CheckResult:
    """What there is to say about a mapping.

    :param errors: QEMU's sentences; the first is what the binary prints. Empty: QEMU makes the device.
    :param warnings: what QEMU takes in silence.
    :param queues: queue name to IOThread or ``"main loop"``; empty where there are errors, for then nothing is served.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    queues: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell whether QEMU accepts the mapping."""
        return not self.errors


def check(
    mapping: IOThreadMapping | None,
    device: MappedDevice,
    *,
    iothreads: Collection[str] | None = None,
    vcpus: int | None = None,
    placement: Placement | None = None,
) -> CheckResult:
    """Say what QEMU does with a mapping.

    :param mapping: None where the property is not set.
    :param iothreads: the IOThread objects there are; None takes those that the mapping and the device name, but for
        names that QEMU gives to no object.
    :param vcpus: of the guest; None leaves out what is said about them.
    :param placement: which CPUs the threads may use; None leaves out what is said about them.
    """
    asked = mapping or IOThreadMapping()
    known = tuple(iothreads) if iothreads is not None else _possible(iothreads_named(mapping, device.iothread))
    errors = tuple(_errors(asked, device, frozenset(known)))
    if errors:
        return CheckResult(errors)
    queues = _assignment(asked, device)
    warnings = (
        *_form_warnings(mapping),
        *_thread_warnings(asked, device, queues, known),
        *_vcpu_warnings(device, vcpus),
        *sharing(queues, device.num_queues, vcpus, placement),
    )
    return CheckResult((), warnings, {name: iothread or MAIN_LOOP for name, iothread in queues.items()})


def _possible(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if is_iothread_name(name))


def _assignment(mapping: IOThreadMapping, device: MappedDevice) -> dict[str, str | None]:
    queues = mapping.queue_assignment(device.num_queues, device.dialect, device.model)
    if device.iothread is None:
        return queues
    in_main_loop = device.model.fixed_queues if device.dialect is Dialect.MERGED else ("ctrl",)
    return {name: None if name in in_main_loop else device.iothread for name in queues}


def _errors(mapping: IOThreadMapping, device: MappedDevice, known: Collection[str]) -> Iterator[str]:
    if device.iothread is not None and device.iothread not in known:
        yield f"Device '{device.iothread}' not found"  # the link is resolved before the device is realized
        return
    count_error = _queue_count_error(device)
    if count_error is not None:
        yield count_error  # everything below counts queues
        return
    if device.iothread is not None and mapping.items:
        yield "iothread and iothread-vq-mapping properties cannot be set at the same time"
    if device.iothread is not None or mapping.items:
        if not device.notifiers:
            yield "device is incompatible with iothread (transport does not support notifiers)"
        elif not device.ioeventfd:
            yield "ioeventfd is required for iothread"
    yield from _list_errors(mapping, device.mapped_queue_count, known)


def _queue_count_error(device: MappedDevice) -> str | None:
    if device.model is Device.VIRTIO_SCSI:
        limit = VIRTQUEUE_LIMIT - len(device.model.fixed_queues)
        if 0 < device.num_queues <= limit:
            return None
        return f"Invalid number of queues (= {device.num_queues}), must be a positive integer less than {limit}."
    if device.num_queues > VIRTQUEUE_LIMIT:
        return f"QEMU aborts: num-queues {device.num_queues} is more than the {VIRTQUEUE_LIMIT} a device can have"
    return None if device.num_queues > 0 else "num-queues property must be larger than 0"


def _list_errors(mapping: IOThreadMapping, num_queues: int, known: Collection[str]) -> Iterator[str]:
    seen: set[str] = set()
    assigned: set[int] = set()
    for item in mapping.items:
        name = item.iothread
        if name not in known:
            yield f'IOThread "{name}" object does not exist'
        elif name in seen:
            yield f'duplicate IOThread name "{name}" in iothread-vq-mapping'
        seen.add(name)
        if bool(item.vqs) != bool(mapping.items[0].vqs):
            yield "either all items in iothread-vq-mapping must have vqs or none of them must have it"
        for vq in item.vqs or ():
            if vq >= num_queues:
                yield (
                    f'vq index {vq} for IOThread "{name}" must be less than num_queues {num_queues} '
                    "in iothread-vq-mapping"
                )
            elif vq in assigned:
                yield f'cannot assign vq {vq} to IOThread "{name}" because it is already assigned'
            else:
                assigned.add(vq)
    if mapping.items and mapping.items[0].vqs:
        for vq in sorted(set(range(num_queues)) - assigned):
            yield f"missing vq {vq} IOThread assignment in iothread-vq-mapping"


def _form_warnings(mapping: IOThreadMapping | None) -> Iterator[str]:
    if mapping is not None and not mapping.items:
        yield "the mapping is an empty list: QEMU takes it as not set, so it gives no queue an IOThread"
    for item in mapping.items if mapping is not None else ():
        if item.vqs == ():
            yield f'"vqs": [] of IOThread "{item.iothread}" means round robin, not "no queue": leave vqs out to say so'


def _thread_warnings(
    mapping: IOThreadMapping, device: MappedDevice, queues: dict[str, str | None], known: Collection[str]
) -> Iterator[str]:
    serving = set(queues.values())
    for name in known:
        if name not in serving:
            yield f'IOThread "{name}" stays idle: it serves no queue of this device'
    ctrl = _asked_for_ctrl(mapping, device)
    if ctrl is not None:
        yield f'assigning ctrl to IOThread "{ctrl}" has no effect: the ctrl queue always runs in the main loop'
    event = queues.get("event")
    if event is not None and event in [iothread for name, iothread in queues.items() if name.isdecimal()]:
        yield (
            f'the event queue shares IOThread "{event}" with command queues: it is never polled, which switches '
            "polling off for everything in that IOThread; give it an IOThread of its own"
        )


def _asked_for_ctrl(mapping: IOThreadMapping, device: MappedDevice) -> str | None:
    """Return the IOThread that an explicit mapping of all queues names for ctrl; a round robin asks for nothing."""
    if mapping.is_round_robin or not device.dialect.first_command_index(device.model):
        return None
    index = device.dialect.index_from_queue("ctrl", device.model)
    return next(item.iothread for item in mapping.items if index in (item.vqs or ()))


def _vcpu_warnings(device: MappedDevice, vcpus: int | None) -> Iterator[str]:
    if vcpus is not None and device.num_queues > vcpus:
        yield (
            f"{device.num_queues} queues but {vcpus} vCPUs: a Linux guest uses no more queues than it has CPUs, "
            f"so queues from {vcpus} up stay empty"
        )
