"""What the blocks of a race's disks hold: each something of its own, so that a READ of nothing or of another shows."""

from __future__ import annotations

from pathlib import Path

from lab.virtio.backing import Backing
from lab.virtio.hold_server import block_pattern
from lab.virtio.scsi import BLOCK_BYTES


def fill_files(folder: Path) -> None:
    """Write each block's pattern into the files that QEMU has open as disks; the copies are filled by mirrors."""
    for path in folder.glob("*-disk.raw"):
        blocks = range(path.stat().st_size // BLOCK_BYTES)
        with path.open("r+b") as file:
            file.write(b"".join(map(block_pattern, blocks)))


def fresh_block(backing: Backing, lba: int) -> bytes:
    """Return what a block holds that was never written."""
    return block_pattern(lba) if backing is Backing.FILE else backing.fresh_block(lba)


def written_block(lba: int) -> bytes:
    """Return what the races write to a block: it differs from anything that a fresh block holds."""
    return (~lba & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big") * (BLOCK_BYTES // 8)
