"""What the lab needs from the host's packages: for what, how to tell that it is there, and what it is called.

The list is what ``configure`` and ``ninja`` ask for with the lab's options, and the programs the lab itself starts.
The dnf names are those of QEMU's own build containers (tests/docker/dockerfiles/fedora.docker, centos9.docker).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from lab.command import is_installed, run
from lab.errors import CommandError, DeadlineError

_PROBE_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Program:
    """A program on PATH."""

    name: str


@dataclass(frozen=True)
class Library:
    """A library with its development files, as pkg-config knows it.

    :param module: pkg-config's name.
    """

    module: str


@dataclass(frozen=True)
class Header:
    """A C header that the compiler finds; for libraries without a pkg-config file."""

    name: str


@dataclass(frozen=True)
class DataFile:
    """A file in a fixed place."""

    path: Path


@dataclass(frozen=True)
class PythonModule:
    """A module of the running Python that some distributions package apart."""

    name: str


Probe = Program | Library | Header | DataFile | PythonModule


@dataclass(frozen=True)
class Requirement:
    """Something the host must have.

    :param name: what people call it.
    :param purpose: finishes the sentence "needed to ...".
    :param apt: package names on Debian and what is built from it.
    :param dnf: package names on Fedora and RHEL.
    :param is_in_crb: RHEL keeps one of them in the CodeReady Builder repository, which is off by default.
    """

    name: str
    purpose: str
    probe: Probe
    apt: tuple[str, ...]
    dnf: tuple[str, ...]
    is_in_crb: bool = False


REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement("gcc", "compile QEMU", Program("gcc"), ("gcc",), ("gcc",)),
    # Debian's gcc only recommends the C library's headers.
    Requirement("C library headers", "compile QEMU", Header("stdio.h"), ("libc6-dev",), ("glibc-devel",)),
    Requirement("binutils", "link QEMU and make its option ROMs", Program("objcopy"), ("binutils",), ("binutils",)),
    Requirement("make", "make QEMU's option ROMs", Program("make"), ("make",), ("make",)),
    Requirement("ninja", "build QEMU", Program("ninja"), ("ninja-build",), ("ninja-build",), is_in_crb=True),
    Requirement(
        "pkg-config", "let configure find libraries", Program("pkg-config"), ("pkg-config",), ("pkgconf-pkg-config",)
    ),
    Requirement("GLib", "compile QEMU", Library("glib-2.0"), ("libglib2.0-dev",), ("glib2-devel",)),
    Requirement("zlib", "compile QEMU", Library("zlib"), ("zlib1g-dev",), ("zlib-devel",)),
    Requirement(
        "libslirp", "give a guest network without root", Library("slirp"), ("libslirp-dev",), ("libslirp-devel",), True
    ),
    Requirement("liburing", "measure aio=io_uring", Library("liburing"), ("liburing-dev",), ("liburing-devel",), True),
    Requirement("libaio", "measure aio=native", Header("libaio.h"), ("libaio-dev",), ("libaio-devel",)),
    Requirement("libnuma", "bind memory to NUMA nodes", Header("numa.h"), ("libnuma-dev",), ("numactl-devel",)),
    Requirement(
        "SeaBIOS", "start a guest", DataFile(Path("usr/share/seabios/bios-256k.bin")), ("seabios",), ("seabios-bin",)
    ),
    Requirement("git", "apply a series and keep source trees", Program("git"), ("git",), ("git-core",)),
    Requirement("setpriv", "end QEMU with the lab", Program("setpriv"), ("util-linux",), ("util-linux",)),
    Requirement(
        "ensurepip",
        "make the virtual environment of QEMU's build",
        PythonModule("ensurepip"),
        ("python3-venv",),
        ("python3",),
    ),
)

VALGRIND = Requirement(
    "Valgrind", "count instructions, for 'lab cost'", Program("valgrind"), ("valgrind",), ("valgrind",)
)
OPTIONAL: tuple[Requirement, ...] = (VALGRIND,)
"""What a single verb needs: nothing else waits for it, and ``lab doctor --fix`` installs it."""


def is_present(probe: Probe, root: Path = Path("/")) -> bool:
    """Tell whether the host has it.

    A library counts as absent while pkg-config is, and a header while the compiler is: asking for a package that is
    there already does no harm.

    :param root: where data files are looked for.
    """
    match probe:
        case Program(name):
            return is_installed(name)
        case Library(module):
            return _succeeds(("pkg-config", "--exists", module))
        case Header(name):
            return _succeeds(("gcc", "-E", "-x", "c", "-include", name, "/dev/null", "-o", "/dev/null"))
        case DataFile(path):
            return (root / path).is_file()
        case PythonModule(name):
            return importlib.util.find_spec(name) is not None


def _succeeds(argv: tuple[str, ...]) -> bool:
    try:
        return run(argv, timeout_s=_PROBE_TIMEOUT_S, check=False).returncode == 0
    except (CommandError, DeadlineError):
        return False
