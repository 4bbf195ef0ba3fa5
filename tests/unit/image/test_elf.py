from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from lab.errors import InputError
from lab.image.elf import files_of_program, has_pvh_entry, module_info, read_program
from tests.unit.image import elf_files

LOADER = "/lib64/ld-linux-x86-64.so.2"
DEBIAN = "lib/x86_64-linux-gnu"


def put(root: Path, path: str, data: bytes) -> Path:
    """Write a file below a root and return it."""
    file = root / path.removeprefix("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def found(program: str, root: Path) -> dict[str, str]:
    """Return guest path to path below the root."""
    files = files_of_program(PurePosixPath(program), root)
    return {str(guest): str(path.relative_to(root.resolve())) for guest, path in files.items()}


def test_libraries_are_followed_to_the_last(tmp_path: Path) -> None:
    """A library's libraries count; each is there once, a loader that a library names is the program's own."""
    put(tmp_path, "/usr/sbin/dropbear", elf_files.program(interpreter=LOADER, needed=["libtom.so.1", "libc.so.6"]))
    put(tmp_path, f"/{DEBIAN}/libtom.so.1", elf_files.program(needed=["libgmp.so.10", "libc.so.6"]))
    put(tmp_path, f"/usr/{DEBIAN}/libgmp.so.10", elf_files.program(needed=["libc.so.6"]))
    put(tmp_path, f"/{DEBIAN}/libc.so.6", elf_files.program(needed=["ld-linux-x86-64.so.2"]))
    put(tmp_path, f"/{DEBIAN}/ld-linux-x86-64.so.2", elf_files.program())
    assert found("/usr/sbin/dropbear", tmp_path) == {
        LOADER: f"{DEBIAN}/ld-linux-x86-64.so.2",
        f"/{DEBIAN}/libtom.so.1": f"{DEBIAN}/libtom.so.1",
        f"/{DEBIAN}/libc.so.6": f"{DEBIAN}/libc.so.6",
        f"/usr/{DEBIAN}/libgmp.so.10": f"usr/{DEBIAN}/libgmp.so.10",
    }


def test_a_static_program_needs_nothing(tmp_path: Path) -> None:
    """As busybox and our fio."""
    put(tmp_path, "/bin/busybox", elf_files.program())
    assert found("/bin/busybox", tmp_path) == {}


def test_links_are_followed_and_the_name_that_is_asked_for_is_kept(tmp_path: Path) -> None:
    """``libz.so.1`` is a link to ``libz.so.1.2.13``; the guest gets the file under the first name."""
    put(tmp_path, "/usr/bin/x", elf_files.program(needed=["libz.so.1"]))
    put(tmp_path, "/lib64/libz.so.1.2.13", elf_files.program())
    (tmp_path / "lib64" / "libz.so.1").symlink_to("libz.so.1.2.13")
    assert found("/usr/bin/x", tmp_path) == {"/lib64/libz.so.1": "lib64/libz.so.1.2.13"}


def test_a_link_that_leads_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    """An absolute link in an unpacked package would give the host's file instead."""
    outside = put(tmp_path, "outside/libz.so.1", elf_files.program())
    root = tmp_path / "root"
    put(root, "/usr/bin/x", elf_files.program(needed=["libz.so.1"]))
    (root / "lib64").mkdir()
    (root / "lib64" / "libz.so.1").symlink_to(outside)
    with pytest.raises(InputError, match=r"needs the library 'libz\.so\.1'"):
        found("/usr/bin/x", root)


def test_the_library_of_another_architecture_is_passed_over(tmp_path: Path) -> None:
    """Fedora has the 32-bit libraries in /lib."""
    put(tmp_path, "/usr/bin/x", elf_files.program(needed=["libz.so.1"]))
    put(tmp_path, "/lib64/libz.so.1", elf_files.program(machine=elf_files.AARCH64))
    put(tmp_path, "/usr/lib/libz.so.1", elf_files.program())
    assert found("/usr/bin/x", tmp_path) == {"/usr/lib/libz.so.1": "usr/lib/libz.so.1"}


@pytest.mark.parametrize("origin", ["$ORIGIN", "${ORIGIN}"])
def test_a_program_may_say_where_its_libraries_are(tmp_path: Path, origin: str) -> None:
    """Relative to itself, as programs outside the distribution do."""
    put(tmp_path, "/usr/bin/x", elf_files.program(needed=["libprivate.so"], run_path=f"{origin}/../lib/x:/nowhere"))
    put(tmp_path, "/usr/lib/x/libprivate.so", elf_files.program())
    assert found("/usr/bin/x", tmp_path) == {"/usr/lib/x/libprivate.so": "usr/lib/x/libprivate.so"}
    assert read_program(put(tmp_path, "/y", elf_files.program(r_path="/opt/lib"))).run_path == ("/opt/lib",)


def test_a_missing_program_or_a_text_is_told_by_name(tmp_path: Path) -> None:
    """What the recipe named is not there, or is a script."""
    with pytest.raises(InputError, match="cannot be read"):
        found("/usr/bin/absent", tmp_path)
    put(tmp_path, "/usr/bin/script", b"#!/bin/sh\n")
    with pytest.raises(InputError, match="is not a program"):
        found("/usr/bin/script", tmp_path)


def test_only_a_kernel_with_the_note_can_be_started_directly() -> None:
    """XEN_ELFNOTE_PHYS32_ENTRY; a text is no kernel."""
    assert has_pvh_entry(elf_files.vmlinux())
    assert not has_pvh_entry(elf_files.vmlinux(pvh=False))
    assert not has_pvh_entry(b"\x7fELF")


def test_a_module_says_what_it_depends_on() -> None:
    """Items without a value are passed over."""
    assert dict(module_info(elf_files.module(depends="scsi_mod", name="sd_mod"))) == {
        "depends": "scsi_mod",
        "name": "sd_mod",
    }


def test_what_is_no_module_is_refused() -> None:
    """Neither ELF, nor with the section."""
    for data in (b"text", elf_files.program()):
        with pytest.raises(InputError, match="not a kernel module"):
            list(module_info(data))
