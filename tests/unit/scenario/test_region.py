"""The end of the disk, whose content is known."""

from pathlib import Path

import pytest

from lab.errors import GuestError
from lab.scenario.region import REGION_BYTES, Region
from lab.scenario.stage import ScenarioError
from lab.testing import FakeShell
from tests.unit.scenario.staged import end_of_disk, staged


def test_what_the_guest_wrote_is_found_in_the_image_and_in_the_guest(tmp_path: Path) -> None:
    """Nothing before it is touched, and neither cache of the guest is asked."""
    stage = staged(tmp_path)
    stage.site.disk_file.write_bytes(bytes(3 * REGION_BYTES))
    region = Region(stage)
    region.fill("A")
    assert region.in_image(stage.site.disk_file) == "A" == region.in_guest()
    assert stage.site.disk_file.read_bytes() == bytes(2 * REGION_BYTES) + b"A" * REGION_BYTES
    assert isinstance(stage.shell, FakeShell)
    write, read = stage.shell.commands
    assert "of=/dev/sda seek=2 oflag=direct conv=notrunc,fsync" in write and "if=/dev/sda skip=2 iflag=direct" in read


@pytest.mark.parametrize("content", [b"A" * (REGION_BYTES - 1) + b"B", b"\xff\xfe" * (REGION_BYTES // 2), b""])
def test_another_content_is_no_letter(tmp_path: Path, content: bytes) -> None:
    """One byte is enough; an image that ends before it has none."""
    stage = staged(tmp_path)
    region = Region(stage)
    if content:
        end_of_disk(stage.site.disk_file, content)
    else:
        stage.site.disk_file.write_bytes(b"")
    assert region.in_image(stage.site.disk_file) is None and region.in_guest() is None


def test_a_disk_that_cannot_be_written_is_a_finding(tmp_path: Path) -> None:
    """With the guest's words; a guest that does not answer is not."""
    with pytest.raises(ScenarioError, match="cannot be written: dd: I/O error"):
        Region(staged(tmp_path, shell={"if=/region": (1, "", "dd: I/O error")})).fill("A")
    with pytest.raises(GuestError):
        Region(staged(tmp_path, shell={"if=/region": GuestError("silent")})).fill("A")
