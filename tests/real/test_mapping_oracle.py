"""The lab's verdict on a mapping against the binary's: the same devices, generated, are put to both.

One QEMU with the qtest accelerator, stopped and without a guest, is asked over QMP ``device_add``; an accepted device
is unplugged again, which a system reset completes where no guest does it. A refusal takes some 60 ms, because QEMU
waits for its RCU callbacks after one, all else a few milliseconds. That the command line says the same is shown with
one case per message.

``LAB_ORACLE_CASES`` sets how many cases are generated in all.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.build.arms import Arms
from lab.build.build import Build
from lab.command import run
from lab.errors import MonitorError
from lab.machine.capabilities_probe import capabilities_of
from lab.machine.mapping import PROPERTY, Device, Dialect, IOThreadMapping, MappingTypeError, difference
from lab.machine.mapping_render import device_from_mapping
from lab.machine.mapping_rules import MappedDevice, check
from lab.machine.monitor import Monitor
from lab.machine.process import QemuProcess
from tests.real.mapping_cases import (
    DRIVE,
    IOTHREADS,
    Case,
    Fault,
    faulty_cases,
    random_cases,
    values_of_any_type,
)

pytestmark = pytest.mark.real

CASES = int(os.environ.get("LAB_ORACLE_CASES", "140"))
NO_NOTIFIERS = "device is incompatible with iothread (transport does not support notifiers)"
FUNCTIONS = ("set_guest_notifiers", "ioeventfd_assign")
TRANSPORTS = {"virtio-pci-bus": "hw/virtio/virtio-pci.c", "virtio-mmio-bus": "hw/virtio/virtio-mmio.c"}
"""Bus type to the file of its class."""
PER_TEST = max(1, CASES // (len(Fault) + 2))
GENERATED = settings(max_examples=PER_TEST, deadline=None, database=None)


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
def started(binary: Build, folder: Path) -> Iterator[Oracle]:
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


def asked_dialect(binary: Build) -> Dialect:
    """Return the dialect the binary speaks, by the lab's probe."""
    dialect = capabilities_of(binary.qemu).scsi_dialect
    assert dialect is not None
    return dialect


def base_argv(binary: Build) -> tuple[str, ...]:
    """Return the command of a machine without a guest."""
    firmware = tuple(word for folder in binary.firmware for word in ("-L", str(folder)))
    iothreads = tuple(word for name in IOTHREADS for word in ("-object", f"iothread,id={name}"))
    machine = ("-accel", "qtest", "-S", "-machine", "pc", "-nodefaults", "-no-user-config", "-display", "none")
    return (str(binary.qemu), *firmware, *machine, *iothreads, "-blockdev", f"null-co,node-name={DRIVE}")


@pytest.fixture(scope="module")
def oracle(qemu_binary: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """One QEMU for all cases."""
    with started(qemu_binary, tmp_path_factory.mktemp("oracle")) as running:
        yield running


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
    fault: Fault, value: list[dict[str, Any]], options: dict[str, Any], oracle: Oracle, qemu_binary: Build
) -> None:
    """A device refused on the command line gets the message that device_add gives, so one stands for the other."""
    arguments = {"driver": "virtio-scsi-pci", "id": "scsi0", "num_queues": 2, PROPERTY: value, **options}
    result = run((*base_argv(qemu_binary), "-device", json.dumps(arguments)), timeout_s=20, check=False)
    message = oracle.device_add(arguments)
    assert message is not None
    assert re.fullmatch(fault.value, message)
    assert result.returncode == 1
    assert result.stderr.rstrip("\n").endswith(f": {message}")


def test_no_device_of_this_binary_can_be_made_to_give_the_ninth_message(
    oracle: Oracle, qemu_binary: Build, arms: Arms
) -> None:
    """It has the lab's wording in the binary, and needs a transport without notifiers, of which the binary has none.

    The binary itself says which transports it has; the source it was built from says that the class of each sets both
    functions whose absence the message is about.
    """
    lab = check(IOThreadMapping.round_robin(("t0",)), MappedDevice(Device.VIRTIO_SCSI, 1, notifiers=False))
    assert lab.errors == (NO_NOTIFIERS,)
    assert NO_NOTIFIERS.encode() in qemu_binary.qemu.read_bytes()
    types = oracle.monitor.execute("qom-list-types", {"implements": "virtio-bus", "abstract": False})
    buses = {item["name"] for item in types}
    assert buses and buses <= set(TRANSPORTS)
    source = arms.source
    for asks in ("hw/scsi/virtio-scsi-dataplane.c", "hw/block/virtio-blk.c"):
        text = source.repository.text(source.tree_id, asks)
        assert text is not None
        (condition,) = re.findall(r"if \((.*)\) \{\s+error_setg\(errp,\s+\"device is incompatible with iothread", text)
        assert set(re.findall(r"\w+", condition)) == {"k", *FUNCTIONS}
    for path in (TRANSPORTS[bus] for bus in buses):
        text = source.repository.text(source.tree_id, path)
        assert text is not None
        assert all(re.search(rf"\bk->{function} = \w+;", text) for function in FUNCTIONS), path


def test_the_dialect_is_found_by_asking(oracle: Oracle) -> None:
    """The probe of a QEMU since 10.0 ends in the merged dialect."""
    assert oracle.dialect is Dialect.MERGED
