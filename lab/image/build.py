"""Recipe to guest image: resolve, look into the cache, else fetch, unpack, put together."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Protocol

from filelock import FileLock

from lab.errors import HostError, InputError
from lab.files import read_input
from lab.host.apt import PrivateApt
from lab.image.cpio import archive_from_entries
from lab.image.elf import files_of_program
from lab.image.guest_image import GuestImage, ImageContent, read_image, write_image
from lab.image.initramfs import GuestProgram, entries_of_guest
from lab.image.kernel import read_kernel
from lab.image.modules import modules_in_order
from lab.image.packages import Resolution, remember, remembered, resolve
from lab.image.recipe import Recipe
from lab.image.static_fio import fio_program
from lab.progress import Progress
from lab.settings import cache_dir, project_dir

_KEY_DIGITS = 20
_LARGEST_PART_BYTES = 512 << 20
_HOST = Path("/")


class OpenApt(Protocol):
    """Opens the distribution's archive, as :meth:`lab.host.apt.PrivateApt.open` does."""

    def __call__(self, *, source: bool, refresh: bool, progress: Progress) -> PrivateApt:
        """Open it."""


def default_recipe_path() -> Path:
    """Return the recipe that is used where none is named."""
    return project_dir() / "guest-images" / "default.toml"


def build_image(
    recipe: Recipe, *, progress: Progress, refresh: bool = False, open_apt: OpenApt = PrivateApt.open
) -> GuestImage:
    """Return the image of a recipe, built if it is not in the cache. Safe to call from several processes.

    What the recipe's package names stand for is asked once a day, so an image at hand needs neither network nor apt.

    :param refresh: ask again what the package names stand for.
    :raise InputError: the recipe names something that is not there or is not what it should be.
    :raise HostError: a package cannot be had, or the host has no apt and the recipe wants it.
    :raise MissingPackagesError: fio is to be built and there is no compiler.
    """
    images = cache_dir("images")
    # Opened when it is needed first, once.
    apt = functools.cache(lambda: open_apt(source=True, refresh=refresh, progress=progress))
    with FileLock(images / "lock"):
        resolution = _resolve_today(recipe, images, apt, refresh=refresh)
        folder = images / _content_key(recipe, resolution)
        if not folder.exists():
            with tempfile.TemporaryDirectory(prefix=".part-", dir=images) as work:
                part = Path(work) / "image"
                part.mkdir()
                write_image(part, _put_together(recipe, resolution, apt, Path(work), progress))
                part.rename(folder)
        return read_image(folder)


def _resolve_today(recipe: Recipe, images: Path, apt: Callable[[], PrivateApt], *, refresh: bool) -> Resolution:
    if not recipe.needs_apt():
        return Resolution()
    file = images / f"{recipe.name}.resolved.json"
    found = None if refresh else remembered(file, recipe)
    if found is None:
        try:
            found = resolve(recipe, apt())
        except HostError as err:
            raise type(err)(
                f"the guest image '{recipe.name}' cannot be built: {err.message}",
                remedy=f"{err.remedy}; without apt: install what guest-images/installed.toml names, then"
                " 'lab image build --recipe guest-images/installed.toml'",
                evidence=err.evidence,
            ) from err
        remember(file, recipe, found)
    return found


def _content_key(recipe: Recipe, resolution: Resolution) -> str:
    """Return the digest of everything that decides what the image holds, this package's own code included."""
    digest = hashlib.sha256()

    def add(*parts: bytes) -> None:
        for part in parts:
            digest.update(len(part).to_bytes(8, "little") + part)

    for path in sorted(Path(__file__).parent.glob("*.py")):
        add(path.read_bytes())
    # Where recipe and own files lie does not matter, what they hold does.
    values = recipe.model_dump(
        mode="json", exclude={"init": True, "on_uevent": True, "kernel": {"image", "modules_folder"}}
    )
    add(json.dumps([values, repr(resolution)], sort_keys=True).encode())
    add(_read(recipe.init), _read(recipe.on_uevent))
    kernel = recipe.kernel
    if kernel.image is not None and kernel.modules_folder is not None:
        add(_read(kernel.image))
        modules = modules_in_order(kernel.modules_folder, (*kernel.network_modules, *kernel.storage_modules))
        add(*(module.data for module in modules))
    for program in _host_programs(recipe):
        add(program.name.encode(), program.data)
        add(*(part for path, data in program.libraries for part in (str(path).encode(), data)))
    return digest.hexdigest()[:_KEY_DIGITS]


