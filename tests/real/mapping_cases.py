"""Generated devices with mappings, right and wrong, for the test that holds the lab against a real binary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from hypothesis import strategies as st

from lab.machine.mapping import Device, Dialect, IOThreadMapping, MappingItem
from lab.machine.mapping_rules import MappedDevice

IOTHREADS = tuple(f"t{number}" for number in range(8))
DRIVE = "null0"


class Fault(Enum):
    """What is wrong with a generated case, and the message that the fault has to lead to."""

    NONE = ""
    MISSING = r"missing vq \d+ IOThread assignment in iothread-vq-mapping"
    TWICE = r'cannot assign vq \d+ to IOThread "t\d" because it is already assigned'
    BEYOND = r'vq index \d+ for IOThread "t\d" must be less than num_queues \d+ in iothread-vq-mapping'
    DUPLICATE = r'duplicate IOThread name "t\d" in iothread-vq-mapping'
    MIXED = r"either all items in iothread-vq-mapping must have vqs or none of them must have it"
    UNKNOWN = r'IOThread "nope" object does not exist'
    BOTH = r"iothread and iothread-vq-mapping properties cannot be set at the same time"
    NO_IOEVENTFD = r"ioeventfd is required for iothread"
    NO_SUCH_LINK = r"Device 'nope' not found"
    QUEUE_COUNT = r"Invalid number of queues \(= \d+\).*|num-queues property must be larger than 0"


@dataclass(frozen=True)
class Case:
    """A device with its mapping."""

    device: MappedDevice
    mapping: IOThreadMapping | None


@st.composite
def accepted_cases(draw: st.DrawFn, dialect: Dialect, *, explicit: bool | None = None, min_items: int = 1) -> Case:
    """Generate devices with a mapping that QEMU takes: 1 to 64 queues over 1 to 8 IOThreads."""
    device = MappedDevice(draw(st.sampled_from(Device)), draw(st.integers(min_items, 64)), dialect)
    mapped = device.mapped_queue_count
    names = draw(st.lists(st.sampled_from(IOTHREADS), min_size=min_items, max_size=min(8, mapped), unique=True))
    if not (draw(st.booleans()) if explicit is None else explicit):
        return Case(
            device, IOThreadMapping(tuple(MappingItem(name, draw(st.sampled_from((None, ())))) for name in names))
        )
    order = draw(st.permutations(range(mapped)))
    inner = st.lists(st.integers(1, max(1, mapped - 1)), min_size=len(names) - 1, max_size=len(names) - 1, unique=True)
    cuts = [0, *sorted(draw(inner)), mapped]
    items = (MappingItem(name, tuple(order[cuts[at] : cuts[at + 1]])) for at, name in enumerate(names))
    return Case(device, IOThreadMapping(tuple(items)))


def silent_cases(dialect: Dialect) -> st.SearchStrategy[Case]:
    """Generate what QEMU takes although no mapping is in force: none, an empty one, and the one-IOThread property."""
    devices = st.builds(MappedDevice, st.sampled_from(Device), st.integers(1, 64), st.just(dialect))
    unmapped = st.builds(Case, devices, st.sampled_from((None, IOThreadMapping())))
    changes = st.sampled_from(({}, {"iothread": "t0"}, {"ioeventfd": False}))
    return st.builds(lambda case, change: Case(replace(case.device, **change), case.mapping), unmapped, changes)


@st.composite
def faulty_cases(draw: st.DrawFn, fault: Fault, dialect: Dialect) -> Case:
    """Generate a case whose first fault, in the order in which QEMU looks, is the one asked for."""
    if fault is Fault.NONE:
        return draw(st.one_of(accepted_cases(dialect), silent_cases(dialect)))
    many = fault in (Fault.MISSING, Fault.MIXED)
    listed = True if fault in (Fault.MISSING, Fault.TWICE, Fault.BEYOND) else None
    case = draw(accepted_cases(dialect, explicit=listed, min_items=2 if many else 1))
    assert case.mapping is not None
    items = list(case.mapping.items)
    at = draw(st.integers(0, len(items) - 1))
    vqs = items[at].vqs or ()
    device = case.device
    match fault:
        case Fault.MISSING:
            del items[at]
        case Fault.TWICE:
            items[at] = replace(items[at], vqs=(*vqs, draw(st.integers(0, device.mapped_queue_count - 1))))
        case Fault.BEYOND:
            items[at] = replace(items[at], vqs=(*vqs, draw(st.integers(device.mapped_queue_count, 65535))))
        case Fault.DUPLICATE:
            items.insert(
                draw(st.integers(at + 1, len(items))), replace(items[at], vqs=draw(st.sampled_from((None, vqs))))
            )
        case Fault.MIXED:
            items[at] = replace(items[at], vqs=draw(st.sampled_from((None, ()))) if vqs else (0,))
        case Fault.UNKNOWN:
            items[at] = replace(items[at], iothread="nope")
        case Fault.BOTH:
            device = replace(device, iothread="t0", ioeventfd=draw(st.booleans()))
        case Fault.NO_IOEVENTFD:
            device = replace(device, ioeventfd=False)
        case Fault.NO_SUCH_LINK:
            device = replace(device, iothread="nope", ioeventfd=draw(st.booleans()))
        case Fault.QUEUE_COUNT:
            too_many = st.integers(1023, 65536) if device.model is Device.VIRTIO_SCSI else st.just(0)
            device = replace(device, num_queues=draw(st.one_of(st.just(0), too_many)))
    return Case(device, IOThreadMapping(tuple(items)))


@st.composite
def random_cases(draw: st.DrawFn, dialect: Dialect) -> Case:
    """Generate anything of the right type, most of it wrong in several ways at once."""
    count_of_queues = draw(st.integers(1, 6))
    names = st.sampled_from(("t0", "t1", "t2", "nope", "", DRIVE))
    vqs = st.one_of(st.none(), st.lists(st.integers(0, count_of_queues + 1), max_size=4).map(tuple))
    items = draw(st.lists(st.builds(MappingItem, names, vqs), max_size=4).map(tuple))
    iothread = draw(st.sampled_from((None, None, None, "t0", "nope")))
    model, ioeventfd = draw(st.sampled_from(Device)), draw(st.sampled_from((True, True, True, False)))
    return Case(MappedDevice(model, count_of_queues, dialect, iothread, ioeventfd), IOThreadMapping(items))


def values_of_any_type() -> st.SearchStrategy[Any]:
    """Generate values of the property that look like a mapping and mostly are none."""
    text = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=5)
    numbers = st.one_of(
        st.integers(-3, 9), st.sampled_from((65535, 65536, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**400))
    )
    scalars = st.one_of(st.none(), st.booleans(), numbers, text, st.floats(0, 9))
    indices = st.one_of(scalars, st.lists(st.one_of(numbers, scalars), max_size=3))
    item = st.fixed_dictionaries(
        {}, optional={"iothread": st.one_of(st.sampled_from(IOTHREADS), scalars), "vqs": indices}
    ).flatmap(lambda known: st.one_of(st.just(known), st.builds(lambda key: {**known, key: 1}, text)))
    return st.one_of(scalars, item, st.lists(st.one_of(item, item, item, scalars), max_size=3))
