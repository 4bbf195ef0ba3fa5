"""A guest image in the cache: a folder with the kernel, the initramfs and what is known of them.

Format history of ``image.json``:

1. first version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import HostError

FORMAT = 1
_FACTS = "image.json"
_KERNEL = "kernel"
_INITRD = "initrd.cpio"


@dataclass(frozen=True)
class GuestImage:
    """What QEMU needs to boot a guest.

    :param key: content key, hex; the same inputs give the same key and the same bytes.
    :param kernel: vmlinux (with a PVH entry) or bzImage, for ``-kernel``.
    :param initrd: the whole guest system, for ``-initrd``.
    :param cmdline: kernel arguments that the image itself needs; console and key are a run's own.
    :param kernel_version: as ``uname -r`` says it.
    :param programs: name to version.
    :param name: of the recipe.
    :param notes: what a reader should know, for example why the kernel is not the faster form.
    """

    key: str
    kernel: Path
    initrd: Path
    cmdline: str
    kernel_version: str
    programs: Mapping[str, str]
    name: str = ""
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return the image as a JSON value, with sizes in bytes."""
        return {
            "name": self.name,
            "key": self.key,
            "kernel": str(self.kernel),
            "kernel_bytes": self.kernel.stat().st_size,
            "initrd": str(self.initrd),
            "initrd_bytes": self.initrd.stat().st_size,
            "cmdline": self.cmdline,
            "kernel_version": self.kernel_version,
            "programs": dict(self.programs),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class ImageContent:
    """What an image is made of, before it has a place."""

    name: str
    kernel: bytes
    initrd: bytes
    cmdline: str
    kernel_version: str
    programs: Mapping[str, str]
    notes: tuple[str, ...]


def write_image(folder: Path, content: ImageContent) -> None:
    """Write an image into an empty folder."""
    (folder / _KERNEL).write_bytes(content.kernel)
    (folder / _INITRD).write_bytes(content.initrd)
    facts = {
        "format": FORMAT,
        "name": content.name,
        "cmdline": content.cmdline,
        "kernel_version": content.kernel_version,
        "programs": dict(content.programs),
        "notes": list(content.notes),
    }
    (folder / _FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def read_image(folder: Path) -> GuestImage:
    """Read an image; its key is the folder's name.

    :raise HostError: the folder holds no complete image of this format.
    """
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        if facts["format"] != FORMAT or not ((folder / _KERNEL).is_file() and (folder / _INITRD).is_file()):
            raise ValueError("a file is missing, or it was written by another version")
        return GuestImage(
            key=folder.name,
            kernel=folder / _KERNEL,
            initrd=folder / _INITRD,
            cmdline=str(facts["cmdline"]),
            kernel_version=str(facts["kernel_version"]),
            programs={str(name): str(version) for name, version in facts["programs"].items()},
            name=str(facts["name"]),
            notes=tuple(str(note) for note in facts["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise HostError(
            f"'{folder}' holds no guest image: {err}", remedy=f"remove it ('rm -r {folder}') and call again"
        ) from err


def list_images(folder: Path) -> tuple[GuestImage, ...]:
    """Return the images of a cache folder, the newest first; what is not an image is passed over."""
    paths = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    return tuple(read_image(path) for path in paths if (path / _FACTS).exists())
