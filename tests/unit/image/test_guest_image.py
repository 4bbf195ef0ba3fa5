from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lab.errors import HostError
from lab.image.guest_image import GuestImage, ImageContent, list_images, read_image, write_image

CONTENT = ImageContent(
    name="default",
    kernel=b"kernel",
    initrd=b"initramfs",
    cmdline="panic=-1 quiet",
    kernel_version="6.1.0-test",
    programs={"fio": "3.33-3"},
    notes=("slow",),
)


def make(folder: Path, key: str, age_s: int = 0) -> Path:
    """Write an image and return its folder."""
    path = folder / key
    path.mkdir()
    write_image(path, CONTENT)
    os.utime(path, (1_000_000 - age_s, 1_000_000 - age_s))
    return path


def test_an_image_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Its key is its folder's name."""
    folder = make(tmp_path, "abc")
    assert read_image(folder) == GuestImage(
        key="abc",
        kernel=folder / "kernel",
        initrd=folder / "initrd.cpio",
        cmdline="panic=-1 quiet",
        kernel_version="6.1.0-test",
        programs={"fio": "3.33-3"},
        name="default",
        notes=("slow",),
    )
    assert (folder / "kernel").read_bytes() == b"kernel" and (folder / "initrd.cpio").read_bytes() == b"initramfs"


def test_the_json_form_has_sizes_and_is_json(tmp_path: Path) -> None:
    """For ``lab image list --json``."""
    value = json.loads(json.dumps(read_image(make(tmp_path, "abc")).to_json()))
    assert (value["key"], value["kernel_bytes"], value["initrd_bytes"]) == ("abc", 6, 9)


def test_images_are_listed_newest_first_and_other_things_are_passed_over(tmp_path: Path) -> None:
    """Locks and half-made folders live beside them."""
    make(tmp_path, "old", age_s=100)
    make(tmp_path, "new")
    (tmp_path / "lock").touch()
    (tmp_path / ".part-x").mkdir()
    assert [image.key for image in list_images(tmp_path)] == ["new", "old"]


@pytest.mark.parametrize("damage", ["no facts", "no kernel", "other format", "not json", "other types"])
def test_a_damaged_image_is_told_with_what_to_remove(tmp_path: Path, damage: str) -> None:
    """Rather than a QEMU that starts nothing."""
    folder = make(tmp_path, "abc")
    facts = folder / "image.json"
    match damage:
        case "no facts":
            facts.unlink()
        case "no kernel":
            (folder / "kernel").unlink()
        case "other format":
            facts.write_text(facts.read_text().replace('"format": 1', '"format": 99'))
        case "not json":
            facts.write_text("{")
        case "other types":
            facts.write_text('{"format": 1, "programs": 7, "cmdline": "", "kernel_version": ""}')
    with pytest.raises(HostError, match="holds no guest image") as caught:
        read_image(folder)
    assert str(folder) in caught.value.remedy
