from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.image.recipe import load_recipe
from lab.settings import project_dir

GOOD = """\
name = "mine"
init = "init"
on_uevent = "on-uevent"
[kernel]
image = "kernels/bzImage-{release}"
modules_folder = "/lib/modules/{release}"
network_modules = ["virtio_net"]
storage_modules = ["sd_mod"]
arguments = ["panic=-1"]
[programs]
busybox = { package = "busybox-static", path = "/bin/busybox" }
dropbear = { path = "/usr/sbin/dropbear" }
dropbearkey = { path = "/usr/bin/dropbearkey" }
sg_reset = { path = "/usr/bin/sg_reset" }
fio = { source_package = "fio" }
"""


def put(folder: Path, text: str) -> Path:
    """Write a recipe."""
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["default", "installed"])
def test_our_own_recipes_are_good(name: str) -> None:
    """And their scripts are there."""
    recipe = load_recipe(project_dir() / "guest-images" / f"{name}.toml")
    assert recipe.name == name and recipe.init.is_file() and recipe.on_uevent.is_file()
    assert recipe.needs_apt() is (name == "default")
    assert "panic=-1" in recipe.kernel.arguments


def test_paths_are_relative_to_the_recipe_and_the_running_kernel_has_a_word(tmp_path: Path) -> None:
    """An absolute path stays what it is."""
    recipe = load_recipe(put(tmp_path, GOOD))
    release = os.uname().release
    assert recipe.init == tmp_path / "init"
    assert recipe.kernel.image == tmp_path / "kernels" / f"bzImage-{release}"
    assert recipe.kernel.modules_folder == Path(f"/lib/modules/{release}")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('name = "mine"', 'name = "../mine"', "name"),
        ('name = "mine"', 'nane = "mine"', "nane"),
        ("[programs]", "[kernal]\n[programs]", "kernal"),
        ('image = "kernels/bzImage-{release}"', 'packages = ["linux"]', "image and modules_folder belong together"),
        ("[kernel]", '[kernel]\npackages = ["linux"]', "either packages or image"),
        ('modules_folder = "/lib/modules/{release}"\n', "", "image and modules_folder belong together"),
        ('sg_reset = { path = "/usr/bin/sg_reset" }', "", "programs lack sg_reset"),
        ('source_package = "fio"', 'source_package = "fio", package = "fio"', "exclude each other"),
        ('source_package = "fio"', 'package = "fio"', "either source_package or path"),
        ('path = "/usr/bin/sg_reset"', 'source_package = "sg3-utils"', "only fio can be built from source"),
        ('path = "/usr/bin/sg_reset"', 'path = "sg_reset"', "not absolute"),
        ('path = "/usr/bin/sg_reset"', 'path = "/usr/../sg_reset"', "not absolute"),
        ('package = "busybox-static"', 'package = "-o=x"', "package"),
        ('arguments = ["panic=-1"]', 'arguments = ["panic=-1 init=/bin/sh"]', "arguments"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, old: str, new: str, why: str) -> None:
    """Exit code 2, and where to see every key."""
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        load_recipe(put(tmp_path, GOOD.replace(old, new, 1)))
    assert why in caught.value.message and "default.toml" in caught.value.remedy


def test_a_missing_file_and_a_text_that_is_not_toml_are_told(tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe(tmp_path / "absent.toml")
    with pytest.raises(InputError, match="is not TOML"):
        load_recipe(put(tmp_path, "name ="))


def test_a_recipe_that_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    """A pipe is not waited for; nesting without end is no TOML."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        load_recipe(tmp_path / "pipe")
    with pytest.raises(InputError, match="nested too deep"):
        load_recipe(put(tmp_path, "x = " + "[" * 5000))
