from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.machine.command_line import GuestBoot, Wiring, argv_from_spec
from lab.machine.mapping import PROPERTY, Device, Dialect, IOThreadMapping
from lab.machine.needs import host_refusals, loads_from_argv, missing_from
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, NullBackend
from tests.unit.machine.made_up_qemu import CAPABILITIES, OLD

MAPPING = IOThreadMapping.explicit({"t0": (0, 1), "t1": (2, 3)})


def argv_of(mapping: IOThreadMapping | None = MAPPING) -> tuple[str, ...]:
    """Return the command line of a virtio-scsi machine as the lab writes it."""
    disk = Disk("disk0", NullBackend())
    controller = Controller("scsi0", Device.VIRTIO_SCSI, 4, (disk,), mapping=mapping)
    spec = MachineSpec("tcg", 4, 512, (IOThread("t0"), IOThread("t1")), (controller,))
    boot = GuestBoot(Path("vmlinux"), Path("initrd"), "-device nothing")
    return argv_from_spec(Path("qemu"), (Path("rom"),), spec, boot, Wiring.for_people(2222))


def words(option: str, **value: Any) -> tuple[str, str]:
    """Return an option in JSON."""
    return option, json.dumps({name.replace("_", "-"): item for name, item in value.items()})


def test_a_command_line_says_what_it_loads() -> None:
    """The words of lab/series/scope.toml."""
    assert {
        "accel:tcg",
        "machine:q35",
        "device:virtio-scsi-pci",
        "device:scsi-hd",
        "property:iothread-vq-mapping",
        "blockdev:null-co",
        "object:iothread",
        "netdev:user",
    } <= loads_from_argv(argv_of())
    assert "property:iothread-vq-mapping" not in loads_from_argv(argv_of(None))


def test_each_layer_of_a_disk_is_loaded() -> None:
    """And the aio of the file at the bottom, which has a default."""
    file = {"driver": "file", "filename": "x"}
    deep = words("-blockdev", driver="quorum", node_name="q", children=[{"driver": "raw", "file": file}])
    assert loads_from_argv(deep) == {"blockdev:quorum", "blockdev:raw", "blockdev:file", "aio:threads"}
    other = words("-blockdev", driver="file", filename="x", aio="io_uring")
    assert loads_from_argv(other) == {"blockdev:file", "aio:io_uring"}


def test_a_machine_that_the_binary_can_be_lacks_nothing() -> None:
    """Neither it nor the host refuses anything."""
    assert missing_from(CAPABILITIES, argv_of()) == ()
    assert host_refusals(CAPABILITIES, argv_of()) == ()


def test_an_old_binary_lacks_the_mapping() -> None:
    """Of the device that would have one."""
    assert missing_from(OLD, argv_of()) == ("property iothread-vq-mapping of virtio-scsi-pci",)
    assert missing_from(OLD, argv_of(None)) == ()


@pytest.mark.parametrize(
    ("argv", "lacking"),
    [
        (("-machine", "microvm,rtc=on"), "machine type microvm"),
        (("-machine", "type=microvm"), "machine type microvm"),
        (("-accel", "hvf"), "accelerator hvf"),
        (("-cpu", "Turin,+x2apic"), "CPU model Turin"),
        (words("-device", driver="nvme", id="n"), "device nvme"),
        (words("-device", driver="scsi-hd", id="d", bus="b", dirve="x"), "property dirve of scsi-hd"),
        (words("-blockdev", driver="ssh", node_name="d"), "block driver ssh"),
        (words("-blockdev", driver="raw", node_name="d", file={"driver": "nbd"}), "block driver nbd"),
        (words("-blockdev", driver="null-co", node_name="d", latency=1), "option latency of null-co (-blockdev d)"),
        (words("-blockdev", driver="raw", file={"driver": "file", "x": 1}), "option x of file (-blockdev ?)"),
        (words("-blockdev", driver="raw", node_name="d", cache={"drict": True}), "option drict (-blockdev d)"),
        (
            words("-blockdev", driver="file", node_name="d", filename="x", aio="magic"),
            "'magic' among threads, native, io_uring (-blockdev d)",
        ),
        (words("-object", qom_type="iothread", id="t", poll_min=1), "option poll-min of iothread (-object t)"),
        (words("-object", qom_type="colo", id="t"), "'colo' among iothread (-object t)"),
        (words("-netdev", type="user", id="n", hostfwd=[{"string": "x"}]), "option string (-netdev n)"),
    ],
)
def test_what_is_missing_is_named(argv: tuple[str, ...], lacking: str) -> None:
    """Whatever a specification learns to say is checked, without a list of it."""
    assert missing_from(CAPABILITIES, argv) == (lacking,)


def test_what_no_list_speaks_of_is_let_through() -> None:
    """A reference to another node, a device without a list of properties, an option in key=value form."""
    argv = (*words("-blockdev", driver="raw", node_name="r", file="other"), *words("-device", driver="vga", x=1))
    assert missing_from(CAPABILITIES, (*argv, "-device", "nvme,serial=x", "-append", "-object")) == ()


def test_an_option_that_was_not_compiled_in_is_missing() -> None:
    """The schema has it, a try does not."""
    argv = words("-blockdev", driver="file", filename="x", aio="native")
    lacking = {**CAPABILITIES.tried, "aio=native": "aio=native was specified, but is not supported in this build."}
    assert missing_from(replace(CAPABILITIES, tried=lacking), argv) == ("aio=native",)
    assert host_refusals(replace(CAPABILITIES, tried=lacking), argv) == ()


def test_an_option_that_the_host_refuses_is_not_the_builds_fault() -> None:
    """Another host may allow it."""
    argv = words("-blockdev", driver="file", filename="x", aio="io_uring")
    refusing = replace(CAPABILITIES, tried={**CAPABILITIES.tried, "aio=io_uring": "Operation not permitted"})
    assert missing_from(refusing, argv) == ()
    assert host_refusals(refusing, argv) == ("aio=io_uring: Operation not permitted",)
    assert host_refusals(refusing, argv_of()) == ()


def test_binding_to_numa_nodes_is_tried() -> None:
    """A build without libnuma has the option and refuses it."""
    bound = ("-object", json.dumps({"qom-type": "iothread", "id": "m", "host-nodes": [0]}))
    lacking = {**CAPABILITIES.tried, "host-nodes": "NUMA node binding are not supported by this QEMU"}
    assert "host-nodes" in missing_from(replace(CAPABILITIES, tried=lacking), bound)


def test_a_mapping_of_the_other_dialect_is_missing() -> None:
    """The first dialect counts ctrl and event; a round robin says no numbers, so both take it."""
    speaks_first = replace(CAPABILITIES, scsi_dialect=Dialect.ALL_QUEUES)
    (sentence,) = missing_from(speaks_first, argv_of())
    assert "in which 6 virtqueues are assigned, and scsi0 assigns 4" in sentence
    assert missing_from(speaks_first, argv_of(IOThreadMapping.round_robin(("t0", "t1")))) == ()
    all_six = words("-device", driver="virtio-scsi-pci", **{PROPERTY: [{"iothread": "t0", "vqs": list(range(6))}]})
    device = json.loads(all_six[1]) | {"num_queues": 4}
    assert missing_from(speaks_first, ("-device", json.dumps(device))) == ()
