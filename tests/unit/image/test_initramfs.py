from __future__ import annotations

from pathlib import PurePosixPath

from lab.image.cpio import CpioEntry
from lab.image.initramfs import GuestProgram, entries_of_guest
from lab.image.modules import KernelModule
from lab.settings import project_dir

NET = (KernelModule("virtio", b"v"), KernelModule("virtio_net", b"n"))
DISK = (KernelModule("virtio", b"v"), KernelModule("sd_mod", b"s"))
LIBC = (PurePosixPath("/lib/libc.so.6"), b"libc")


def program(name: str, path: str) -> GuestProgram:
    """Return a program that needs the C library."""
    return GuestProgram(name, "1", PurePosixPath(path), name.encode(), (LIBC,))


def files(*programs: GuestProgram) -> dict[str, CpioEntry]:
    """Return the entries by path; none of them twice but libraries."""
    return {str(entry.path): entry for entry in entries_of_guest(b"init", b"uevent", programs, NET, DISK)}


def test_modules_are_listed_in_load_order_and_those_of_the_network_are_not_loaded_twice() -> None:
    """One line each, as the init reads it."""
    found = files()
    assert found["/lab/network-modules"].data == b"virtio.ko virtio_net.ko\n"
    assert found["/lab/storage-modules"].data == b"sd_mod.ko\n"
    assert found["/lab/modules/virtio.ko"].data == b"v" and "/lab/modules/sd_mod.ko" in found


def test_programs_stay_where_they_were_if_the_guest_looks_there() -> None:
    """busybox is where the init expects it; one from somebody's home is in /usr/bin."""
    found = files(
        program("dropbear", "/usr/sbin/dropbear"),
        program("busybox", "/usr/sbin/busybox"),
        program("fio", "/home/me/fio/fio"),
    )
    assert found["/usr/sbin/dropbear"].data == b"dropbear" and found["/usr/sbin/dropbear"].mode & 0o111
    assert found["/bin/busybox"].data == b"busybox"
    assert found["/usr/bin/fio"].data == b"fio"
    assert found["/lib/libc.so.6"].data == b"libc"
    assert not any("home" in path for path in found)


def test_the_init_and_everything_it_names_are_there() -> None:
    """A file that guest-images/init reads or runs and that nobody puts there would be seen only in a boot."""
    found = files(program("dropbearkey", "/usr/bin/dropbearkey"), program("dropbear", "/usr/sbin/dropbear"))
    assert found["/init"].data == b"init" and found["/init"].mode & 0o111
    assert found["/lab/on-uevent"].data == b"uevent" and found["/lab/on-uevent"].mode & 0o111
    assert found["/dev/console"].device == (5, 1)
    text = (project_dir() / "guest-images" / "init").read_text()
    for needed in ("/root/.ssh", "/etc/dropbear", "/tmp", "/lab/on-uevent", "/proc"):
        assert needed in text and needed in found
    for applet in ("insmod", "ip", "mkdir", "mount", "sleep", "uevent"):
        assert f"{applet} " in text and found[f"/bin/{applet}"].data == b"busybox"


def test_only_root_sees_its_folders() -> None:
    """sshd refuses keys that others could have written."""
    found = files()
    assert found["/root/.ssh"].mode & 0o777 == 0o700 == found["/root"].mode & 0o777
