import pytest

from lab.errors import DeviceError
from lab.virtio import scsi
from lab.virtio.scsi import Sense, sense_from_bytes


def test_blocks_are_big_endian() -> None:
    """READ and WRITE carry their block address and count highest byte first."""
    read = scsi.read_10(0x01020304, 2)
    assert read.cdb == bytes((0x28, 0, 1, 2, 3, 4, 0, 0, 2, 0)) and read.data_in == 1024
    write = scsi.write_10(5, bytes(512))
    assert write.cdb == bytes((0x2A, 0, 0, 0, 0, 5, 0, 0, 1, 0)) and len(write.data_out) == 512


def test_commands_without_blocks() -> None:
    """Their CDBs have the lengths of their groups, and ask for what they say."""
    assert scsi.test_unit_ready().cdb == bytes(6)
    assert scsi.inquiry().cdb == bytes((0x12, 0, 0, 0, 36, 0)) and scsi.inquiry().data_in == 36
    assert len(scsi.synchronize_cache_10().cdb) == 10 and scsi.synchronize_cache_10().cdb[0] == 0x35


def test_sense_data_of_both_formats() -> None:
    """Fixed and descriptor format say the same."""
    fixed = bytes((0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29, 0, 0, 0, 0, 0))
    descriptor = bytes((0x72, 6, 0x29, 0, 0, 0, 0, 0))
    assert sense_from_bytes(fixed) == sense_from_bytes(descriptor) == Sense(6, 0x29, 0)
    assert str(sense_from_bytes(fixed)) == "UNIT_ATTENTION 29/00"
    assert str(Sense(0xE, 1, 2)) == "sense key 0xe 01/02"


@pytest.mark.parametrize("data", [b"", b"\x70\0\6", b"\x12\x34\x56\x78"])
def test_sense_data_that_is_none(data: bytes) -> None:
    """Bytes that cannot be sense data are not made into some."""
    with pytest.raises(DeviceError, match="cannot be read"):
        sense_from_bytes(data)
