import pytest

from lab.errors import DeviceError
from lab.virtio.scsi import Sense
from lab.virtio.virtio_scsi import (
    AsyncNotification,
    ControlType,
    Event,
    EventKind,
    Lun,
    ResetReason,
    Tmf,
    an_request,
    an_response,
    check_written,
    command_request,
    command_response,
    event_from_bytes,
    response_text,
    tmf_request,
    tmf_text,
    unwritten,
)


def test_a_command_request_is_51_bytes() -> None:
    """LUN, tag, attributes and a CDB filled up to 32 bytes (VIRTIO 1.2, section 5.6.6.1)."""
    request = command_request(Lun(3, 300), 0x1122334455667788, b"\x28\x01")
    assert len(request) == 51
    assert request[:8] == bytes((1, 3, 0x41, 0x2C, 0, 0, 0, 0))
    assert request[8:16] == bytes((0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11))
    assert request[19:] == b"\x28\x01" + bytes(30)


def test_a_tmf_request_is_24_bytes() -> None:
    """Type, subtype, LUN and tag; a subtype that nobody knows is sent as it is."""
    request = tmf_request(0xFFFFFFFF, Lun(0, 0), 5)
    assert len(request) == 24
    assert request[:8] == bytes((0, 0, 0, 0, 255, 255, 255, 255)) and request[16] == 5


def test_asynchronous_notifications() -> None:
    """Query and subscription have the same form, and so have their answers."""
    request = an_request(ControlType.AN_SUBSCRIBE, Lun(0, 1), AsyncNotification.MEDIA_CHANGE)
    assert len(request) == 16 and request[0] == 2 and request[12] == 16
    assert an_response(bytes((16, 0, 0, 0, 3))) == (AsyncNotification.MEDIA_CHANGE, 3)


@pytest.mark.parametrize(
    ("head", "sense", "text"),
    [
        ((0, 0, 0, 0, 0, 0), b"", "OK"),
        ((0, 0, 0, 0, 0, 2), b"", "ABORTED"),
        ((0, 0, 0, 0, 0, 77), b"", "response 77"),
        ((0, 0, 0, 0, 8, 0), b"", "BUSY"),
        ((0, 0, 0, 0, 9, 0), b"", "status 0x09"),
        ((8, 0, 0, 0, 2, 0), bytes((0x72, 6, 0x29, 0, 0, 0, 0, 0)), "CHECK_CONDITION UNIT_ATTENTION 29/00"),
    ],
)
def test_a_response_prints_what_counts(head: tuple[int, ...], sense: bytes, text: str) -> None:
    """The response byte counts where it is not OK, the SCSI status elsewhere."""
    sense_len, residual, *_, status, response = head
    data = bytes((sense_len, 0, 0, 0, residual, 0, 0, 0, 0, 0, status, response)) + sense.ljust(96, b"\0")
    assert str(command_response(data)) == text


def test_sense_data_of_a_response() -> None:
    """As many bytes as the device says, never more than there are."""
    data = bytes((255, 255, 0, 0, 4, 0, 0, 0, 0, 0, 2, 0)) + bytes((0x72, 5, 0x20, 1)).ljust(96, b"\0")
    response = command_response(data)
    assert response.sense == Sense(5, 0x20, 1) and response.residual == 4


SENSE = bytes((8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x72, 6, 0x29, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        (bytes(12) + unwritten(96), 12),
        (bytes(12) + unwritten(96), 108),
        (bytes(12) + unwritten(96), 620),
        (SENSE + unwritten(88), 20),
        (b"\0", 1),
        (bytes((4, 0, 0, 0, 0)), 5),
    ],
    ids=["header", "qemu", "qemu-with-data", "sense", "function", "notification"],
)
def test_what_the_device_wrote_as_a_whole(answer: bytes, written: int) -> None:
    """A response without sense data has 12 bytes; the room behind it need not be written, nor be left out."""
    check_written(answer, written)


@pytest.mark.parametrize(
    ("answer", "written", "message"),
    [
        (unwritten(108), 108, "without an answer"),
        (unwritten(1), 1, "without an answer"),
        (unwritten(5), 5, "without an answer"),
        (bytes(108), 0, "wrote 0 bytes, and its answer has 12"),
        (SENSE + bytes(88), 12, "wrote 12 bytes, and its answer has 20"),
        (b"\0", 0, "wrote 0 bytes, and its answer has 1"),
        (bytes((97, *bytes(11), 0x72)) + bytes(95), 108, "wrote 108 bytes, and its answer has 109"),
        (bytes((8, *bytes(11))) + unwritten(96), 108, "sense data that cannot be read"),
        (unwritten(11) + b"\2" + unwritten(96), 108, "sense data that cannot be read"),
    ],
)
def test_what_the_device_did_not_write(answer: bytes, written: int, message: str) -> None:
    """What it left out shows, and so does what its driver may not look at (VIRTIO 1.2, section 2.7.8.3)."""
    with pytest.raises(DeviceError, match=message):
        check_written(answer, written)


def test_events() -> None:
    """The missed bit is apart from the kind, and QEMU's short LUN format is understood."""
    data = bytes((1, 0, 0, 0x80, 1, 2, 0, 7, 0, 0, 0, 0, 2, 0, 0, 0))
    assert event_from_bytes(data) == Event(EventKind.TRANSPORT_RESET, Lun(2, 7), ResetReason.REMOVED, missed=True)


def test_an_event_that_was_not_written() -> None:
    """A buffer that comes back as it went is no event, not even the one of kind 0."""
    with pytest.raises(DeviceError, match="without an event"):
        event_from_bytes(unwritten(16))


def test_names() -> None:
    """Numbers that have no name are printed as numbers."""
    assert [tmf_text(Tmf.QUERY_TASK), tmf_text(8)] == ["QUERY_TASK", "unknown 0x8"]
    assert [response_text(12), response_text(13)] == ["INCORRECT_LUN", "response 13"]
    assert str(Lun(1, 2)) == "1:2"
