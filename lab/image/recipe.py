"""A recipe file (TOML) to a checked recipe: what goes into a guest image and where each part comes from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lab.errors import InputError
from lab.files import read_text_input

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)]
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]+$", max_length=100)]
Word = Annotated[str, Field(pattern=r"^[!-~]+$", max_length=200)]

_LARGEST_RECIPE_BYTES = 1 << 20
REQUIRED_PROGRAMS = ("busybox", "dropbear", "dropbearkey", "fio", "sg_reset")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KernelTable(_Table):
    """``[kernel]``: from a package, or the user's own.

    :param packages: the first that the distribution has is taken.
    :param image: a bzImage or vmlinux of this host.
    :param modules_folder: its ``/lib/modules/VERSION``.
    :param network_modules: loaded first, sshd waits for them.
    :param storage_modules: loaded meanwhile.
    :param arguments: what the image itself needs on the kernel command line.
    """

    packages: tuple[PackageName, ...] = ()
    image: Path | None = None
    modules_folder: Path | None = None
    network_modules: tuple[Name, ...]
    storage_modules: tuple[Name, ...]
    arguments: tuple[Word, ...] = ()

    @model_validator(mode="after")
    def _one_origin(self) -> KernelTable:
        if bool(self.packages) == bool(self.image):
            raise ValueError("give either packages or image")
        if (self.image is None) != (self.modules_folder is None):
            raise ValueError("image and modules_folder belong together")
        return self


class ProgramTable(_Table):
    """``[programs]``: where a program comes from.

    :param package: a package of the distribution; ``path`` is in it.
    :param path: of the program: in the package, or without one on this host.
    :param source_package: built from source, statically; for fio only.
    """

    package: PackageName | None = None
    path: PurePosixPath | None = None
    source_package: PackageName | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> ProgramTable:
        if (self.source_package is None) == (self.path is None):
            raise ValueError("give either source_package or path, the latter with or without package")
        if self.source_package and self.package:
            raise ValueError("source_package and package exclude each other")
        if self.path is not None and (not self.path.is_absolute() or ".." in self.path.parts):
            raise ValueError(f"path '{self.path}' is not absolute")
        return self


class Recipe(_Table):
    """What a guest image is made of.

    :param init: the guest's first process, a file beside the recipe.
    :param on_uevent: what the init calls for each message of the kernel, a file beside the recipe.
    """

    name: Name
    init: Path
    on_uevent: Path
    kernel: KernelTable
    programs: dict[Name, ProgramTable]

    @model_validator(mode="after")
    def _complete(self) -> Recipe:
        missing = [name for name in REQUIRED_PROGRAMS if name not in self.programs]
        if missing:
            raise ValueError(f"programs lack {', '.join(missing)}, which the lab uses in the guest")
        wrong = [name for name, program in self.programs.items() if program.source_package and name != "fio"]
        if wrong:
            raise ValueError(f"only fio can be built from source, not {', '.join(wrong)}")
        return self

    def needs_apt(self) -> bool:
        """Tell whether anything comes from the distribution's archive."""
        return bool(self.kernel.packages) or any(one.package or one.source_package for one in self.programs.values())


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; paths in it are relative to its folder, ``{release}`` is the kernel that this host runs.

    :raise InputError: no such file, not TOML, or not a recipe; the message says which key is wrong.
    """
    try:
        values = tomllib.loads(read_text_input(path, limit_bytes=_LARGEST_RECIPE_BYTES))
    except tomllib.TOMLDecodeError as err:
        raise InputError(f"the recipe '{path}' is not TOML: {err}") from err
    except RecursionError:
        raise InputError(f"the recipe '{path}' is not TOML: it is nested too deep") from None
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as err:
        raise InputError(
            f"the recipe '{path}' is wrong: {'; '.join(_text_from_error(dict(one)) for one in err.errors())}",
            remedy="guest-images/default.toml shows every key",
        ) from err
    here = path.resolve().parent
    kernel = recipe.kernel.model_copy(
        update={
            "image": _host_path(recipe.kernel.image, here),
            "modules_folder": _host_path(recipe.kernel.modules_folder, here),
        }
    )
    return recipe.model_copy(
        update={"init": here / recipe.init, "on_uevent": here / recipe.on_uevent, "kernel": kernel}
    )


def _text_from_error(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"{place or 'as a whole'}: {error['msg'].removeprefix('Value error, ')}"


def _host_path(path: Path | None, folder: Path) -> Any:
    return None if path is None else folder / str(path).replace("{release}", os.uname().release)
