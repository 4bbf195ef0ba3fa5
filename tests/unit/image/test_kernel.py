from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.image.kernel import read_kernel, vmlinux_from_bzimage
from tests.unit.image import elf_files
from tests.unit.image.kernels import bzimage


def put(folder: Path, data: bytes) -> Path:
    """Write a kernel file."""
    path = folder / "vmlinuz"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("sectors", [0, 4, 31])
def test_the_kernel_inside_a_bzimage_is_what_qemu_starts(tmp_path: Path, sectors: int) -> None:
    """Whatever the size of the setup part; 0 means 4, for old boot loaders' sake."""
    inner = elf_files.vmlinux()
    payload = gzip.compress(inner) + len(inner).to_bytes(4, "little")
    kernel = read_kernel(put(tmp_path, bzimage(payload, sectors=sectors)))
    assert (kernel.data, kernel.version, kernel.note) == (inner, "6.1.0-test", "")


@pytest.mark.parametrize(
    ("payload", "protocol", "why"),
    [
        (b"\x89LZO" * 9, 0x020F, "not compressed in a way the lab knows"),
        (gzip.compress(elf_files.vmlinux(pvh=False)), 0x020F, "no PVH entry"),
        (gzip.compress(b"MZ no ELF"), 0x020F, "not an ELF kernel"),
        (gzip.compress(elf_files.vmlinux()), 0x0207, "older than 2.08"),
    ],
)
def test_a_bzimage_that_cannot_be_opened_is_used_as_it_is(
    tmp_path: Path, payload: bytes, protocol: int, why: str
) -> None:
    """Slower, and the image says why."""
    whole = bzimage(payload, protocol=protocol)
    kernel = read_kernel(put(tmp_path, whole))
    assert (kernel.data, kernel.version) == (whole, "6.1.0-test")
    assert why in kernel.note and "more slowly" in kernel.note


def test_a_vmlinux_of_the_users_own_is_used_as_it_is(tmp_path: Path) -> None:
    """Its version is in its text."""
    data = elf_files.vmlinux(version="6.12.0-mine+")
    kernel = read_kernel(put(tmp_path, data))
    assert (kernel.data, kernel.version) == (data, "6.12.0-mine+")


def test_a_vmlinux_that_qemu_cannot_start_is_refused(tmp_path: Path) -> None:
    """QEMU would say "Error loading uncompressed kernel without PVH ELF Note"."""
    with pytest.raises(InputError, match="no PVH entry") as caught:
        read_kernel(put(tmp_path, elf_files.vmlinux(pvh=False)))
    assert "CONFIG_PVH" in caught.value.remedy


def test_what_is_no_kernel_is_refused(tmp_path: Path) -> None:
    """A missing file, a text, an ELF program that is no Linux."""
    with pytest.raises(InputError, match="cannot be read"):
        read_kernel(tmp_path / "absent")
    with pytest.raises(InputError, match="neither a bzImage nor a vmlinux"):
        read_kernel(put(tmp_path, b"text"))
    with pytest.raises(InputError, match="which version of Linux"):
        read_kernel(put(tmp_path, elf_files.vmlinux().replace(b"Linux version", b"Other version")))


def test_the_inner_kernel_of_an_old_bzimage_cannot_be_found() -> None:
    """Before boot protocol 2.08 the header does not say where it is."""
    with pytest.raises(InputError, match="older than"):
        vmlinux_from_bzimage(bzimage(b"", protocol=0x0207))
