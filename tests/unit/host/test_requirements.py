from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import CommandError, DeadlineError
from lab.host import requirements
from lab.host.requirements import (
    OPTIONAL,
    REQUIREMENTS,
    DataFile,
    Header,
    Library,
    Program,
    PythonModule,
    is_present,
)


def test_programs_are_looked_for_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program counts when it is executable in a folder of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_present(Program("gcc"))
    (tmp_path / "gcc").write_text("#!/bin/sh\n")
    (tmp_path / "gcc").chmod(0o755)
    assert is_present(Program("gcc"))


def test_data_files_are_looked_for_in_their_place(tmp_path: Path) -> None:
    """Firmware is a file, and a folder of that name is not."""
    probe = DataFile(Path("usr/share/seabios/bios-256k.bin"))
    (tmp_path / probe.path).mkdir(parents=True)
    assert not is_present(probe, tmp_path)
    (tmp_path / probe.path).rmdir()
    (tmp_path / probe.path).write_bytes(b"bios")
    assert is_present(probe, tmp_path)


def test_python_modules_are_looked_for_in_this_python() -> None:
    """The interpreter that runs the lab is the one that is asked."""
    assert is_present(PythonModule("json")) and not is_present(PythonModule("no_such_module"))


def test_libraries_and_headers_are_asked_of_their_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pkg-config and the compiler decide, by their exit status."""
    for name, known in (("pkg-config", "--exists zlib"), ("gcc", "-E -x c -include stdio.h /dev/null -o /dev/null")):
        (tmp_path / name).write_text(f'#!/bin/sh\n[ "$*" = "{known}" ]\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert is_present(Library("zlib")) and not is_present(Library("slirp"))
    assert is_present(Header("stdio.h")) and not is_present(Header("libaio.h"))


def test_without_the_tool_a_library_counts_as_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without pkg-config and compiler lacks what they would find, and nothing is raised."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_present(Library("zlib")) and not is_present(Header("stdio.h"))


@pytest.mark.parametrize("error", [CommandError("not started"), DeadlineError("late")])
def test_a_tool_that_fails_finds_nothing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that cannot be run is an absent package, not an error of the lab."""

    def run(*_words: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(requirements, "run", run)
    assert not is_present(Library("zlib"))


def test_every_requirement_can_be_named_to_people() -> None:
    """Each has a name of its own, a purpose and the names of both package managers."""
    everything = (*REQUIREMENTS, *OPTIONAL)
    assert len({one.name for one in everything}) == len(everything)
    for one in everything:
        assert one.purpose and one.apt and one.dnf, one.name
