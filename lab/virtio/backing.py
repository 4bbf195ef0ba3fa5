"""A disk's name and what lies behind it, to the block nodes that QEMU is started with."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from lab.virtio.hold_server import block_pattern
from lab.virtio.scsi import BLOCK_BYTES

NULL_LATENCY_NS = 200_000


class Backing(StrEnum):
    """What is behind a disk."""

    HELD = "held"
    """The hold server: each request ends when the lab says so, or at once."""
    NULL = "null"
    """QEMU's null-co, which answers zeros after 0.2 ms: the most requests in flight at the highest rate."""
    FILE = "file"
    """A sparse file, so that data is kept and requests pass through QEMU's thread pool."""

    @property
    def keeps_data(self) -> bool:
        """Whether what was written can be read back."""
        return self is not Backing.NULL

    def fresh_block(self, lba: int) -> bytes:
        """Return what a block holds that was never written."""
        return block_pattern(lba) if self is Backing.HELD else bytes(BLOCK_BYTES)


def copy_name(unit: str) -> str:
    """Return the name of the node that a disk can be mirrored to."""
    return f"{unit}-copy"


def node_from_backing(backing: Backing, name: str, folder: Path, socket: Path, size_mib: int) -> dict[str, object]:
    """Return the node behind a disk as ``-blockdev`` takes it; for a file, the file is made.

    :param socket: of the hold server.
    """
    if backing is Backing.HELD:
        server = {"type": "unix", "path": str(socket)}
        return {"driver": "nbd", "node-name": name, "server": server, "export": name}
    if backing is Backing.NULL:
        zeros = {"size": size_mib << 20, "latency-ns": NULL_LATENCY_NS, "read-zeroes": True}
        return {"driver": "null-co", "node-name": name, **zeros}
    path = folder / f"{name}.raw"
    with path.open("wb") as file:
        file.truncate(size_mib << 20)
    return {"driver": "file", "node-name": name, "filename": str(path)}


def with_throttle(node: dict[str, object], name: str, group: str) -> dict[str, object]:
    """Return a filter of that name over a node, whose limits can be changed while requests are in flight."""
    return {"driver": "throttle", "node-name": name, "throttle-group": group, "file": node}
