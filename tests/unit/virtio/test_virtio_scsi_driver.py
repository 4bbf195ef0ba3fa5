import struct
from collections.abc import Callable

import pytest

from lab.errors import DeadlineError, DeviceError
from lab.virtio import scsi
from lab.virtio.guest_memory import GuestMemory
from lab.virtio.scsi import read_10, write_10
from lab.virtio.virtio_pci import find_virtio_device
from lab.virtio.virtio_scsi import (
    UNWRITTEN,
    AsyncNotification,
    ControlType,
    EventKind,
    Lun,
    Tmf,
    command_response,
    unwritten,
)
from lab.virtio.virtio_scsi_driver import VirtioScsi
from tests.unit.virtio.fake_device import FakeDevice

OK = bytes(108)
LUN = Lun(0, 1)


class Rig:
    """A driver that is up, and the device it drives."""

    def __init__(self) -> None:
        memory = GuestMemory(2)
        self.device = FakeDevice(memory)
        self.driver = VirtioScsi(find_virtio_device(self.device), memory)
        self.driver.start()
        self.device.kicks.clear()

    def serve_whoever_waits(self, monkeypatch: pytest.MonkeyPatch, queue: int, *answers: bytes) -> None:
        """Let the device answer what is on a virtqueue whenever the driver waits."""
        left = iter(answers)

        def wait_for(_what: str, check: Callable[[], object], _timeout_s: float) -> object:
            self.device.serve(queue, next(left))
            return check()

        monkeypatch.setattr(self.driver, "wait_for", wait_for)


@pytest.fixture
def rig() -> Rig:
    """Return a driver and its device."""
    return Rig()


def test_the_device_is_brought_up(rig: Rig) -> None:
    """All queues are enabled before DRIVER_OK, and event buffers are there."""
    assert rig.device.statuses == [0, 1, 3, 11, 15]
    assert all(ring.enabled and ring.size == 128 for ring in rig.device.rings)
    assert rig.driver.num_queues == 2 and rig.driver.in_device == 0
    assert rig.device.agreed == 1 << 32 | 0b110


def test_a_read_brings_data(rig: Rig) -> None:
    """Request, response and data have descriptors of their own; the answer finds its request."""
    request = rig.driver.submit(1, LUN, read_10(7), tag=5)
    asked = rig.device.serve(3, OK + b"d" * 512)
    assert asked[0][0][8] == 5 and rig.device.kicks == [3]
    (completion,) = rig.driver.poll()
    assert completion.request == request and completion.written == 620
    assert str(command_response(completion.answer)) == "OK" and completion.data == b"d" * 512


def test_a_write_sends_data(rig: Rig) -> None:
    """Data to the device follows the request."""
    rig.driver.submit(0, LUN, write_10(7, b"w" * 512), tag=6)
    assert rig.device.serve(2, OK)[0][1] == b"w" * 512


def test_a_batch_is_kicked_once(rig: Rig) -> None:
    """When the block has ended, each virtqueue for itself; afterwards kicks are immediate again."""
    with rig.driver.batch():
        for tag in range(3):
            rig.driver.submit(1, LUN, scsi.test_unit_ready(), tag=tag)
        rig.driver.manage_task(Tmf.ABORT_TASK, LUN, 1)
        assert rig.device.kicks == []
    assert rig.device.kicks == [0, 3] and rig.driver.in_device == 4
    rig.driver.submit(0, LUN, scsi.test_unit_ready(), tag=9)
    assert rig.device.kicks == [0, 3, 2]


