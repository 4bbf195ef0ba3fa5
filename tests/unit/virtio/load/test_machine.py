import itertools
import json
from pathlib import Path

import pytest

from lab.errors import BootError, InputError
from lab.machine.mapping import Device, IOThreadMapping, MappingItem
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, NullBackend
from lab.testing import FakeMonitor
from lab.virtio.bare_machine import Wiring
from lab.virtio.load.machine import _smallest_disk_bytes, argv_from_machine, the_controller

WIRING = Wiring(memory=5, qtest=6, monitor=7, firmware=Path("halt.bin"))


def spec(*controllers: Controller) -> MachineSpec:
    """Return a machine with two IOThreads."""
    threads = (IOThread("iothread0", poll_max_ns=0), IOThread("iothread1"))
    return MachineSpec("qtest", 1, 256, threads, controllers or (scsi(),))


def scsi(name: str = "scsi0", model: Device = Device.VIRTIO_SCSI) -> Controller:
    """Return a controller with a disk, its queues spread over two IOThreads."""
    mapping = IOThreadMapping((MappingItem("iothread0"), MappingItem("iothread1")))
    return Controller(name, model, 4, (Disk(f"{name}-disk", NullBackend()),), mapping=mapping)


def words_after(argv: tuple[str, ...], option: str) -> list[dict[str, object]]:
    """Return the JSON objects that follow an option."""
    pairs = itertools.pairwise(argv)
    return [json.loads(word) for name, word in pairs if name == option and word.startswith("{")]


def test_storage_is_what_a_guest_would_have() -> None:
    """IOThreads, what is behind the disk, controller with its mapping, disk: in JSON and in this order."""
    argv = argv_from_machine(Path("/qemu"), spec(), 32, WIRING)
    threads = words_after(argv, "-object")
    assert threads == [
        {"qom-type": "iothread", "id": "iothread0", "poll-max-ns": 0},
        {"qom-type": "iothread", "id": "iothread1"},
    ]
    (node,) = words_after(argv, "-blockdev")
    assert (node["driver"], node["node-name"]) == ("null-co", "scsi0-disk")
    controller, disk = words_after(argv, "-device")
    assert controller["driver"] == "virtio-scsi-pci"
    assert controller["iothread-vq-mapping"] == [{"iothread": "iothread0"}, {"iothread": "iothread1"}]
    assert (controller["num_queues"], controller["disable-legacy"]) == (4, "on")
    assert (disk["driver"], disk["drive"]) == ("scsi-hd", "scsi0-disk")


def test_the_rest_is_as_small_as_it_gets() -> None:
    """The memory is ours, the vCPU idles under qtest, and no output of the protocol is printed."""
    argv = argv_from_machine(Path("/qemu"), spec(), 32, WIRING)
    text = " ".join(argv)
    assert argv[0] == "/qemu"
    assert "-accel qtest" in text and "-qtest-log none" in text
    assert "size=32M,mem-path=/proc/self/fd/5,share=on" in text
    assert "id=qtest,fd=6" in text and "id=qmp,fd=7" in text and "-bios halt.bin" in text


def test_a_wrapper_stands_before_the_command() -> None:
    """A program that runs QEMU under its eyes."""
    argv = argv_from_machine(Path("/qemu"), spec(), 32, WIRING, ("valgrind", "--tool=callgrind"))
    assert argv[:3] == ("valgrind", "--tool=callgrind", "/qemu")


@pytest.mark.parametrize(
    "controllers", [(scsi("scsi0"), scsi("scsi1")), (scsi("blk0", Device.VIRTIO_BLK),)], ids=["two", "virtio-blk"]
)
def test_what_the_drivers_cannot_drive(controllers: tuple[Controller, ...]) -> None:
    """One virtio-scsi controller, no less and no more."""
    with pytest.raises(InputError, match="one virtio-scsi controller"):
        the_controller(spec(*controllers))


@pytest.mark.parametrize("nodes", [[], [{"node-name": "scsi0-disk", "image": {"virtual-size": None}}]])
def test_a_disk_of_unknown_size(nodes: list[object]) -> None:
    """Addresses beyond its end would be refused one by one."""
    with pytest.raises(BootError, match="does not say how large"):
        _smallest_disk_bytes(FakeMonitor({"query-named-block-nodes": nodes}), spec())


def test_the_smallest_disk_counts() -> None:
    """Every address must be on every disk; nodes below the disk do not matter."""
    nodes = [
        {"node-name": "scsi0-disk", "image": {"virtual-size": 1 << 30}},
        {"node-name": "#block1", "image": {"virtual-size": 512}},
    ]
    assert _smallest_disk_bytes(FakeMonitor({"query-named-block-nodes": nodes}), spec()) == 1 << 30
