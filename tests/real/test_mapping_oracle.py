"""The lab's verdict on a mapping against the binary's: the same devices, generated, are put to both.

One QEMU with the qtest accelerator, stopped and without a guest, is asked over QMP ``device_add``; an accepted device
is unplugged again, which a system reset completes where no guest does it. A few milliseconds a case. That the command
line says the same is shown with one case per message.

``LAB_ORACLE_CASES`` sets how many cases there are in all (about 140 by default).
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.command import run
from lab.errors import MonitorError
from lab.machine.mapping import PROPERTY, Device, Dialect, IOThreadMapping, MappingItem, MappingTypeError, difference
from lab.machine.mapping_probe import PROBE_STDIN, dialect_from_answer, probe_argv
from lab.machine.mapping_render import device_from_mapping
from lab.machine.mapping_rules import MappedDevice, check
from lab.machine.monitor import Monitor
from lab.machine.process import QemuProcess

pytestmark = pytest.mark.real

IOTHREADS = tuple(f"t{number}" for number in range(8))
DRIVE = "null0"
CASES = int(os.environ.get("LAB_ORACLE_CASES", "140"))


class Binary(Protocol):
    """What the fixture ``qemu_binary`` gives."""

    qemu: Path
    firmware: tuple[Path, ...]


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


NO_NOTIFIERS = "device is incompatible with iothread (transport does not support notifiers)"
PER_TEST = max(1, CASES // (len(Fault) + 2))
GENERATED = settings(max_examples=PER_TEST, deadline=None, database=None)


@dataclass(frozen=True)
class Case:
    """A device with its mapping."""

    device: MappedDevice
    mapping: IOThreadMapping | None


@dataclass
class Oracle:
    """A QEMU that is asked what it thinks of devices."""

    monitor: Monitor
    dialect: Dialect
    numbers: Iterator[int]

    def verdict(self, case: Case) -> str | None:
        """Return QEMU's error, or None; a device that was made has stored what was asked, and is removed."""
        arguments = device_from_mapping(case.mapping, case.device, f"dev{next(self.numbers)}", DRIVE)
        error = self.device_add(arguments)
        if error is None:
            path = f"/machine/peripheral/{arguments['id']}/virtio-backend"
            stored = self.monitor.execute("qom-get", {"path": path, "property": PROPERTY})
            self.remove(arguments["id"])
            assert difference(case.mapping, IOThreadMapping.from_json(stored)) is None
        return error

    def device_add(self, arguments: dict[str, Any]) -> str | None:
        """Return QEMU's error, or None."""
        # Removed disks let go of their block node a moment after DEVICE_DELETED.
        shared = {"share-rw": True} if arguments["driver"] == Device.VIRTIO_BLK.value else {}
        try:
            self.monitor.execute("device_add", arguments | shared)
        except MonitorError as err:
            return str(err.__cause__)  # QEMU's own words, without the lab's around them
        return None

    def remove(self, device_id: str) -> None:
        """Unplug a device without a guest's help."""
        self.monitor.execute("device_del", {"id": device_id})
        self.monitor.execute("system_reset")
        self.monitor.wait_event("DEVICE_DELETED", timeout_s=10, match=lambda data: data.get("device") == device_id)


@contextmanager
def started(binary: Binary, folder: Path) -> Iterator[Oracle]:
    """Start a QEMU with IOThreads, a block node, and a PCI bus that takes hotplug (machine pc: q35's root has none)."""
    ours, theirs = socket.socketpair()
    with ExitStack() as stack:
        stack.callback(theirs.close)
        qmp = ("-chardev", f"socket,id=qmp0,fd={theirs.fileno()}", "-mon", "chardev=qmp0,mode=control")
        process = QemuProcess((*base_argv(binary), *qmp), log=folder / "qemu.log", pass_fds=(theirs.fileno(),))
        stack.callback(process.stop)
        theirs.close()
        monitor = Monitor(ours, log=folder / "qmp.log")
        stack.callback(monitor.close)
        yield Oracle(monitor, asked_dialect(binary), count())


def asked_dialect(binary: Binary) -> Dialect:
    """Return the dialect the binary speaks, by the lab's probe."""
    answer = run(probe_argv(binary.qemu, binary.firmware), stdin=PROBE_STDIN, check=False)
    dialect = dialect_from_answer(answer.returncode, answer.stderr)
    assert dialect is not None
    return dialect


def base_argv(binary: Binary) -> tuple[str, ...]:
    """Return the command of a machine without a guest."""
    firmware = tuple(word for folder in binary.firmware for word in ("-L", str(folder)))
    iothreads = tuple(word for name in IOTHREADS for word in ("-object", f"iothread,id={name}"))
    machine = ("-accel", "qtest", "-S", "-machine", "pc", "-nodefaults", "-no-user-config", "-display", "none")
    return (str(binary.qemu), *firmware, *machine, *iothreads, "-blockdev", f"null-co,node-name={DRIVE}")


