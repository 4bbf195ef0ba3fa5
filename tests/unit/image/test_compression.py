from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable

import lz4.block
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.image.compression import decompress


def lz4_legacy(data: bytes) -> bytes:
    """Pack as ``lz4 -l`` does: blocks of 8 MiB."""
    block = 8 << 20
    out = b"\x02\x21\x4c\x18"
    for start in range(0, len(data), block):
        packed = lz4.block.compress(data[start : start + block], store_size=False)
        out += len(packed).to_bytes(4, "little") + packed
    return out


def lzma_alone(data: bytes) -> bytes:
    """Pack as ``lzma`` does."""
    return lzma.compress(data, format=lzma.FORMAT_ALONE)


PACKERS: list[Callable[[bytes], bytes]] = [
    gzip.compress, bz2.compress, lzma.compress, lzma_alone, zstandard.compress, lz4_legacy,
]  # fmt: skip


@pytest.mark.parametrize("pack", PACKERS)
@given(data=st.binary(min_size=1, max_size=2000))
def test_what_was_packed_comes_back_though_the_size_follows(pack: Callable[[bytes], bytes], data: bytes) -> None:
    """The kernel's build appends the unpacked size to all but gzip, which has it."""
    assert decompress(pack(data) + len(data).to_bytes(4, "little")) == data


def test_lz4_blocks_are_put_together() -> None:
    """A kernel is larger than one block."""
    data = bytes(range(256)) * (9 << 12)
    assert len(data) > 8 << 20
    assert decompress(lz4_legacy(data)) == data


@pytest.mark.parametrize(
    "beginning",
    [b"\x1f\x8b\x08\0", b"BZh9", b"\xfd7zXZ\0", b"\x5d\0\0\1", b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18\x0e\0\0\0"],
)
def test_damaged_data_is_an_error_of_the_input(beginning: bytes) -> None:
    """Not a traceback of some library."""
    with pytest.raises(InputError, match="damaged"):
        decompress(beginning + b"\xff" * 18)


@pytest.mark.parametrize("pack", PACKERS)
def test_data_that_is_cut_off_is_an_error_of_the_input(pack: Callable[[bytes], bytes]) -> None:
    """A download that broke, say; half a kernel would be worse than none."""
    with pytest.raises(InputError, match="cut off"):
        decompress(pack(bytes(range(256)) * 64)[:-9])


def test_an_unknown_compression_is_named_by_its_first_bytes() -> None:
    """As LZO, which no library of ours reads."""
    with pytest.raises(InputError, match="894c5a4f"):
        decompress(b"\x89LZO\0\r\n")
