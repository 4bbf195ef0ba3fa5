"""A kernel file to what QEMU starts soonest: the ELF kernel inside a bzImage, where it has a PVH entry.

Started at that entry the guest does not run the kernel's own unpacking, a third of its boot time under TCG, and is not
placed at a random address. Where the inner kernel cannot be had, the bzImage is used as it is. Source of the fields:
Linux, Documentation/arch/x86/boot.rst.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab.errors import InputError
from lab.image.compression import decompress
from lab.image.elf import has_pvh_entry

_SETUP_SECTS = 0x1F1
_HEADER = 0x202
_PROTOCOL = 0x206
_KERNEL_VERSION = 0x20E
_PAYLOAD = 0x248
_PROTOCOL_WITH_PAYLOAD = 0x0208
_SECTOR = 512
_ELF = b"\x7fELF"
_VERSION = re.compile(rb"Linux version (\S+)")


@dataclass(frozen=True)
class GuestKernel:
    """A kernel for ``-kernel``.

    :param data: the file's content.
    :param version: as ``uname -r`` says it.
    :param note: why it is not the faster form; empty if it is.
    """

    data: bytes
    version: str
    note: str = ""


def read_kernel(path: Path) -> GuestKernel:
    """Read a bzImage or vmlinux and return what QEMU should start.

    :raise InputError: it cannot be read, is neither, or is a vmlinux that QEMU cannot start.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise InputError(f"the kernel '{path}' cannot be read: {err.strerror}") from err
    if data.startswith(_ELF):
        if not has_pvh_entry(data):
            raise InputError(
                f"QEMU cannot start '{path}': this vmlinux has no PVH entry",
                remedy="name the bzImage (arch/x86/boot/bzImage), or build the kernel with CONFIG_PVH=y",
            )
        return GuestKernel(data, _version_of_vmlinux(data, path))
    if data[_HEADER : _HEADER + 4] != b"HdrS":
        raise InputError(f"'{path}' is neither a bzImage nor a vmlinux")
    version = _version_of_bzimage(data)
    try:
        vmlinux = vmlinux_from_bzimage(data)
    except InputError as err:
        return GuestKernel(data, version, f"the kernel stays a bzImage, which boots more slowly: {err.message}")
    if not has_pvh_entry(vmlinux):
        return GuestKernel(data, version, "the kernel stays a bzImage, which boots more slowly: it has no PVH entry")
    return GuestKernel(vmlinux, version)


def vmlinux_from_bzimage(data: bytes) -> bytes:
    """Unpack the ELF kernel that a bzImage carries.

    :raise InputError: an old boot protocol, a compression that the lab does not know, or damaged.
    """
    if _number(data, _PROTOCOL, 2) < _PROTOCOL_WITH_PAYLOAD:
        raise InputError("its boot protocol is older than 2.08")
    setup_sectors = data[_SETUP_SECTS] or 4
    start = (setup_sectors + 1) * _SECTOR + _number(data, _PAYLOAD, 4)
    vmlinux = decompress(data[start : start + _number(data, _PAYLOAD + 4, 4)])
    if not vmlinux.startswith(_ELF):
        raise InputError("what it carries is not an ELF kernel")
    return vmlinux


def _version_of_bzimage(data: bytes) -> str:
    start = _number(data, _KERNEL_VERSION, 2) + _SECTOR
    return data[start : start + 256].partition(b"\0")[0].decode(errors="replace").partition(" ")[0]


def _version_of_vmlinux(data: bytes, path: Path) -> str:
    match = _VERSION.search(data)
    if match is None:
        raise InputError(f"'{path}' does not say which version of Linux it is")
    return match[1].decode(errors="replace")


def _number(data: bytes, offset: int, size: int) -> int:
    return int.from_bytes(data[offset : offset + size], "little")
