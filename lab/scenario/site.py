"""Where a scenario is performed: binary, boot, key and folders, and the images that are made for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lab.machine.command_line import GuestBoot
from lab.machine.guest_shell import RunKey
from lab.scenario.load import AREA_MIB
from lab.scratch import scratch_folder
from lab.settings import cache_dir

_END_BYTES = 1 << 20


@dataclass(frozen=True)
class Site:
    """What does not change while a scenario is on.

    :param boot: complete, the key included: what a second QEMU of the same machine is started with.
    :param key: lets us into the guest again after a reset.
    :param disk_file: image of the loaded disk, raw, on this host.
    :param scratch: a folder of the host for images that a scenario makes.
    :param evidence: of the first QEMU, where the guest booted.
    """

    qemu: Path
    firmware: tuple[Path, ...]
    boot: GuestBoot
    key: RunKey
    disk_file: Path
    scratch: Path
    evidence: Path


@contextmanager
def image_folder() -> Iterator[Path]:
    """Make a folder for the images of one scenario, which is removed at the end of the block, or at the next start."""
    with scratch_folder(cache_dir("scratch")) as folder:
        yield folder


def new_image(folder: Path, size_bytes: int) -> Path:
    """Make the loaded disk's image, raw and without a block in it, and return its path."""
    path = folder / "disk0.raw"
    path.touch()
    os.truncate(path, size_bytes)
    return path


def old_data(image: Path) -> bytes:
    """Return what a raw image holds where fio wrote the old data, which nobody changes: as this host sees it."""
    with image.open("rb") as stream:
        return stream.read(AREA_MIB << 20)


def used_data(image: Path) -> bytes:
    """Return what an image holds where fio writes and at its end, as this host sees it; an overlay is smaller."""
    with image.open("rb") as stream:
        areas = stream.read(2 * AREA_MIB << 20)
        stream.seek(max(stream.tell(), image.stat().st_size - _END_BYTES))
        return areas + stream.read()


def keyed(boot: GuestBoot, key: RunKey) -> GuestBoot:
    """Return a boot that lets the owner of a key into the guest."""
    return replace(boot, arguments=f"{boot.arguments} lab.key={key.public}")
