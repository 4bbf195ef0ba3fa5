from __future__ import annotations

import json
from dataclasses import replace

from lab.machine.mapping import MAIN_LOOP, Device, IOThreadMapping
from lab.machine.mapping_placement import Placement
from lab.machine.mapping_render import (
    QueueRow,
    argv_from_mapping,
    device_from_mapping,
    qmp_from_mapping,
    rows_from_queues,
    text_from_rows,
)
from lab.machine.mapping_rules import MappedDevice

SCSI = MappedDevice(Device.VIRTIO_SCSI, 2)
BLK = MappedDevice(Device.VIRTIO_BLK, 2)
EXPLICIT = IOThreadMapping.explicit({"iothread4": (0,), "iothread2": (1,)})


def test_the_device_is_written_as_libvirt_writes_it() -> None:
    """The arguments are those that libvirt 11.2 gives QEMU for the same mapping."""
    assert json.dumps(device_from_mapping(EXPLICIT, SCSI, "scsi1", ""), separators=(",", ":")) == (
        '{"driver":"virtio-scsi-pci","id":"scsi1","num_queues":2,"iothread-vq-mapping":'
        '[{"iothread":"iothread4","vqs":[0]},{"iothread":"iothread2","vqs":[1]}]}'
    )


def test_virtio_blk_has_a_drive_and_a_dash() -> None:
    """The property is num-queues there, and the disk is part of the device."""
    device = device_from_mapping(None, replace(BLK, iothread="t0", ioeventfd=False), "vda", "node0")
    assert device == {
        "driver": "virtio-blk-pci",
        "id": "vda",
        "drive": "node0",
        "num-queues": 2,
        "ioeventfd": False,
        "iothread": "t0",
    }


def test_the_command_line_makes_each_iothread_once() -> None:
    """Objects come first, then the device, all of it in JSON."""
    words = argv_from_mapping(IOThreadMapping.round_robin(("t0", "t1")), SCSI, "scsi0", "")
    assert words[::2] == ("-object", "-object", "-device")
    assert [json.loads(word).get("id") for word in words[1::2]] == ["t0", "t1", "scsi0"]


def test_qmp_adds_the_same_objects_and_device() -> None:
    """The commands carry what the command line carries."""
    mapping = IOThreadMapping.round_robin(("t0",))
    commands = qmp_from_mapping(mapping, replace(BLK, iothread="t1"), "vda", "node0")
    assert [command["execute"] for command in commands] == ["object-add", "object-add", "device_add"]
    words = argv_from_mapping(mapping, replace(BLK, iothread="t1"), "vda", "node0")
    assert [command["arguments"] for command in commands] == [json.loads(word) for word in words[1::2]]


def test_the_table_says_where_threads_run() -> None:
    """A thread that is not placed may run anywhere, and so may the main loop."""
    rows = rows_from_queues({"ctrl": MAIN_LOOP, "0": "t0", "1": "t1"}, Placement({}, {"t1": frozenset({4, 5})}))
    assert rows[2] == QueueRow("1", "t1", "4-5")
    assert rows[2].to_json() == {"queue": "1", "iothread": "t1", "cpus": "4-5"}
    assert text_from_rows(rows).splitlines() == [
        "queue  IOThread   CPU",
        "ctrl   main loop  any",
        "0      t0         any",
        "1      t1         4-5",
    ]
