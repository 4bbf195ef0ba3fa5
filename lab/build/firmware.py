"""What a build needs beside its binaries to boot a guest: option ROMs built from the tree, and a BIOS.

QEMU's own configure leaves the option ROMs out where 32-bit libc headers are missing (its probe links a program); the
ROMs themselves are freestanding and need only a compiler that knows ``-m16``. Distribution sources carry no prebuilt
ones.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.build.toolchain import Toolchain, build_environment
from lab.command import run_logged
from lab.errors import HostError

_NEEDED_ROMS = ("linuxboot_dma.bin", "pvh.bin")
"""What -kernel needs for a bzImage and for a vmlinux with a PVH entry (hw/i386/x86-common.c)."""
_BIOS = "bios-256k.bin"
_BIOS_FOLDERS = (Path("/usr/share/seabios"), Path("/usr/share/qemu"), Path("/usr/share/qemu-kvm"))
_TIMEOUT_S = 120.0


def gather_firmware(source: Path, build: Path, into: Path, toolchain: Toolchain, log: Path) -> None:
    """Build the option ROMs and put them and a BIOS into a folder for ``-L``.

    :raise CommandError: the option ROMs do not build.
    :raise HostError: the tree makes no ROM that ``-kernel`` needs, or neither it nor the host has a BIOS.
    """
    into.mkdir()
    roms = _option_roms(source, build, toolchain, log)
    for rom in sorted(roms.glob("*.bin")):
        shutil.copyfile(rom, into / rom.name)
    missing = [name for name in _NEEDED_ROMS if not (into / name).is_file()]
    if missing:
        raise HostError(f"the tree's option ROMs lack {', '.join(missing)}", remedy=f"see {log}")
    shutil.copyfile(_bios(source), into / _BIOS)


def _option_roms(source: Path, build: Path, toolchain: Toolchain, log: Path) -> Path:
    folder = build / "pc-bios" / "optionrom"
    settings = folder / "config.mak"
    # The list of variables is that of write_target_makefile() in configure. Written each time: the file that
    # configure leaves where its probe succeeds says the same.
    variables = {
        "TOPSRC_DIR": source,
        "CC": toolchain.cc,
        "LD": "ld",
        "OBJCOPY": "objcopy",
        "NM": "nm",
        "PYTHON": build / "pyvenv" / "bin" / "python3",
    }
    settings.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    run_logged(
        ["make", "--no-print-directory", "-C", folder, "all"],
        log=log,
        env=build_environment(),
        inherit_env=False,
        timeout_s=_TIMEOUT_S,
    )
    return folder


def _bios(source: Path) -> Path:
    """Return the tree's own BIOS where it has one (a git tree does), else the distribution's."""
    for folder in (source / "pc-bios", *_BIOS_FOLDERS):
        path = folder / _BIOS
        if path.is_file() and path.stat().st_size > 0:
            return path
    raise HostError(
        f"there is no {_BIOS}: neither the tree nor this host has one",
        remedy="install the package seabios (seabios-bin on Fedora), or lab doctor --fix",
    )
