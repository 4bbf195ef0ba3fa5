"""Compressed bytes to plain ones, for what kernels and their modules are packed with."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

import lz4.block
import zstandard

from lab.errors import InputError

_LZ4_LEGACY = b"\x02\x21\x4c\x18"
_LZ4_LEGACY_BLOCK = 8 << 20  # the most that a block unpacks to
# Beginning of the data: what makes an object with decompress() and eof, as the standard library's have them.
_FORMATS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lzma.LZMADecompressor,
    b"\x5d\0\0": lzma.LZMADecompressor,
    b"\x28\xb5\x2f\xfd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
_ERRORS = (zlib.error, OSError, lzma.LZMAError, zstandard.ZstdError, lz4.block.LZ4BlockError)


def decompress(data: bytes) -> bytes:
    """Unpack gzip, bzip2, xz, lzma, zstd or the legacy format of lz4, told apart by their first bytes.

    Bytes after the end of the stream are passed over: the kernel's build appends the unpacked size.

    :raise InputError: none of these, damaged, or cut off.
    """
    try:
        if data.startswith(_LZ4_LEGACY):
            return _decompress_lz4_legacy(data)
        for beginning, make in _FORMATS.items():
            if data.startswith(beginning):
                stream = make()
                out: bytes = stream.decompress(data)
                if not stream.eof:
                    raise InputError("the compressed data is cut off")
                return out
    except _ERRORS as err:
        raise InputError(f"damaged compressed data: {err}") from err
    raise InputError(f"not compressed in a way the lab knows: it begins with {data[:4].hex()}")


def _decompress_lz4_legacy(data: bytes) -> bytes:
    """Unpack blocks of a little-endian size and as many bytes (lz4, doc/lz4_Frame_format.md, "Legacy frame")."""
    blocks = []
    position = len(_LZ4_LEGACY)
    while position + 4 < len(data):  # the last four bytes are no block but the unpacked size
        size = int.from_bytes(data[position : position + 4], "little")
        position += 4
        block = data[position : position + size]
        if len(block) < size:
            raise InputError("the compressed data is cut off")
        blocks.append(lz4.block.decompress(block, uncompressed_size=_LZ4_LEGACY_BLOCK))
        position += size
    return b"".join(blocks)
