from __future__ import annotations

from pathlib import Path

import pytest

from lab.build import firmware
from lab.build.firmware import gather_firmware
from lab.errors import CommandError, HostError
from tests.unit.build.fake_tree import TOOLCHAIN


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return a source and a build folder whose option ROMs are made by a line of shell."""
    source, build = tmp_path / "source", tmp_path / "build"
    (source / "pc-bios").mkdir(parents=True)
    (build / "pc-bios" / "optionrom").mkdir(parents=True)
    makefile = build / "pc-bios" / "optionrom" / "Makefile"
    makefile.write_text("include config.mak\nall:\n\t@echo $(CC) > pvh.bin\n\t@echo $(LD) > linuxboot_dma.bin\n")
    return source, build


def test_option_roms_and_a_bios_are_gathered(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    """The tree's own BIOS comes first."""
    source, build = folders
    (source / "pc-bios" / "bios-256k.bin").write_text("bios")
    gather_firmware(source, build, tmp_path / "out", TOOLCHAIN, tmp_path / "log")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "bios-256k.bin",
        "linuxboot_dma.bin",
        "pvh.bin",
    ]
    assert (tmp_path / "out" / "pvh.bin").read_text() == "cc\n"


def test_the_hosts_bios_is_taken_where_the_tree_has_none(
    tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distribution sources carry none, or an empty file in its place."""
    source, build = folders
    (source / "pc-bios" / "bios-256k.bin").touch()
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "bios-256k.bin").write_text("host's")
    monkeypatch.setattr(firmware, "_BIOS_FOLDERS", (tmp_path / "none", tmp_path / "host"))
    gather_firmware(source, build, tmp_path / "out", TOOLCHAIN, tmp_path / "log")
    assert (tmp_path / "out" / "bios-256k.bin").read_text() == "host's"


def test_no_bios_at_all_is_a_host_error(
    tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy names the package."""
    monkeypatch.setattr(firmware, "_BIOS_FOLDERS", ())
    with pytest.raises(HostError, match=r"no bios-256k\.bin") as caught:
        gather_firmware(*folders, tmp_path / "out", TOOLCHAIN, tmp_path / "log")
    assert "seabios" in caught.value.remedy


def test_a_tree_that_makes_no_boot_rom_is_a_host_error(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    """Without it -kernel does not work, and nobody would know why."""
    (folders[1] / "pc-bios" / "optionrom" / "Makefile").write_text("all:\n\t@echo > pvh.bin\n")
    with pytest.raises(HostError, match=r"lack linuxboot_dma\.bin"):
        gather_firmware(*folders, tmp_path / "out", TOOLCHAIN, tmp_path / "log")


def test_option_roms_that_do_not_build_are_a_command_error(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    """With the log."""
    (folders[1] / "pc-bios" / "optionrom" / "Makefile").write_text("all:\n\tfalse\n")
    with pytest.raises(CommandError):
        gather_firmware(*folders, tmp_path / "out", TOOLCHAIN, tmp_path / "log")
    assert (tmp_path / "log").is_file()