def test_a_batch_that_fails_is_not_kicked(rig: Rig) -> None:
    """The device is not told of half a batch, and the next request is kicked by itself."""
    with pytest.raises(ZeroDivisionError), rig.driver.batch():
        rig.driver.submit(1 // 0, LUN, scsi.test_unit_ready(), tag=1)
    assert rig.device.kicks == []
    rig.driver.submit(0, LUN, scsi.test_unit_ready(), tag=9)
    assert rig.device.kicks == [2]


def test_passes_put_the_ctrl_queue_first(rig: Rig) -> None:
    """What ended in the same pass is listed ctrl first; what ends later has a later pass."""
    rig.driver.submit(0, LUN, scsi.test_unit_ready(), tag=1)
    rig.driver.submit(1, LUN, scsi.test_unit_ready(), tag=2)
    rig.driver.manage_task(Tmf.ABORT_TASK, LUN, 1)
    rig.device.serve(2, OK)
    rig.device.serve(0, b"\0")
    first = rig.driver.poll()
    rig.device.serve(3, OK)
    second = rig.driver.poll()
    assert [completion.queue for completion in first] == [0, 2]
    assert [completion.pass_number for completion in (*first, *second)] == [1, 1, 2]


def test_buffers_do_not_begin_as_an_answer(rig: Rig) -> None:
    """Zeros would be OK, GOOD, FUNCTION_COMPLETE and the data of an empty disk."""
    rig.driver.submit(0, LUN, read_10(7), tag=1)
    rig.driver.manage_task(Tmf.ABORT_TASK, LUN, 1)
    for queue in (0, 2):
        chain = rig.device.take(queue)
        assert chain is not None
        assert {byte for place in chain[2] for byte in rig.device.memory.read(*place)} == {UNWRITTEN}


@pytest.mark.parametrize("answer", [b"", b"\0" * 11])
def test_an_answer_that_was_not_written(rig: Rig, answer: bytes) -> None:
    """Whoever looks at the rings is told; nothing of it is taken for a response."""
    rig.driver.submit(0, LUN, scsi.test_unit_ready(), tag=1)
    rig.device.serve(2, answer)
    with pytest.raises(DeviceError):
        rig.driver.poll()


def test_data_that_was_not_written(rig: Rig) -> None:
    """It is not what the disk holds, whatever that is."""
    rig.driver.submit(1, LUN, read_10(7), tag=5)
    rig.device.serve(3, OK)
    (completion,) = rig.driver.poll()
    assert completion.data == unwritten(512)


def test_a_chain_that_was_never_given_belongs_to_nobody(rig: Rig) -> None:
    """Something that ends twice shows up without a request."""
    request = rig.driver.submit(0, LUN, scsi.test_unit_ready(), tag=1)
    rig.device.serve(2, OK)
    rig.device.give_back(2, request.head)
    assert [completion.request for completion in rig.driver.poll()] == [request, None]


def test_run_waits_for_its_own_command(rig: Rig) -> None:
    """Another command in between, or none at all, is an error."""
    rig.driver.submit(0, LUN, scsi.test_unit_ready(), tag=1)
    rig.device.serve(2, OK)
    with pytest.raises(DeviceError, match="something else"):
        rig.driver.run(1, LUN, scsi.test_unit_ready(), tag=2)
    with pytest.raises(DeadlineError, match="answer to tag 0x3"):
        rig.driver.run(1, LUN, scsi.test_unit_ready(), tag=3, timeout_s=0)


def test_unit_attentions_are_taken(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the LUN is ready; one that always has something more to say is not waited for."""
    told = struct.pack("<IIHBB", 8, 0, 0, 2, 0) + bytes((0x72, 6, 0x29, 0)).ljust(96, b"\0")
    rig.serve_whoever_waits(monkeypatch, 3, told, told, OK)
    rig.driver.until_ready(LUN, queue=1)
    rig.serve_whoever_waits(monkeypatch, 2, *[told] * 8)
    with pytest.raises(DeviceError, match="LUN 0:1 is not ready after 8 times"):
        rig.driver.until_ready(LUN)


def test_notifications_can_be_asked_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The query goes out, and its answer is read."""
    rig.serve_whoever_waits(monkeypatch, 0, struct.pack("<IB", 4, 0))
    supported = rig.driver.query_notifications(ControlType.AN_QUERY, LUN, AsyncNotification.POWER_MGMT)
    assert supported == (AsyncNotification.POWER_MGMT, 0)


def test_events_are_read_and_their_buffers_supplied_again(rig: Rig) -> None:
    """After many more events than buffers, none was lost."""
    for number in range(40):
        event = struct.pack("<I8sI", 1, Lun(0, number).to_bytes(), 2)
        rig.device.serve(1, event)
        (seen,) = rig.driver.take_events()
        assert (seen.kind, seen.lun) == (EventKind.TRANSPORT_RESET, Lun(0, number))
    assert rig.driver.take_events() == [] and rig.device.kicks == [1] * 40


def test_an_event_buffer_that_was_never_given(rig: Rig) -> None:
    """It is told as the device's fault."""
    rig.device.give_back(1, 77)
    with pytest.raises(DeviceError, match="event buffer 77, which it did not have"):
        rig.driver.take_events()


def test_every_queue_can_be_kicked_once_more(rig: Rig) -> None:
    """One notification for each queue."""
    rig.driver.kick_all()
    assert rig.device.kicks == [0, 1, 2, 3]


def test_a_reset_forgets_what_the_device_had(rig: Rig) -> None:
    """After a reset nothing is owed."""
    rig.driver.submit(0, LUN, scsi.test_unit_ready(), tag=1)
    assert rig.driver.in_device == 1
    rig.driver.start()
    assert rig.driver.in_device == 0 and rig.driver.poll() == []
