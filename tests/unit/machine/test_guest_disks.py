"""The guest's disks from its sysfs and QEMU's PCI list."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import GuestError
from lab.machine import guest_disks as module
from lab.machine.guest import Guest
from lab.machine.guest_disks import GuestDisk, addresses_from_pci, disks_from_sysfs, disks_of
from lab.machine.mapping import Device
from lab.machine.spec import Controller, Disk, MachineSpec, NullBackend
from lab.machine.threads import ThreadMap
from lab.testing import FakeClock, FakeMonitor, FakeProcess, FakeShell

SCSI = "/sys/devices/pci0000:00/0000:00:02.0/virtio1/host0/target0:0:0/0:0:0"
SYSFS = f"""disk sda {SCSI}:1/block/sda
queue 0 0, 1
queue 1 2, 3
disk sdb {SCSI}:0/block/sdb
queue 0 0, 1
queue 1 2, 3
disk vda /sys/devices/pci0000:00/0000:00:03.0/virtio2/block/vda
queue 0 0
queue 10 3
queue 2
disk loop0 /sys/devices/virtual/block/loop0
queue 0 0
disk sr0 /sys/devices/pci0000:00/0000:00:1f.2/ata1/host2/target2:0:0/2:0:0:0/block/sr0
"""
PCI = [
    {
        "bus": 0,
        "devices": [
            {"qdev_id": "", "bus": 0, "slot": 31, "function": 0},
            {"qdev_id": "scsi0", "bus": 0, "slot": 2, "function": 0},
            {
                "qdev_id": "port",
                "bus": 0,
                "slot": 4,
                "function": 1,
                "pci_bridge": {"devices": [{"qdev_id": "blk0", "bus": 17, "slot": 0, "function": 0}]},
            },
        ],
    }
]
TWO_DISKS = Controller("scsi0", Device.VIRTIO_SCSI, 2, (Disk("one", NullBackend()), Disk("two", NullBackend())))


def guest_with(sysfs: str) -> Guest:
    """Return a guest with one controller of two disks."""
    spec = MachineSpec("tcg", 4, 1024, (), (TWO_DISKS,))
    process = FakeProcess(log=Path("none"))
    shell, monitor = FakeShell({"/sys/block": sysfs}), FakeMonitor({"query-pci": PCI})
    return Guest(spec, process, monitor, shell, cast("ThreadMap", None), 1.0, Path("none"))


def test_disks_have_address_lun_and_queues() -> None:
    """Several CPUs to a queue, queues that nobody fills, two-digit queues; other disks are left out."""
    sda, sdb, vda = disks_from_sysfs(SYSFS)
    assert sda == GuestDisk("sda", "0000:00:02.0", 1, {0: (0, 1), 1: (2, 3)})
    assert (sdb.name, sdb.lun) == ("sdb", 0)
    assert vda == GuestDisk("vda", "0000:00:03.0", None, {0: (0,), 10: (3,), 2: ()})


@pytest.mark.parametrize("line", ["queue x 0", "queue 0 a,b"])
def test_a_line_that_cannot_be_read(line: str) -> None:
    """What the guest says is not guessed at."""
    with pytest.raises(GuestError, match=line):
        disks_from_sysfs(f"disk sda {SCSI}:0/block/sda\n{line}\n")


def test_addresses_behind_bridges() -> None:
    """Devices without an id are left out."""
    assert addresses_from_pci(PCI) == {"scsi0": "0000:00:02.0", "port": "0000:00:04.1", "blk0": "0000:11:00.0"}


def test_disks_of_a_controller_are_in_the_order_of_their_luns() -> None:
    """Linux may name them in any order."""
    assert [disk.name for disk in disks_of(guest_with(SYSFS))["scsi0"]] == ["sdb", "sda"]


def test_disks_that_do_not_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two is not enough, and the wait ends."""
    monkeypatch.setattr(module, "Deadline", FakeClock().deadline)
    guest: Any = guest_with("\n".join(SYSFS.splitlines()[:3]))
    with pytest.raises(GuestError, match="not all disks appeared"):
        disks_of(guest)
