"""How a device reacts to a malformed request, and whether it works again; the device is a model in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from lab.errors import InputError, StageError
from lab.testing import FakeClock
from lab.virtio import scsi
from lab.virtio.malformed.case import well_formed
from lab.virtio.malformed.perform import Outcome, Reaction, put_before, recover
from lab.virtio.malformed.request import ConfigWrite, Descriptor, Flag, MalformedRequest, Place
from lab.virtio.qtest_machine import QtestMachine
from lab.virtio.scsi import ScsiStatus
from lab.virtio.tmf.plan import UNITS
from lab.virtio.virtio_pci import DeviceStatus
from tests.unit.virtio.tmf.model import Model, Task
from tests.unit.virtio.tmf.test_perform import Asleep

READY = well_formed(scsi.test_unit_ready(), UNITS[0].lun.to_bytes())


class Device(Model):
    """A device that meets a request.

    :param reacts: ``serves`` it, asks for a ``reset``, or does ``nothing``.
    :param careful: it takes nothing before DRIVER_OK.
    """

    def __init__(self, folder: Path, reacts: str = "serves", *, careful: bool = True, fault: str = "") -> None:
        super().__init__(folder, fault=fault)
        self.reacts, self._careful = reacts, careful

    def post_write(self, address: int, value: int, width: int) -> None:
        """Take a kick."""
        if self._careful and not self.status & DeviceStatus.DRIVER_OK:
            return
        if self.reacts == "serves":
            super().post_write(address, value, width)
        elif self.reacts == "reset":
            self.status |= DeviceStatus.NEEDS_RESET


def reaction(device: Device, request: MalformedRequest, *, patient: bool = True) -> Reaction:
    """Put a request before a device, on a fake clock."""
    return put_before(
        cast("QtestMachine", device), request, patient=patient, process=Asleep(), make_deadline=FakeClock().deadline
    )


def test_a_request_in_order_is_served(tmp_path: Path) -> None:
    """It comes back, with a response that can be read."""
    device = Device(tmp_path)
    device.attentions.clear()
    found = reaction(device, READY)
    assert (found.outcome, found.returned, found.early) == (Outcome.RETURNED, (0,), False)
    assert str(found.response) == "OK"


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize(("reacts", "outcome"), [("reset", Outcome.NEEDS_RESET), ("nothing", Outcome.IGNORED)])
def test_a_device_may_refuse(tmp_path: Path, reacts: str, outcome: Outcome, patient: bool) -> None:
    """By asking for a reset or by doing nothing; nothing was written then."""
    found = reaction(Device(tmp_path, reacts), READY, patient=patient)
    assert found == Reaction(outcome, (), None, early=False)


@pytest.mark.parametrize("careful", [True, False])
def test_what_is_taken_before_driver_ok_is_seen(tmp_path: Path, careful: bool) -> None:
    """The request is notified before and after."""
    found = reaction(Device(tmp_path, careful=careful), replace(READY, early=True))
    assert found.early is not careful and found.outcome is Outcome.RETURNED


def test_the_request_is_put_as_it_is(tmp_path: Path) -> None:
    """Offsets from every place, the index and the used ring that were asked for, and the configuration written."""
    device = Device(tmp_path, "nothing")
    table = (
        Descriptor(Place.RAM_END, -8, 51, Flag.NEXT, 1),
        Descriptor(Place.ZERO, -1, 4),
        Descriptor(Place.DEVICE, 0, 2),
        Descriptor(Place.TABLE, 16, 16, Flag.INDIRECT),
        Descriptor(Place.DATA, 0, 3),
    )
    asked = MalformedRequest(
        2, table, heads=(0, 9), index=1000, data=b"abc", used_ring=1 << 40, config=(ConfigWrite(20, 4, 7),)
    )
    assert reaction(device, asked).outcome is Outcome.IGNORED
    registers, memory = device.rings[2].registers, device.memory
    entries = [memory.read(registers[32] + 16 * number, 16) for number in range(5)]
    addresses = [int.from_bytes(entry[:8], "little") for entry in entries]
    assert addresses[:2] == [memory.size - 8, (1 << 64) - 1]
    assert memory.read(addresses[4], 3) == b"abc" and entries[0][8:] == bytes((51, 0, 0, 0, 1, 0, 1, 0))
    assert memory.load16(registers[40] + 2) == 1000 and memory.load16(registers[40] + 6) == 9
    assert (registers[48], registers[52]) == (0, 1 << 8)
    assert device.config[20:24] == bytes((7, 0, 0, 0))


def test_half_a_response_is_none(tmp_path: Path) -> None:
    """A device that wrote sense data of a format that there is not."""

    class Torn(Device):
        def post_write(self, address: int, value: int, width: int) -> None:
            super().post_write(address, value, width)
            entry = self.memory.read(self.rings[2].registers[32] + 16, 16)
            self.memory.write(int.from_bytes(entry[:8], "little"), bytes((8, 0, 0, 0)) + bytes(8) + b"\xff" * 8)

    assert reaction(Torn(tmp_path), READY).response is None


def test_a_queue_that_is_not_there(tmp_path: Path) -> None:
    """The request is at fault, not the device."""
    with pytest.raises(InputError, match="has no queue 99"):
        reaction(Device(tmp_path), replace(READY, queue=99))


def test_after_a_reset_everything_works(tmp_path: Path) -> None:
    """Whatever was before: unit attentions are taken, and a READ comes through each queue."""
    device = Device(tmp_path, "reset")
    reaction(device, READY)
    device.reacts = "serves"
    recover(cast("QtestMachine", device), UNITS[0].lun)
    assert set(device.kicks) >= {2, 3, 4, 5}


def test_a_device_that_does_not_work_again_is_told(tmp_path: Path) -> None:
    """A READ that ends with anything but its data."""

    class Failing(Device):
        def _end(self, task: Task, *, status: int = 0, sense: bytes = b"") -> None:
            super()._end(task, status=ScsiStatus.CHECK_CONDITION, sense=sense)

    with pytest.raises(StageError, match="after a reset a READ through queue 0 ended CHECK_CONDITION"):
        recover(cast("QtestMachine", Failing(tmp_path)), UNITS[0].lun)
