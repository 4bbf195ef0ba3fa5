"""Small kernels for tests: a bzImage is a header, a payload and nothing that could run."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

from tests.unit.image import elf_files


def bzimage(payload: bytes, *, version: str = "6.1.0-test (x@y) #1", protocol: int = 0x020F, sectors: int = 4) -> bytes:
    """Return a bzImage; ``sectors`` is the size of its setup part, 0 meaning 4 (Documentation/arch/x86/boot.rst)."""
    setup = bytearray(512 * ((sectors or 4) + 1))
    setup[0x1F1] = sectors
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, protocol)
    struct.pack_into("<H", setup, 0x20E, 0x400 - 0x200)
    struct.pack_into("<II", setup, 0x248, 16, len(payload))
    setup[0x400 : 0x400 + len(version)] = version.encode()
    return bytes(setup) + b"unpacker code..." + payload


def modules_folder(root: Path, version: str = "6.1.0-test") -> Path:
    """Make a folder of the modules that the default recipe names, each with what it depends on, and return it."""
    folder = root / "lib" / "modules" / version
    depends = {
        "virtio": "", "virtio_ring": "", "virtio_pci": "virtio,virtio_ring", "virtio_net": "virtio,failover",
        "failover": "", "scsi_mod": "", "virtio_scsi": "scsi_mod,virtio", "virtio_blk": "virtio", "sd_mod": "scsi_mod",
        "sg": "scsi_mod",
    }  # fmt: skip
    for name, needs in depends.items():
        path = folder / "kernel" / "drivers" / f"{name}.ko.xz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(elf_files.module(name=name, depends=needs)))
    (folder / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/block/t10-pi.ko\n")
    return folder
