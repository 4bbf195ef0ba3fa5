from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.command import CommandResult
from lab.errors import HostError, InputError
from lab.host.apt import PrivateApt
from lab.host.apt_config import AptConfiguration
from lab.image import build as module
from lab.image import packages as packages_module
from lab.image.build import build_image
from lab.image.guest_image import GuestImage
from lab.image.recipe import Recipe, load_recipe
from lab.progress import Progress
from lab.settings import project_dir
from lab.testing import RecordingProgress
from tests.unit.host.fake_apt import FakeApt, result
from tests.unit.image import elf_files
from tests.unit.image.kernels import bzimage, modules_folder
from tests.unit.image.test_cpio import read_archive
from tests.unit.image.test_packages import KERNEL, simulated

LOADER = "/lib64/ld-linux-x86-64.so.2"


class Mirror(FakeApt):
    """An archive whose packages can be fetched and unpacked.

    :param version: of every package.
    """

    def __init__(self, version: str = "1.0") -> None:
        self.version = version
        self.layout = self.kernel_files
        super().__init__(
            {
                "apt-cache policy": "  Candidate: 6.1\n",
                "apt-get install --simulate": lambda _: self._solved(),
                "apt-cache showsrc": "Version: 3.33-3\n",
                "apt-get download": lambda _: "",
            }
        )

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        check: bool = True,
    ) -> CommandResult:
        """Fetch a package as an empty file, unpack it as what a package of its name holds; else as told."""
        if argv[:2] == ("apt-get", "download"):
            assert cwd is not None
            for word in argv[3:]:
                (cwd / f"{str(word).partition('=')[0]}_1_amd64.deb").touch()
        if argv[0] == "dpkg-deb":
            self.calls.append("unpack")
            name = Path(argv[2]).name.partition("_")[0]
            self.layout(Path(argv[3])) if name == KERNEL else self.program_files(Path(argv[3]))
            return result()
        return super().__call__(argv, cwd=cwd, env=env, timeout_s=timeout_s, check=check)

    def _solved(self) -> str:
        return simulated(KERNEL, "busybox-static", "dropbear-bin", "sg3-utils").replace("(1.0 ", f"({self.version} ")

    @staticmethod
    def kernel_files(root: Path) -> None:
        """Make what a kernel's package holds."""
        (root / "boot").mkdir(parents=True, exist_ok=True)
        (root / "boot" / "vmlinuz-6.1.0-test").write_bytes(bzimage(gzip.compress(elf_files.vmlinux())))
        modules_folder(root)

    @staticmethod
    def program_files(root: Path) -> None:
        """Make what the programs' packages hold."""
        for path in ("bin/busybox", "usr/sbin/dropbear", "usr/bin/dropbearkey", "usr/bin/sg_reset"):
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(elf_files.program(filler=path.encode()))
        (root / "usr/bin/sg_reset").write_bytes(elf_files.program(interpreter=LOADER, needed=["libc.so.6"]))
        (root / "lib64").mkdir(exist_ok=True)
        for library in ("libc.so.6", "ld-linux-x86-64.so.2"):
            (root / "lib64" / library).write_bytes(elf_files.program())


class Lab:
    """Builds images against a mirror, and counts what was asked of it."""

    def __init__(self, folder: Path, mirror: Mirror) -> None:
        self.folder = folder
        self.mirror = mirror
        self.progress = RecordingProgress()
        self.opened: list[bool] = []

    def open_apt(self, *, source: bool, refresh: bool, progress: Progress) -> PrivateApt:
        """Open the mirror, showing progress as the real one does."""
        assert source
        self.opened.append(refresh)
        with progress.stage("fetching package lists"):
            return PrivateApt(AptConfiguration(self.folder / "apt", self.mirror))

    def build(self, recipe: Recipe, *, refresh: bool = False) -> GuestImage:
        """Build, or find."""
        return build_image(recipe, progress=self.progress, refresh=refresh, open_apt=self.open_apt)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab with an empty cache, a mirror, and a fio that is already built."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packages_module, "toolchain", lambda: "gcc 12")
    fio = tmp_path / "fio"
    fio.write_bytes(elf_files.program(filler=b"fio"))
    monkeypatch.setattr(module, "fio_program", lambda *_: fio)
    return Lab(tmp_path, Mirror())


