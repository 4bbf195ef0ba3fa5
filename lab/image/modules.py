"""A folder of kernel modules to the files a guest loads, each after those that it depends on.

The order is worked out here, once, so that the guest loads a list instead of searching. A distribution's package has no
``modules.dep`` (depmod makes it when the package is installed), so the modules themselves are asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.errors import InputError
from lab.image.compression import decompress
from lab.image.elf import module_info

_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")


@dataclass(frozen=True)
class KernelModule:
    """A module as the guest loads it.

    :param name: with underscores.
    :param data: not compressed.
    """

    name: str
    data: bytes


def modules_in_order(folder: Path, names: Iterable[str]) -> tuple[KernelModule, ...]:
    """Return the modules and all they depend on, in an order in which they can be loaded, without those built in.

    :param folder: ``/lib/modules/VERSION`` or its like.
    :param names: with dashes or underscores.
    :raise InputError: the folder or a module is missing, or a module is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder of kernel modules '{folder}'")
    files = {_name_from_file(path): path for path in sorted(folder.rglob("*.ko*")) if path.name.endswith(_SUFFIXES)}
    builtin = _builtin_modules(folder)
    ordered: dict[str, KernelModule] = {}
    under_way: set[str] = set()

    def add(name: str, wanted_by: str) -> None:
        if name in ordered or name in under_way or name in builtin:
            return
        if name not in files:
            raise InputError(
                f"the kernel has no module '{name}', which {wanted_by} needs",
                remedy="take a kernel that has it, or strike it from the recipe",
            )
        under_way.add(name)
        data = _read_module(files[name])
        for other in _dependencies(data):
            add(other, f"module {name}")
        ordered[name] = KernelModule(name, data)

    for name in names:
        add(_normal(name), "the recipe")
    return tuple(ordered.values())


def _read_module(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as err:
        raise InputError(f"the module '{path}' cannot be read: {err.strerror}") from err
    return data if path.suffix == ".ko" else decompress(data)


def _dependencies(data: bytes) -> list[str]:
    """Return the modules whose symbols it uses."""
    found = []
    for key, value in module_info(data):
        if key == "depends":
            found += [_normal(name) for name in value.split(",") if name]
    return found


def _builtin_modules(folder: Path) -> set[str]:
    try:
        lines = (folder / "modules.builtin").read_text(encoding="utf-8").splitlines()
    except OSError:  # a kernel without modules.builtin: what is missing then is told by name
        return set()
    return {_name_from_file(Path(line)) for line in lines}


def _name_from_file(path: Path) -> str:
    return _normal(path.name.partition(".ko")[0])


def _normal(name: str) -> str:
    return name.replace("-", "_")
