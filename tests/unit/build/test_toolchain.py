from __future__ import annotations

from pathlib import Path

import pytest

from lab.build.toolchain import build_environment, probe_toolchain
from lab.errors import HostError, MissingPackagesError

_PROGRAMS = ("ninja", "make", "pkg-config", "ld", "objcopy", "nm", "git")
_PKG_CONFIG = '#!/bin/sh\n[ "$2" = pixman-1 ] && exit 1\n[ "$2" = "$ABSENT" ] && exit 1\necho 1.2\n'


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder on PATH, with programs that answer."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cc", *_PROGRAMS):
        write(folder / name, '#!/bin/sh\n[ "$1" = -dumpmachine ] && echo machine || echo "version of $0"\n')
    write(folder / "pkg-config", _PKG_CONFIG)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CC", raising=False)
    return folder


def write(path: Path, script: str) -> None:
    """Write a program."""
    path.write_text(script)
    path.chmod(0o755)


def test_compiler_linker_and_libraries_are_told(programs: Path) -> None:
    """A library that is not needed may be absent."""
    found = probe_toolchain()
    assert (found.cc, found.compiler) == ("cc", f"version of {programs}/cc [machine]")
    assert found.linker == f"version of {programs}/ld"
    assert dict(found.libraries) == {"glib-2.0": "1.2", "slirp": "1.2", "liburing": "1.2", "zlib": "1.2"}


def test_the_users_compiler_is_taken_and_part_of_the_key(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its arguments."""
    write(programs / "clang", '#!/bin/sh\necho "clang $1 $2"\n')
    monkeypatch.setenv("CC", "clang -m64")
    found = probe_toolchain()
    assert found.compiler == "clang -m64 --version [clang -m64 -dumpmachine]"
    assert found.key_facts()["settings"] == {"CC": "clang -m64"}


def test_missing_programs_are_all_named(programs: Path) -> None:
    """In one message, with the verb that installs them."""
    (programs / "cc").unlink()
    (programs / "ninja").unlink()
    with pytest.raises(MissingPackagesError, match="cc, ninja") as caught:
        probe_toolchain()
    assert "lab doctor --fix" in caught.value.remedy


def test_missing_libraries_are_named(programs: Path) -> None:
    """By pkg-config's names."""
    write(programs / "pkg-config", '#!/bin/sh\n[ "$2" = slirp ] && exit 1\necho 1.2\n')
    with pytest.raises(MissingPackagesError, match="slirp"):
        probe_toolchain()


def test_a_compiler_that_does_not_run_is_a_host_error(programs: Path) -> None:
    """It is there, and fails."""
    write(programs / "cc", "#!/bin/sh\nexit 1\n")
    with pytest.raises(HostError, match="does not run"):
        probe_toolchain()


def test_the_users_flags_do_not_reach_the_build() -> None:
    """A build with other flags is another thing."""
    environment = build_environment({"CFLAGS": "-O0", "MAKEFLAGS": "-j9", "CC": "gcc-12", "PATH": "/bin", "LANG": "de"})
    assert environment["CC"] == "gcc-12" and environment["PATH"] == "/bin" and environment["LC_ALL"] == "C.UTF-8"
    assert not {"CFLAGS", "MAKEFLAGS", "LANG"} & set(environment)