def default(**changes: Any) -> Recipe:
    """Return the default recipe, changed."""
    return load_recipe(project_dir() / "guest-images" / "default.toml").model_copy(update=changes)


def own_recipe(folder: Path) -> Recipe:
    """Return a recipe of the user's own kernel and programs."""
    Mirror.kernel_files(folder)
    Mirror.program_files(folder)
    (folder / "usr/bin/fio").write_bytes(elf_files.program(filler=b"own fio"))
    programs = {"busybox": "bin", "dropbear": "usr/sbin", "dropbearkey": "usr/bin", "fio": "usr/bin", "sg_reset": "bin"}
    shutil.copy(folder / "bin/busybox", folder / "bin/sg_reset")
    lines = [f'{name} = {{ path = "{folder}/{place}/{name}" }}' for name, place in programs.items()]
    text = f"""
name = "own"
init = "{project_dir()}/guest-images/init"
on_uevent = "{project_dir()}/guest-images/on-uevent"
[kernel]
image = "boot/vmlinuz-6.1.0-test"
modules_folder = "lib/modules/6.1.0-test"
network_modules = ["virtio_net"]
storage_modules = ["sd_mod"]
[programs]
"""
    (folder / "own.toml").write_text(text + "\n".join(lines))
    return load_recipe(folder / "own.toml")


def contents(image: GuestImage) -> dict[str, bytes]:
    """Return the files of the initramfs."""
    return {name: content for name, _, content in read_archive(image.initrd.read_bytes())}


def test_an_image_holds_kernel_programs_libraries_and_modules(lab: Lab) -> None:
    """From packages, and fio from source; the kernel is the faster form."""
    image = lab.build(default())
    files = contents(image)
    assert image.kernel.read_bytes() == elf_files.vmlinux()
    assert image.kernel_version == "6.1.0-test" and image.notes == ()
    assert files["usr/bin/fio"] == elf_files.program(filler=b"fio")
    assert {"bin/busybox", "usr/sbin/dropbear", "usr/bin/dropbearkey", "lib64/libc.so.6"} <= set(files)
    assert LOADER[1:] in files
    assert files["lab/network-modules"].split()[-1] == b"virtio_net.ko"
    assert image.programs["dropbear"] == "1.0" and image.programs["fio"] == "3.33-3"
    assert image.cmdline.startswith("panic=-1 ") and "console" not in image.cmdline


def test_the_second_call_asks_nobody(lab: Lab) -> None:
    """Neither apt nor the mirror, and it shows no progress."""
    first = lab.build(default())
    calls, opened, stages = len(lab.mirror.calls), len(lab.opened), len(lab.progress.stages)
    assert lab.build(default()) == first
    assert (len(lab.mirror.calls), len(lab.opened), len(lab.progress.stages)) == (calls, opened, stages)


def test_a_refresh_asks_the_mirror_and_keeps_the_image_if_nothing_changed(lab: Lab) -> None:
    """The lists are fetched, the packages are not."""
    first = lab.build(default())
    unpacked = lab.mirror.count("unpack")
    assert lab.build(default(), refresh=True) == first
    assert lab.opened == [False, True] and lab.mirror.count("unpack") == unpacked


def test_a_new_version_on_the_mirror_makes_a_new_image(lab: Lab) -> None:
    """The old one stays: results of an experiment may need it."""
    first = lab.build(default())
    lab.mirror.version = "1.1"
    second = lab.build(default(), refresh=True)
    assert second.key != first.key and first.kernel.exists() and second.programs["dropbear"] == "1.1"


