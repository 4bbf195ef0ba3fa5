"""What builds QEMU on this host: compiler, linker, libraries, and the environment that reaches them.

The user's ``CFLAGS`` and the like do not: a build with other flags is another thing, and nobody would see it. ``CC``
and pkg-config's paths do, and are part of the key.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from lab.command import run
from lab.errors import CommandError, HostError, MissingPackagesError

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "http_proxy", "https_proxy", "no_proxy")
_KEYED = ("CC", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR")
_PROGRAMS = ("ninja", "make", "pkg-config", "ld", "objcopy", "nm", "git")
# pkg-config's names of what the lab's options need (meson.build of QEMU: glib, slirp, linux_io_uring, zlib).
_LIBRARIES = ("glib-2.0", "slirp", "liburing", "zlib", "pixman-1")
_OPTIONAL_LIBRARIES = ("pixman-1",)


@dataclass(frozen=True)
class Toolchain:
    """Compiler and libraries of this host.

    :param cc: program name or path.
    :param compiler: first line of its version, with its target.
    :param libraries: (name, version) pairs.
    :param settings: environment variables of the user that configure sees and that are part of the key.
    """

    cc: str
    compiler: str
    linker: str
    libraries: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...] = ()

    def key_facts(self) -> dict[str, object]:
        """Return what a build depends on, for its key."""
        return {
            "compiler": self.compiler,
            "linker": self.linker,
            "libraries": dict(self.libraries),
            "settings": dict(self.settings),
        }


def build_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of configure, ninja and make."""
    environ = os.environ if environ is None else environ
    return {
        **{name: environ[name] for name in (*_PASSED_ON, *_KEYED) if name in environ},
        "LC_ALL": "C.UTF-8",
        # Nothing may ask, and git must not look for a repository around the build folder.
        "GIT_CEILING_DIRECTORIES": "/",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }


def probe_toolchain() -> Toolchain:
    """Return what this host builds with.

    :raise MissingPackagesError: a program or library is missing; the message names them all.
    :raise HostError: the compiler does not run.
    """
    cc = os.environ.get("CC", "cc")
    words = cc.split()
    missing = [program for program in (*words[:1], *_PROGRAMS) if shutil.which(program) is None]
    if missing:
        raise _missing(missing)
    libraries = {name: _first_line("pkg-config", "--modversion", name, check=False) for name in _LIBRARIES}
    missing = [name for name, version in libraries.items() if not version and name not in _OPTIONAL_LIBRARIES]
    if missing:
        raise _missing([f"{name} (development files)" for name in missing])
    try:
        compiler = f"{_first_line(*words, '--version')} [{_first_line(*words, '-dumpmachine')}]"
    except CommandError as err:
        raise HostError(f"the compiler does not run: {err.message}", remedy="install gcc, or set CC") from err
    return Toolchain(
        cc=cc,
        compiler=compiler,
        linker=_first_line("ld", "--version"),
        libraries=tuple((name, version) for name, version in libraries.items() if version),
        settings=tuple((name, os.environ[name]) for name in _KEYED if name in os.environ),
    )


def _missing(names: list[str]) -> MissingPackagesError:
    return MissingPackagesError(
        f"building QEMU needs what is not installed: {', '.join(names)}",
        remedy="lab doctor --fix installs it; lab doctor names the packages",
    )


def _first_line(*argv: str, check: bool = True) -> str:
    result = run(argv, env=build_environment(), inherit_env=False, check=check)
    return result.stdout.strip().partition("\n")[0] if result.returncode == 0 else ""
