"""A recipe's package names to exact versions.

Which versions a recipe stands for is remembered for a day, so that an image at hand is found without asking apt.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lab.errors import HostError
from lab.host.apt import PackageVersion, PrivateApt
from lab.image.recipe import Recipe
from lab.image.static_fio import LIBRARY_PACKAGES, toolchain

_FRESH_S = 24 * 3600.0
# The kernel's package also wants an initramfs generator and more, which a guest that is all initramfs does not.
_KERNEL_PACKAGES = ("linux-image-", "linux-modules-")


@dataclass(frozen=True)
class Resolution:
    """What a recipe stands for today.

    :param kernel: packages with the kernel and its modules.
    :param programs: packages with the programs and their libraries.
    :param fio: version of fio's source package; empty if it is not built.
    :param fio_libraries: packages that it is linked with.
    :param toolchain: identifies compiler and C library of the build; empty if there is none.
    """

    kernel: tuple[PackageVersion, ...] = ()
    programs: tuple[PackageVersion, ...] = ()
    fio: str = ""
    fio_libraries: tuple[PackageVersion, ...] = ()
    toolchain: str = ""


def resolve(recipe: Recipe, apt: PrivateApt) -> Resolution:
    """Ask apt for the versions of everything in a recipe.

    :raise HostError: a package is not in the distribution's archive.
    :raise MissingPackagesError: fio is to be built and there is no compiler.
    """
    resolution = Resolution()
    if recipe.kernel.packages:
        name = next((name for name in recipe.kernel.packages if apt.candidate_version(name)), None)
        if name is None:
            raise HostError(
                f"the distribution has none of these kernel packages: {', '.join(recipe.kernel.packages)}",
                remedy="name one that it has under [kernel] packages of the recipe, or a kernel of your own as image",
            )
        found = (package for package in apt.resolve((name,)) if package.name.startswith(_KERNEL_PACKAGES))
        resolution = replace(resolution, kernel=tuple(package for package in found if package.name != name))
    packages = sorted({program.package for program in recipe.programs.values() if program.package})
    if packages:
        resolution = replace(resolution, programs=apt.resolve(packages))
    if source := recipe.programs["fio"].source_package:
        version = apt.source_version(source)
        if version is None:
            raise HostError(
                f"the distribution has no source package '{source}'", remedy="name a fio of this host as path instead"
            )
        libraries = tuple(package for package in apt.resolve(LIBRARY_PACKAGES) if package.name in LIBRARY_PACKAGES)
        resolution = replace(resolution, fio=version, fio_libraries=libraries, toolchain=toolchain())
    return resolution


def remembered(file: Path, recipe: Recipe, *, now_s: float | None = None) -> Resolution | None:
    """Return what :func:`remember` wrote for this recipe less than a day ago, None if it did not."""
    now_s = time.time() if now_s is None else now_s
    try:
        if not 0 <= now_s - file.stat().st_mtime < _FRESH_S:
            return None
        values = json.loads(file.read_text(encoding="utf-8"))
        return _resolution_from_json(values) if values["recipe"] == _digest(recipe) else None
    except (OSError, ValueError, KeyError, TypeError):  # absent or written by another version: ask again
        return None


def remember(file: Path, recipe: Recipe, resolution: Resolution) -> None:
    """Write what a recipe stands for today."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps({"recipe": _digest(recipe), **asdict(resolution)}, indent=2), encoding="utf-8")
    part.replace(file)


def _digest(recipe: Recipe) -> str:
    return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()


def _resolution_from_json(values: dict[str, Any]) -> Resolution:
    def packages(name: str) -> tuple[PackageVersion, ...]:
        return tuple(PackageVersion(str(item["name"]), str(item["version"])) for item in values[name])

    return Resolution(
        kernel=packages("kernel"),
        programs=packages("programs"),
        fio=str(values["fio"]),
        fio_libraries=packages("fio_libraries"),
        toolchain=str(values["toolchain"]),
    )
