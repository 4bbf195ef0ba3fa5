"""Programs, modules and the init to the files of the guest. Pure: bytes in, entries of an archive out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.image.cpio import CpioEntry, character_device, directory, regular_file, symbolic_link
from lab.image.modules import KernelModule

# Debian's busybox finds its own programs without links; another's may not.
_APPLETS = """
[ awk basename blockdev cat chmod cp cut date dd df dirname dmesg echo env expr false find free grep head hostname id
insmod ip kill killall ln ls lsmod mkdir mknod mount mv nproc od pidof printf ps pwd readlink realpath rm rmdir sed
seq sh sleep sort stat sync sysctl tail taskset test timeout top touch tr true uevent umount uname uniq uptime vi wc
which xargs
"""
_BUSYBOX = PurePosixPath("/bin/busybox")
_SYSTEM_FOLDERS = ("/bin/", "/sbin/", "/usr/", "/lib/", "/lib64/")


@dataclass(frozen=True)
class GuestProgram:
    """A program with all that it is linked with.

    :param name: as the recipe calls it.
    :param version: of its package, or what else identifies it.
    :param path: where it was found; in the guest it is in the same place if that is on the guest's search path.
    :param data: the program itself.
    :param libraries: (path in the guest, content) pairs.
    """

    name: str
    version: str
    path: PurePosixPath
    data: bytes
    libraries: tuple[tuple[PurePosixPath, bytes], ...] = ()

    def guest_path(self) -> PurePosixPath:
        """Return where it is in the guest."""
        if self.name == "busybox":
            return _BUSYBOX
        return self.path if str(self.path).startswith(_SYSTEM_FOLDERS) else PurePosixPath("/usr/bin") / self.name


def entries_of_guest(
    init: bytes,
    on_uevent: bytes,
    programs: Sequence[GuestProgram],
    network_modules: Sequence[KernelModule],
    storage_modules: Sequence[KernelModule],
) -> tuple[CpioEntry, ...]:
    """Return every file of the guest.

    :param init: the guest's first process (guest-images/init says what it expects to find).
    :param storage_modules: those that are among the network modules too are loaded there.
    """
    first = {module.name for module in network_modules}
    then = [module for module in storage_modules if module.name not in first]
    entries = [
        regular_file("/init", init, 0o755),
        regular_file("/lab/on-uevent", on_uevent, 0o755),
        regular_file("/lab/network-modules", _load_list(network_modules)),
        regular_file("/lab/storage-modules", _load_list(then)),
        *(regular_file(f"/lab/modules/{_file_name(module)}", module.data) for module in (*network_modules, *then)),
        regular_file("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
        regular_file("/etc/group", b"root:x:0:\n"),
        # The kernel opens it for the init before anything is mounted.
        character_device("/dev/console", 5, 1),
        directory("/root", 0o700),
        directory("/root/.ssh", 0o700),
        directory("/tmp", 0o1777),  # noqa: S108 - the guest's
        *(directory(path) for path in ("/etc/dropbear", "/proc", "/run", "/sys", "/var/run")),
        *(symbolic_link(f"/bin/{applet}", "busybox") for applet in _APPLETS.split()),
    ]
    for program in programs:
        entries.append(regular_file(program.guest_path(), program.data, 0o755))
        entries += [regular_file(path, data, 0o755) for path, data in program.libraries]
    return tuple(entries)


def _load_list(modules: Sequence[KernelModule]) -> bytes:
    return " ".join(_file_name(module) for module in modules).encode() + b"\n"


def _file_name(module: KernelModule) -> str:
    return f"{module.name}.ko"