def _put_together(
    recipe: Recipe, resolution: Resolution, apt: Callable[[], PrivateApt], work: Path, progress: Progress
) -> ImageContent:
    if recipe.needs_apt():
        apt()  # opened now: it shows its own progress, which cannot be inside another's
    fio = _built_fio(resolution, apt, progress)
    with progress.stage(f"building guest image '{recipe.name}'", 4) as stage:
        stage.update(0, note="fetching kernel")
        image, modules_folder = _kernel_files(recipe, resolution, apt, work)
        stage.update(1, note="fetching programs")
        programs = [*_packaged_programs(recipe, resolution, apt, work), *_host_programs(recipe), *fio]
        stage.update(2, note="unpacking kernel")
        kernel = read_kernel(image)
        stage.update(3, note="writing initramfs")
        entries = entries_of_guest(
            _read(recipe.init),
            _read(recipe.on_uevent),
            programs,
            modules_in_order(modules_folder, recipe.kernel.network_modules),
            modules_in_order(modules_folder, recipe.kernel.storage_modules),
        )
        initrd = archive_from_entries(entries)
    return ImageContent(
        name=recipe.name,
        kernel=kernel.data,
        initrd=initrd,
        cmdline=" ".join(recipe.kernel.arguments),
        kernel_version=kernel.version,
        programs={program.name: program.version for program in sorted(programs, key=lambda one: one.name)},
        notes=(kernel.note,) if kernel.note else (),
    )


def _kernel_files(
    recipe: Recipe, resolution: Resolution, apt: Callable[[], PrivateApt], work: Path
) -> tuple[Path, Path]:
    """Return the kernel and the folder of its modules.

    :raise HostError: the package is not laid out as Debian's and Ubuntu's are.
    """
    if recipe.kernel.image is not None and recipe.kernel.modules_folder is not None:
        return recipe.kernel.image, recipe.kernel.modules_folder
    root = work / "kernel-packages"
    apt().unpack(resolution.kernel, root)
    images = sorted(root.glob("boot/vmlinuz-*"))
    folders = sorted(path.parent for path in root.glob("**/lib/modules/*/kernel"))
    if len(images) != 1 or len(folders) != 1:
        names = ", ".join(str(package) for package in resolution.kernel)
        raise HostError(
            f"not one kernel with its modules in {names}", remedy="name another package under [kernel] packages"
        )
    return images[0], folders[0]


def _packaged_programs(
    recipe: Recipe, resolution: Resolution, apt: Callable[[], PrivateApt], work: Path
) -> list[GuestProgram]:
    wanted = {name: program for name, program in recipe.programs.items() if program.package}
    if not wanted:
        return []
    root = work / "program-packages"
    apt().unpack(resolution.programs, root)
    versions = {package.name: package.version for package in resolution.programs}
    return [
        _read_program(name, program.path, root, versions.get(str(program.package), ""))
        for name, program in wanted.items()
        if program.path is not None
    ]


def _host_programs(recipe: Recipe) -> list[GuestProgram]:
    return [
        _read_program(name, program.path, _HOST, "")
        for name, program in recipe.programs.items()
        if program.path is not None and not program.package
    ]


def _built_fio(resolution: Resolution, apt: Callable[[], PrivateApt], progress: Progress) -> list[GuestProgram]:
    if not resolution.fio:
        return []
    program = fio_program(apt(), resolution.fio, resolution.fio_libraries, resolution.toolchain, progress)
    return [GuestProgram("fio", resolution.fio, PurePosixPath("/usr/bin/fio"), program.read_bytes())]


def _read_program(name: str, path: PurePosixPath, root: Path, version: str) -> GuestProgram:
    """Read a program and its libraries; one without a package is identified by its content."""
    data = _read(root / path.relative_to("/"))
    libraries = tuple((guest, file.read_bytes()) for guest, file in sorted(files_of_program(path, root).items()))
    return GuestProgram(name, version or f"sha256 {hashlib.sha256(data).hexdigest()[:12]}", path, data, libraries)


def _read(path: Path) -> bytes:
    try:
        return read_input(path, limit_bytes=_LARGEST_PART_BYTES)
    except InputError as err:
        raise InputError(f"a file that the recipe names is no good: {err.message}") from err
