"""Compressed bytes to plain ones, for what kernels and their modules are packed with."""

from __future__ import annotations

import bz2
import lzma
import zlib

import lz4.block
import zstandard

from lab.errors import InputError

_LZ4_LEGACY_BLOCK = 8 << 20  # the most that a block of lz4's legacy format unpacks to


def decompress(data: bytes) -> bytes:
    """Unpack gzip, bzip2, xz, lzma, zstd or the legacy format of lz4, told apart by their first bytes.

    Bytes after the end of the stream are passed over: the kernel's build appends the unpacked size.

    :raise InputError: none of these, or damaged.
    """
    try:
        if data.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(data)
        if data.startswith(b"BZh"):
            return bz2.BZ2Decompressor().decompress(data)
        if data.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
            return lzma.LZMADecompressor().decompress(data)
        if data.startswith(b"\x28\xb5\x2f\xfd"):
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
        if data.startswith(b"\x02\x21\x4c\x18"):
            return _decompress_lz4_legacy(data)
    except (zlib.error, OSError, EOFError, lzma.LZMAError, zstandard.ZstdError, lz4.block.LZ4BlockError) as err:
        raise InputError(f"damaged compressed data: {err}") from err
    raise InputError(f"not compressed in a way the lab knows: it begins with {data[:4].hex()}")


def _decompress_lz4_legacy(data: bytes) -> bytes:
    """Unpack blocks of a little-endian size and as many bytes (lz4, doc/lz4_Frame_format.md, "Legacy frame")."""
    blocks = []
    position = 4
    while position + 4 < len(data):
        size = int.from_bytes(data[position : position + 4], "little")
        position += 4
        if position + size > len(data):  # not a block but the unpacked size
            break
        block = data[position : position + size]
        blocks.append(lz4.block.decompress(block, uncompressed_size=_LZ4_LEGACY_BLOCK))
        position += size
    return b"".join(blocks)
