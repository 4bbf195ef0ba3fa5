from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard

from lab.errors import InputError
from lab.image.modules import modules_in_order
from tests.unit.image import elf_files
from tests.unit.image.kernels import modules_folder


def order(folder: Path, *names: str) -> list[str]:
    """Return the names in load order."""
    return [module.name for module in modules_in_order(folder, names)]


def test_a_module_comes_after_what_it_depends_on(tmp_path: Path) -> None:
    """Each once, in the order of the request where that is free."""
    folder = modules_folder(tmp_path)
    assert order(folder, "virtio_scsi", "sd-mod", "virtio_pci") == [
        "scsi_mod",
        "virtio",
        "virtio_scsi",
        "sd_mod",
        "virtio_ring",
        "virtio_pci",
    ]


def test_what_is_built_in_is_left_out(tmp_path: Path) -> None:
    """Dashes and underscores mean the same."""
    assert order(modules_folder(tmp_path), "ext4", "t10_pi", "sg") == ["scsi_mod", "sg"]


def test_modules_are_handed_over_unpacked(tmp_path: Path) -> None:
    """The guest's insmod may not know xz."""
    plain = elf_files.module(name="one", depends="")
    for suffix, data in ((".ko", plain), (".ko.gz", gzip.compress(plain)), (".ko.zst", zstandard.compress(plain))):
        folder = tmp_path / suffix
        folder.mkdir()
        (folder / f"one{suffix}").write_bytes(data)
        assert [module.data for module in modules_in_order(folder, ["one"])] == [plain]


def test_a_missing_module_is_told_with_who_wants_it(tmp_path: Path) -> None:
    """The recipe, or another module."""
    folder = modules_folder(tmp_path)
    with pytest.raises(InputError, match="no module 'nvme', which the recipe needs"):
        order(folder, "nvme")
    (folder / "kernel" / "drivers" / "scsi_mod.ko.xz").unlink()
    with pytest.raises(InputError, match="no module 'scsi_mod', which module sg needs"):
        order(folder, "sg")


def test_modules_that_depend_on_each_other_do_not_hang_the_lab(tmp_path: Path) -> None:
    """Such a kernel cannot be, but a damaged folder can."""
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / f"{name}.ko").write_bytes(elf_files.module(name=name, depends=other))
    assert order(tmp_path, "one") == ["two", "one"]


def test_a_missing_folder_and_an_unreadable_module_are_told(tmp_path: Path) -> None:
    """The user named another kernel's folder, say."""
    with pytest.raises(InputError, match="no folder of kernel modules"):
        order(tmp_path / "absent", "sg")
    (tmp_path / "sg.ko").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        order(tmp_path, "sg")
