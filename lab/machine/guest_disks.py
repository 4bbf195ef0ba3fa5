"""The guest's sysfs and QEMU's PCI list to which disk hangs on which controller, and which vCPUs fill which queue.

What the guest's kernel says is the truth about its queues: how Linux spreads CPUs over them has changed more than once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.deadline import Deadline
from lab.errors import DeadlineError, GuestError
from lab.machine.guest import Guest

_LOOK = (
    "cd /sys/block && for d in *; do if [ -d $d/mq ]; then echo disk $d $(readlink -f $d); "
    "for q in $d/mq/*; do echo queue ${q##*/} $(cat $q/cpu_list); done; fi; done"
)
_PCI = re.compile(r"/([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])/virtio\d+/")
_LUN = re.compile(r"/\d+:\d+:\d+:(\d+)/block/")
_NAME = re.compile(r"[a-z]+")
_APPEAR_S = 10.0


@dataclass(frozen=True)
class GuestDisk:
    """A disk with the queues that the guest's blk-mq gives it.

    :param name: ``sda``, below ``/dev``.
    :param address: of its controller on the PCI bus, as Linux writes it.
    :param lun: None for a virtio-blk disk.
    :param queues: number of a request or command queue to the vCPUs whose requests it takes.
    """

    name: str
    address: str
    lun: int | None
    queues: Mapping[int, tuple[int, ...]]


def disks_from_sysfs(text: str) -> tuple[GuestDisk, ...]:
    """Return the virtio disks of a guest from what it printed of ``/sys/block``.

    ``mq/N/cpu_list`` (block/blk-mq-sysfs.c) names the CPUs of hardware queue N, which virtio_blk and virtio_scsi make
    one to one of their request queues.

    :raise GuestError: a line is none of ours.
    """
    found: list[tuple[str, str, int | None, dict[int, tuple[int, ...]]]] = []
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(" ")
        if kind == "disk":
            name, _, path = rest.partition(" ")
            pci, lun = _PCI.search(path), _LUN.search(path)
            usable = pci is not None and _NAME.fullmatch(name) is not None
            found.append((name, pci[1] if pci and usable else "", int(lun[1]) if lun else None, {}))
        elif kind == "queue" and found:
            number, _, cpus = rest.partition(" ")
            try:
                found[-1][3][int(number)] = tuple(int(cpu) for cpu in cpus.split(",") if cpu.strip())
            except ValueError:
                raise GuestError(f"the guest's list of disks has a line that cannot be read: '{line}'") from None
    return tuple(GuestDisk(name, pci, lun, queues) for name, pci, lun, queues in found if pci)


def addresses_from_pci(buses: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the PCI address, as Linux writes it, of each device that has an id (QMP ``query-pci``)."""
    return dict(_addresses(device for bus in buses for device in bus["devices"]))


def _addresses(devices: Iterator[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for device in devices:
        if device["qdev_id"]:
            yield device["qdev_id"], f"0000:{device['bus']:02x}:{device['slot']:02x}.{device['function']}"
        yield from _addresses(iter(device.get("pci_bridge", {}).get("devices", ())))


def disks_of(guest: Guest) -> dict[str, tuple[GuestDisk, ...]]:
    """Wait until the guest has found all its disks, and return those of each controller by their LUNs.

    :return: by the id of the controller, in the order of the specification.
    :raise GuestError: they do not appear, or the guest does not answer.
    :raise MonitorError: QEMU does not answer.
    """
    addresses = addresses_from_pci(guest.monitor.execute("query-pci"))

    def all_there() -> dict[str, tuple[GuestDisk, ...]] | None:
        seen = disks_from_sysfs(guest.shell.run(_LOOK, timeout_s=20).stdout)
        found = {controller.id: _at(addresses.get(controller.id), seen) for controller in guest.spec.controllers}
        complete = all(len(found[controller.id]) == len(controller.disks) for controller in guest.spec.controllers)
        return found if complete else None

    try:
        return Deadline(_APPEAR_S).wait_for("the guest to find its disks", all_there, interval_s=0.2)
    except DeadlineError as err:
        raise GuestError(f"not all disks appeared in the guest: {err.message}") from err


def _at(address: str | None, disks: Sequence[GuestDisk]) -> tuple[GuestDisk, ...]:
    return tuple(sorted((disk for disk in disks if disk.address == address), key=lambda disk: disk.lun or 0))