@pytest.fixture(scope="module")
def oracle(qemu_binary: Binary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """One QEMU for all cases."""
    with started(qemu_binary, tmp_path_factory.mktemp("oracle")) as running:
        yield running


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


def lab_verdict(case: Case) -> str | None:
    """Return the lab's first error, or None."""
    result = check(case.mapping, case.device, iothreads=IOTHREADS)
    assert result.ok == bool(result.queues)
    return result.errors[0] if result.errors else None


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
@GENERATED
@given(data=st.data())
def test_a_fault_is_reported_in_the_binarys_own_words(fault: Fault, oracle: Oracle, data: st.DataObject) -> None:
    """For every message QEMU has, the lab and the binary say the same sentence, and it is the one the fault means."""
    case = data.draw(faulty_cases(fault, oracle.dialect))
    answer = oracle.verdict(case)
    assert re.fullmatch(fault.value, answer or ""), answer
    assert lab_verdict(case) == answer


@GENERATED
@given(data=st.data())
def test_of_several_faults_the_lab_names_first_what_the_binary_names(oracle: Oracle, data: st.DataObject) -> None:
    """Random mappings, wrong in several ways, get the same verdict and the same first message from both."""
    case = data.draw(random_cases(oracle.dialect))
    assert lab_verdict(case) == oracle.verdict(case)


@GENERATED
@given(value=values_of_any_type())
def test_a_value_of_another_type_is_refused_in_the_binarys_own_words(oracle: Oracle, value: Any) -> None:
    """JSON that is no mapping is refused by the lab's reader with the sentence of QEMU's input visitor."""
    try:
        case = Case(MappedDevice(Device.VIRTIO_SCSI, 4, oracle.dialect), IOThreadMapping.from_json(value))
        expected = lab_verdict(case)
    except MappingTypeError as err:
        expected = err.message
    arguments = {"driver": "virtio-scsi-pci", "id": f"dev{next(oracle.numbers)}", "num_queues": 4, PROPERTY: value}
    answer = oracle.device_add(arguments)
    if answer is None:
        oracle.remove(arguments["id"])
    assert answer == expected


COMMAND_LINE_CASES: tuple[tuple[Fault, list[dict[str, Any]], dict[str, Any]], ...] = (
    (Fault.MISSING, [{"iothread": "t0", "vqs": [0]}], {}),
    (Fault.TWICE, [{"iothread": "t0", "vqs": [0, 1]}, {"iothread": "t1", "vqs": [1]}], {}),
    (Fault.BEYOND, [{"iothread": "t0", "vqs": [0, 4000]}], {}),
    (Fault.DUPLICATE, [{"iothread": "t0"}, {"iothread": "t0"}], {}),
    (Fault.MIXED, [{"iothread": "t0", "vqs": [0, 1]}, {"iothread": "t1"}], {}),
    (Fault.UNKNOWN, [{"iothread": "nope"}], {}),
    (Fault.BOTH, [{"iothread": "t0"}], {"iothread": "t0"}),
    (Fault.NO_IOEVENTFD, [{"iothread": "t0"}], {"ioeventfd": False}),
    (Fault.NO_SUCH_LINK, [{"iothread": "t0"}], {"iothread": "nope"}),
)


@pytest.mark.parametrize(
    ("fault", "value", "options"), COMMAND_LINE_CASES, ids=[case[0].name.lower() for case in COMMAND_LINE_CASES]
)
def test_the_command_line_says_what_the_monitor_says(
    fault: Fault, value: list[dict[str, Any]], options: dict[str, Any], oracle: Oracle, qemu_binary: Binary
) -> None:
    """A device refused on the command line gets the message that device_add gives, so one stands for the other."""
    arguments = {"driver": "virtio-scsi-pci", "id": "scsi0", "num_queues": 2, PROPERTY: value, **options}
    result = run((*base_argv(qemu_binary), "-device", json.dumps(arguments)), check=False)
    message = oracle.device_add(arguments)
    assert message is not None
    assert re.fullmatch(fault.value, message)
    assert result.returncode == 1
    assert result.stderr.rstrip("\n").endswith(f": {message}")


def test_the_message_about_the_transport_is_in_the_binary(qemu_binary: Binary) -> None:
    """The ninth message has the lab's wording in the binary.

    No device can be made to print it: virtio_bus_class_init of each transport (hw/virtio/virtio-pci.c, virtio-mmio.c,
    hw/s390x/virtio-ccw.c) sets both functions that the check looks for.
    """
    lab = check(IOThreadMapping.round_robin(("t0",)), MappedDevice(Device.VIRTIO_SCSI, 1, notifiers=False))
    assert lab.errors == (NO_NOTIFIERS,)
    assert NO_NOTIFIERS.encode() in qemu_binary.qemu.read_bytes()


def test_the_dialect_is_found_by_asking(oracle: Oracle) -> None:
    """The probe of a QEMU since 10.0 ends in the merged dialect."""
    assert oracle.dialect is Dialect.MERGED
