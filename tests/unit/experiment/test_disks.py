"""The storage tables of a job to controllers and disks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.errors import InputError
from lab.experiment.disks import Surroundings, controllers_from_table
from lab.experiment.job_tables import MachineTable
from lab.machine.backend import (
    Aio,
    Backend,
    Blkdebug,
    Cache,
    FileBackend,
    HostDeviceBackend,
    ImageFormat,
    NbdBackend,
    NullBackend,
    NvmeBackend,
    Throttle,
)
from lab.machine.mapping import Device
from lab.machine.spec import Controller, ScsiDisk

IDS = ("iothread0", "iothread1")
GIB = 1 << 30


def controllers(machine: dict[str, Any], *, writes: bool = False) -> tuple[Controller, ...]:
    """The controllers of a ``[machine]`` table."""
    around = Surroundings(lambda text: Path("/jobs") / text, lambda name: Path("/cache") / name, writes=writes)
    return controllers_from_table(MachineTable.model_validate(machine), IDS, around)


def backend(values: dict[str, Any], *, writes: bool = False) -> Backend:
    """The one backend of a ``[machine.backend]`` table."""
    (controller,) = controllers({"backend": values}, writes=writes)
    return controller.disks[0].backend


def layout(machine: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Controllers with their disks, by name."""
    return [(controller.id, [disk.id for disk in controller.disks]) for controller in controllers(machine)]


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ({}, [("scsi0", ["disk0"])]),
        ({"disks": 3}, [("scsi0", ["disk0", "disk1", "disk2"])]),
        ({"disks": 4, "controllers": 2}, [("scsi0", ["disk0", "disk1"]), ("scsi1", ["disk2", "disk3"])]),
        ({"controllers": 2}, [("scsi0", ["disk0"]), ("scsi1", ["disk1"])]),
        ({"device": "virtio-blk-pci", "disks": 2}, [("blk0", ["disk0"]), ("blk1", ["disk1"])]),
        (
            {"controller": [{"disks": 2}, {"device": "virtio-blk-pci", "disks": 2}, {"disk": [{}, {}]}]},
            [
                ("scsi0", ["disk0", "disk1"]),
                ("blk0", ["disk2"]),
                ("blk1", ["disk3"]),
                ("scsi1", ["disk4", "disk5"]),
            ],
        ),
    ],
)
def test_disks_are_dealt_to_controllers(machine: dict[str, Any], expected: list[tuple[str, list[str]]]) -> None:
    """A virtio-blk disk is its own controller, a virtio-scsi controller takes several as its LUNs."""
    assert layout(machine) == expected


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        ({"disks": 3, "controllers": 2}, "3 disks cannot be dealt evenly to 2 controllers"),
        ({"device": "virtio-blk-pci", "disks": 2, "controllers": 1}, "a virtio-blk disk is its own controller"),
        ({"disks": 2, "controller": [{}]}, "use one"),
        ({"controller": [{"disks": 2, "disk": [{}]}]}, "disks = N of a"),
        ({"device": "virtio-blk-pci", "backend": {"scsi": "scsi-hd"}}, "is for virtio-scsi controllers"),
        ({"disks": 2, "backend": {"driver": "nbd", "address": "a:1", "destructive": True}}, "stores in the same place"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(machine: dict[str, Any], message: str) -> None:
    """One sentence each."""
    around = Surroundings(Path, Path, writes="destructive" in str(machine))
    with pytest.raises(InputError, match=message):
        controllers_from_table(MachineTable.model_validate(machine), IDS, around)


def test_what_a_controller_does_not_say_is_the_machine_s() -> None:
    """Its own words win, key by key; a disk's over those of [machine.backend]."""
    machine = {
        "num_queues": 3,
        "queue_size": 64,
        "mapping": "round-robin",
        "backend": {"latency_ns": 5, "size_gib": 2},
        "controller": [{"num_queues": 1, "disk": [{"latency_ns": 0}, {"driver": "null-aio"}]}, {"mapping": "none"}],
    }
    first, second = controllers(machine)
    assert (first.num_queues, first.queue_size, second.num_queues) == (1, 64, 3)
    assert first.mapping is not None
    assert (second.mapping, second.iothread) == (None, None)
    assert [disk.backend for disk in first.disks] == [
        NullBackend("null-co", 2 * GIB, 0),
        NullBackend("null-aio", 2 * GIB, 5),
    ]


def test_each_controller_gets_one_iothread_in_turn() -> None:
    """With fewer IOThreads than controllers they are shared."""
    found = controllers({"mapping": "iothread", "controllers": 3})
    assert [controller.iothread for controller in found] == ["iothread0", "iothread1", "iothread0"]


def test_a_file_without_a_path_is_the_lab_s() -> None:
    """Its name says what it is, so that another experiment finds it; it may be written."""
    raw = backend({"driver": "raw", "aio": "io_uring", "cache": "unsafe"}, writes=True)
    assert raw == FileBackend(
        Path("/cache/disk0-8g.raw"), ImageFormat.RAW, Aio.IO_URING, Cache.UNSAFE, made_by_lab=True, size_bytes=8 * GIB
    )
    qcow2 = backend({"driver": "qcow2", "size_gib": 1, "cluster_kib": 512})
    assert isinstance(qcow2, FileBackend)
    assert (qcow2.path, qcow2.cluster_bytes) == (Path("/cache/disk0-1g-512k.qcow2"), 512 << 10)


def test_a_path_is_read_only_unless_it_may_be_destroyed() -> None:
    """And a workload that only reads opens it for reading only, whatever the job allows."""
    own = {"driver": "raw", "path": "own.raw"}
    assert backend(own) == FileBackend(Path("/jobs/own.raw"), read_only=True)
    assert backend(own | {"destructive": True}) == FileBackend(Path("/jobs/own.raw"), read_only=True)
    assert backend(own | {"destructive": True}, writes=True) == FileBackend(Path("/jobs/own.raw"))


@pytest.mark.parametrize(
    "values",
    [
        {"driver": "qcow2", "path": "own.qcow2"},
        {"driver": "host_device", "path": "/dev/x"},
        {"driver": "nvme", "pci_address": "0000:01:00.0"},
        {"driver": "nbd", "address": "unix:/s"},
    ],
)
def test_nothing_of_the_user_s_is_written_unasked(values: dict[str, Any]) -> None:
    """The workload writes, the job does not say destructive: it is no job."""
    with pytest.raises(InputError, match=r"the workload writes to .*, and the job does not allow that"):
        backend(values, writes=True)


def test_a_device_is_forced_by_its_own_name_only() -> None:
    """Another device's name, or the right one of another disk, changes nothing."""
    values = {"driver": "host_device", "path": "/dev/x", "destructive": True}
    assert backend(values, writes=True) == HostDeviceBackend(Path("/dev/x"), read_only=False)
    for name, forced in (("/dev/x", True), ("/dev/y", False)):
        found = backend(values | {"force_device": name}, writes=True)
        assert isinstance(found, HostDeviceBackend)
        assert found.forced is forced
    nvme = {"driver": "nvme", "pci_address": "0000:01:00.0", "namespace": 2, "force_device": "0000:01:00.0"}
    assert backend(nvme) == NvmeBackend("0000:01:00.0", 2, forced=True)


def test_an_nvme_drive_keeps_its_write_cache_unless_it_is_asked_not_to() -> None:
    """QEMU reads cache.direct as switching it off, and refuses a drive that has none."""
    nvme = {"driver": "nvme", "pci_address": "0000:01:00.0"}
    found = backend(nvme)
    assert isinstance(found, NvmeBackend) and found.cache is Cache.WRITEBACK and not found.cache.direct
    assert backend(nvme | {"cache": "none"}) == NvmeBackend("0000:01:00.0", cache=Cache.NONE)


def test_an_nbd_server_is_named_by_its_address() -> None:
    """With the export's name."""
    values = {"driver": "nbd", "address": "h:1", "export": "x", "cache": "writeback"}
    assert backend(values) == NbdBackend("h:1", "x", Cache.WRITEBACK)


@pytest.mark.parametrize("path", ["dev/x", "/etc/passwd", "/dev/../etc/passwd", "/devx"])
def test_a_device_lies_below_dev(path: str) -> None:
    """Nothing else can be one."""
    with pytest.raises(InputError, match="is not the path of a block device"):
        backend({"driver": "host_device", "path": path})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"driver": "raw", "latency_ns": 1}, "latency_ns says nothing to driver 'raw'"),
        ({"aio": "native"}, "aio says nothing to driver 'null-co'"),
        ({"driver": "nbd", "address": "a:1", "path": "x"}, "path says nothing to driver 'nbd'"),
        ({"driver": "raw", "cluster_kib": 64}, "cluster_kib says nothing to driver 'raw'"),
        ({"driver": "host_device"}, "driver 'host_device' needs path"),
        ({"driver": "nvme"}, "driver 'nvme' needs pci_address"),
        ({"driver": "nbd"}, "driver 'nbd' needs address"),
        ({"driver": "raw", "path": "x", "size_gib": 8}, "are of files that the lab makes"),
        ({"driver": "raw", "aio": "native", "cache": "writeback"}, "aio=native needs the page cache to be bypassed"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(values: dict[str, Any], message: str) -> None:
    """A key without effect would be measured under its name."""
    with pytest.raises(InputError, match=message):
        backend(values)


def test_filters_stand_in_a_fixed_order() -> None:
    """The throttle on top, so that what it counts is what the guest asked for."""
    (controller,) = controllers(
        {
            "backend": {
                "throttle_iops": 5,
                "throttle_mib_s": 1,
                "blkdebug_align": 4096,
                "blkdebug_max_transfer_kib": 64,
                "scsi": "scsi-hd",
            }
        }
    )
    disk = controller.disks[0]
    assert disk.filters == (Blkdebug(4096, 64 << 10), Throttle(5, 1 << 20))
    assert disk.scsi is ScsiDisk.HD


def test_a_mapping_of_the_short_form_belongs_to_its_controller() -> None:
    """Each in the numbering of its own device."""
    machine = {
        "controller": [
            {"mapping": "iothread0:0,iothread1:1"},
            {"mapping": "iothread1", "device": Device.VIRTIO_BLK.value},
        ]
    }
    first, second = controllers(machine)
    assert first.mapping is not None
    assert first.mapping.to_short() == "iothread0:0,iothread1:1"
    assert second.mapping is not None
    assert second.mapping.iothreads == ("iothread1",)
