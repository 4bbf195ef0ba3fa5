"""Machines against a real binary, without a guest: QEMU takes the words, and says back what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.build.build import Build
from lab.command import run
from lab.image.guest_image import GuestImage
from lab.machine.backend import (
    Aio,
    Backend,
    Blkdebug,
    Cache,
    FileBackend,
    Filter,
    ImageFormat,
    NbdBackend,
    NullBackend,
    Throttle,
)
from lab.machine.blockdev import blockdev_from_backend, throttle_groups
from lab.machine.guest import started
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.monitor import Monitor
from lab.machine.spec import Controller, Disk, GuestMemory, IOThread, MachineSpec, Topology
from lab.virtio.hold_server import HoldServer
from tests.real.conftest import boot_of

MIB = 1 << 20


class Binary:
    """Starts stopped machines without a guest."""

    def __init__(self, build: Build, image: GuestImage, folder: Path) -> None:
        self.build, self.image, self.folder = build, image, folder

    @contextmanager
    def started(self, spec: MachineSpec) -> Iterator[Monitor]:
        """Start a machine, its CPUs stopped."""
        evidence = self.folder / "evidence"
        evidence.mkdir(exist_ok=True)
        paths = (self.build.qemu, self.build.firmware)
        with started(*paths, spec, boot_of(self.image), evidence=evidence, words=("-S",)) as (_, monitor):
            yield monitor


@pytest.fixture
def binary(qemu_binary: Build, guest_image: GuestImage, tmp_path: Path) -> Binary:
    """The baseline."""
    return Binary(qemu_binary, guest_image, tmp_path)


def machine(*controllers: Controller, iothreads: tuple[IOThread, ...] = ()) -> MachineSpec:
    """A small machine with the accelerator that runs no guest."""
    return MachineSpec("qtest", 4, 256, iothreads, controllers)


def get(monitor: Monitor, path: str, name: str) -> Any:
    """Read a property back."""
    return monitor.execute("qom-get", {"path": path, "property": name})


def test_vcpus_memory_and_polling_are_what_was_asked_for(binary: Binary) -> None:
    """Topology, memory backend, and every parameter of an IOThread, in an older machine type."""
    asked = replace(
        machine(iothreads=(IOThread("t0", poll_max_ns=1000, poll_grow=3, poll_shrink=4, aio_max_batch=5),)),
        machine_type="pc",
        topology=Topology(sockets=1, cores=2, threads=2),
        memory=GuestMemory(prealloc=True, share=True),
    )
    with binary.started(asked) as monitor:
        smp = get(monitor, "/machine", "smp")
        assert (smp["cpus"], smp["sockets"], smp["cores"], smp["threads"]) == (4, 1, 2, 2)
        memory = monitor.execute("query-memdev")[0]
        assert (memory["id"], memory["size"], memory["share"], memory["prealloc"]) == ("memory0", 256 * MIB, True, True)
        thread = monitor.execute("query-iothreads")[0]
        polling = [thread[name] for name in ("poll-max-ns", "poll-grow", "poll-shrink", "aio-max-batch")]
        assert polling == [1000, 3, 4, 5]
        assert str(get(monitor, "/machine", "type")).startswith("pc-i440fx-")


def test_a_folder_for_memory_is_used(binary: Binary) -> None:
    """/dev/shm is a memory file system on every Linux."""
    asked = replace(machine(), memory=GuestMemory(folder=Path("/dev/shm")))
    with binary.started(asked) as monitor:
        assert get(monitor, "/objects/memory0", "mem-path") == "/dev/shm"


def test_controllers_luns_queues_and_threads_are_what_was_asked_for(binary: Binary) -> None:
    """Two virtio-scsi controllers, one with two LUNs, and a virtio-blk disk, each with its own threads."""
    threads = (IOThread("t0"), IOThread("t1"))
    disks = tuple(Disk(f"disk{number}", NullBackend(size_bytes=(number + 1) * MIB)) for number in range(4))
    explicit = IOThreadMapping.from_short("t0:0,t1:1")
    controllers = (
        Controller("scsi0", Device.VIRTIO_SCSI, 2, disks[:2], mapping=explicit, queue_size=64),
        Controller("scsi1", Device.VIRTIO_SCSI, 3, disks[2:3], iothread="t1"),
        Controller("blk0", Device.VIRTIO_BLK, 4, disks[3:], queue_size=128),
    )
    with binary.started(machine(*controllers, iothreads=threads)) as monitor:
        scsi0, scsi1, blk0 = (f"/machine/peripheral/{c.id}/virtio-backend" for c in controllers)
        assert (get(monitor, scsi0, "num_queues"), get(monitor, scsi0, "virtqueue_size")) == (2, 64)
        assert get(monitor, scsi0, "iothread-vq-mapping") == explicit.to_json()
        assert (get(monitor, scsi1, "num_queues"), get(monitor, scsi1, "iothread")) == (3, "/objects/t1")
        assert (get(monitor, blk0, "num-queues"), get(monitor, blk0, "queue-size")) == (4, 128)
        lun = [get(monitor, f"/machine/peripheral/disk{number}-dev", "lun") for number in (0, 1, 2)]
        assert lun == [0, 1, 0]
        sizes = {node["node-name"]: node["image"]["virtual-size"] for node in nodes(monitor)}
        assert sizes == {f"disk{number}": (number + 1) * MIB for number in range(4)}


def nodes(monitor: Monitor) -> list[dict[str, Any]]:
    """Every named block node."""
    found = monitor.execute("query-named-block-nodes")
    assert isinstance(found, list)
    return [node for node in found if not node["node-name"].startswith("#")]


@pytest.mark.parametrize("model", Device)
def test_every_cache_mode_reaches_node_and_device(binary: Binary, model: Device) -> None:
    """Both halves: cache.direct and cache.no-flush of the node, write-cache of the device."""
    controllers = []
    for number, cache in enumerate(Cache):
        path = binary.folder / f"{cache}.raw"
        path.write_bytes(bytes(MIB))
        disk = Disk(f"disk{number}", FileBackend(path, cache=cache))
        controllers.append(Controller(f"c{number}", model, 1, (disk,)))
    with binary.started(machine(*controllers)) as monitor:
        found = {node["node-name"]: node for node in nodes(monitor)}
        for number, cache in enumerate(Cache):
            stored = found[f"disk{number}"]["cache"]
            assert (stored["direct"], stored["no-flush"]) == (cache.direct, cache.no_flush)
            name = f"c{number}/virtio-backend" if model is Device.VIRTIO_BLK else f"disk{number}-dev"
            said = get(monitor, f"/machine/peripheral/{name}", "write-cache")
            assert said == ("on" if cache.write_cache else "off")


def test_every_driver_filter_and_aio_can_be_opened(binary: Binary) -> None:
    """Raw and qcow2 with each aio, null-aio, and both filters one on the other, through QMP into one QEMU."""
    raw, qcow2 = binary.folder / "a.raw", binary.folder / "a.qcow2"
    raw.write_bytes(bytes(MIB))
    run((binary.build.qemu_img, "create", "-q", "-f", "qcow2", qcow2, "1M"))
    filters: tuple[Filter, ...] = (Blkdebug(align_bytes=4096, max_transfer_bytes=65536), Throttle(1000, 2 * MIB))
    backends: dict[str, tuple[Backend, tuple[Filter, ...]]] = {
        "null": (NullBackend("null-aio", MIB, latency_ns=5, read_zeroes=True), filters),
        "filtered": (FileBackend(raw, read_only=True), filters),
    }
    for aio in Aio:
        backends[f"raw-{aio.name.lower()}"] = (FileBackend(raw, aio=aio, read_only=True), ())
        backends[f"qcow2-{aio.name.lower()}"] = (FileBackend(qcow2, ImageFormat.QCOW2, aio, read_only=True), ())
    with binary.started(machine()) as monitor:
        for name, (backend, layers) in backends.items():
            for group in throttle_groups(name, layers):
                monitor.execute("object-add", group)
            monitor.execute("blockdev-add", blockdev_from_backend(name, backend, layers))
        found = {node["node-name"]: node for node in nodes(monitor)}
        assert [found[name]["drv"] for name in ("null", "null-1", "null-0")] == ["throttle", "blkdebug", "null-aio"]
        assert (found["filtered"]["ro"], found["filtered"]["cache"]["direct"]) == (True, True)
        limits = get(monitor, "/objects/filtered-limits", "limits")
        assert (limits["iops-total"], limits["bps-total"]) == (1000, 2 * MIB)
        assert found["qcow2-native"]["drv"] == "qcow2"


def test_an_nbd_export_can_be_opened(binary: Binary) -> None:
    """By the address of a socket; the size is what the server says."""
    socket_path = binary.folder / "nbd.sock"
    with HoldServer(socket_path, size_mib=2), binary.started(machine()) as monitor:
        backend = NbdBackend(f"unix:{socket_path}", export="any", read_only=False)
        monitor.execute("blockdev-add", blockdev_from_backend("nbd", backend))
        assert [(node["drv"], node["image"]["virtual-size"]) for node in nodes(monitor)] == [("nbd", 2 * MIB)]