def test_the_same_inputs_give_the_same_bytes(lab: Lab) -> None:
    """However long ago the first was made, and in whatever order files were found."""
    first = lab.build(default())
    before = first.initrd.read_bytes(), first.kernel.read_bytes(), (first.initrd.parent / "image.json").read_bytes()
    shutil.rmtree(first.kernel.parent)
    second = lab.build(default())
    after = second.initrd.read_bytes(), second.kernel.read_bytes(), (second.initrd.parent / "image.json").read_bytes()
    assert (second.key, after) == (first.key, before)


def test_another_init_is_another_image(lab: Lab, tmp_path: Path) -> None:
    """What a script says counts, not where it lies."""
    first = lab.build(default())
    copied = tmp_path / "copied-init"
    shutil.copy(default().init, copied)
    assert lab.build(default(init=copied)).key == first.key
    copied.write_text("#!/bin/busybox sh\n")
    assert lab.build(default(init=copied)).key != first.key


def test_a_user_may_bring_kernel_modules_and_programs(lab: Lab, tmp_path: Path) -> None:
    """No apt is asked; what they are is told by their content."""
    image = lab.build(own_recipe(tmp_path / "own"))
    assert lab.opened == [] and contents(image)["usr/bin/fio"] == elf_files.program(filler=b"own fio")
    assert image.programs["fio"].startswith("sha256 ")
    assert contents(image)["lab/storage-modules"] == b"scsi_mod.ko sd_mod.ko\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "usr/bin/fio").write_bytes(elf_files.program(filler=b"newer fio")),
        lambda root: (root / "boot/vmlinuz-6.1.0-test").write_bytes(elf_files.vmlinux(version="6.2.0")),
        lambda root: (root / "lib/modules/6.1.0-test/sd_mod.ko").write_bytes(elf_files.module(depends="")),
    ],
)
def test_a_change_of_the_users_own_files_makes_a_new_image(
    lab: Lab, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    """A kernel rebuilt in place, say."""
    recipe = own_recipe(tmp_path / "own")
    first = lab.build(recipe)
    modules = tmp_path / "own/lib/modules/6.1.0-test/kernel/drivers/sd_mod.ko.xz"
    change(tmp_path / "own")
    if (modules.parents[2] / "sd_mod.ko").exists():
        modules.unlink()
    assert lab.build(recipe).key != first.key


def test_a_build_that_fails_leaves_nothing_behind(lab: Lab, tmp_path: Path) -> None:
    """The next call starts anew."""
    lab.mirror.layout = lambda root: (root / "boot").mkdir(parents=True)
    with pytest.raises(HostError, match="not one kernel with its modules"):
        lab.build(default())
    left = sorted(path.name for path in (tmp_path / "cache" / "images").iterdir())
    assert left == ["default.resolved.json", "lock"]
    lab.mirror.layout = lab.mirror.kernel_files
    assert lab.build(default()).kernel.exists()


def test_lists_are_fetched_before_the_build_shows_its_own_progress(lab: Lab) -> None:
    """Stages do not nest; the recording progress refuses them."""
    lab.build(default())
    shutil.rmtree(Path(os.environ["LAB_CACHE"]) / "images" / lab.build(default()).key)
    lab.build(default())
    assert lab.progress.titles[-2:] == ["fetching package lists", "building guest image 'default'"]


def test_without_apt_the_remedy_names_the_other_recipe(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Fedora user reads what to do."""

    def no_apt(*, source: bool, refresh: bool, progress: Progress) -> PrivateApt:
        raise HostError("this host has no apt-get", remedy="use a host with apt")

    monkeypatch.setattr(lab, "open_apt", no_apt)
    with pytest.raises(HostError, match="no apt-get") as caught:
        lab.build(default())
    assert "guest-images/installed.toml" in caught.value.remedy


def test_a_script_that_is_not_there_is_told(lab: Lab, tmp_path: Path) -> None:
    """By name."""
    with pytest.raises(InputError, match="absent"):
        lab.build(default(init=tmp_path / "absent"))


def test_a_script_that_is_a_pipe_is_not_waited_for(lab: Lab, tmp_path: Path) -> None:
    """Nobody may ever write to it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"is no good: .* cannot be read: it is not a regular file"):
        lab.build(default(init=tmp_path / "pipe"))
