"""Backends and filters to -blockdev."""

from pathlib import Path

from lab.machine.backend import (
    Aio,
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
from lab.machine.blockdev import blockdev_from_backend, cache_of, is_read_only, throttle_groups

DIRECT = {"direct": True, "no-flush": False}


def test_a_file_is_a_format_on_a_protocol() -> None:
    """Both nodes carry the cache mode: QEMU takes each one's own."""
    backend = FileBackend(Path("/d.qcow2"), ImageFormat.QCOW2, Aio.NATIVE)
    assert blockdev_from_backend("disk0", backend) == {
        "driver": "qcow2",
        "node-name": "disk0",
        "file": {"driver": "file", "filename": "/d.qcow2", "aio": "native", "cache": DIRECT},
        "cache": DIRECT,
    }


def test_a_host_device_is_raw_and_read_only_unless_it_may_be_written() -> None:
    """Both nodes are: a writable protocol below a read-only format would still be opened for writing."""
    options = blockdev_from_backend("d", HostDeviceBackend(Path("/dev/x")))
    assert (options["driver"], options["file"]["driver"]) == ("raw", "host_device")
    assert options["read-only"] is options["file"]["read-only"] is True
    writable = blockdev_from_backend("d", HostDeviceBackend(Path("/dev/x"), read_only=False))
    assert "read-only" not in writable
    assert "read-only" not in writable["file"]


def test_nvme_and_nbd_are_one_node() -> None:
    """They are protocols that need no format above."""
    nvme = blockdev_from_backend("d", NvmeBackend("0000:01:00.0", 2, read_only=False))
    cache = {"direct": False, "no-flush": False}
    assert nvme == {"driver": "nvme", "node-name": "d", "device": "0000:01:00.0", "namespace": 2, "cache": cache}
    nbd = blockdev_from_backend("d", NbdBackend("unix:/s", "x", Cache.UNSAFE))
    assert (nbd["driver"], nbd["server"], nbd["export"]) == ("nbd", {"type": "unix", "path": "/s"}, "x")
    assert (nbd["cache"], nbd["read-only"]) == ({"direct": False, "no-flush": True}, True)


def test_filters_stand_on_the_backend_and_the_top_has_the_disk_s_name() -> None:
    """The device names the top node, so a filter is never left out; each throttle has limits of its own."""
    filters = (Blkdebug(4096, 65536), Throttle(iops=100))
    options = blockdev_from_backend("disk0", FileBackend(Path("/d"), read_only=True), filters)
    assert (options["driver"], options["node-name"], options["throttle-group"]) == ("throttle", "disk0", "disk0-limits")
    debug = options["file"]
    assert (debug["driver"], debug["node-name"], debug["align"], debug["max-transfer"]) == (
        "blkdebug",
        "disk0-1",
        4096,
        65536,
    )
    assert (debug["image"]["driver"], debug["image"]["node-name"]) == ("raw", "disk0-0")
    assert all(node["read-only"] and node["cache"] == DIRECT for node in (options, debug, debug["image"]))
    groups = ({"qom-type": "throttle-group", "id": "disk0-limits", "limits": {"iops-total": 100}},)
    assert throttle_groups("disk0", filters) == groups


def test_null_drivers_have_nothing_to_cache_or_to_protect() -> None:
    """No cache mode, no read-only; a filter above them says nothing about either."""
    assert cache_of(NullBackend()) is None
    assert not is_read_only(NullBackend())
    options = blockdev_from_backend("d", NullBackend(), (Throttle(bytes_per_s=5),))
    assert options.keys() == {"driver", "node-name", "throttle-group", "file"}
    assert throttle_groups("d", (Throttle(bytes_per_s=5),))[0]["limits"] == {"bps-total": 5}
