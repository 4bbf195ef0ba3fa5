from pathlib import Path

from lab.virtio.backing import Backing
from lab.virtio.hold_server import block_pattern
from lab.virtio.race.content import fill_files, fresh_block, written_block


def test_each_block_of_a_file_is_filled_with_its_number(tmp_path: Path) -> None:
    """The file stays as long as it was, and a copy empty, so that a mirror that copies nothing is seen."""
    for name in ("a-disk.raw", "a-copy.raw"):
        (tmp_path / name).write_bytes(bytes(4 * 512))
    fill_files(tmp_path)
    assert (tmp_path / "a-disk.raw").read_bytes() == b"".join(fresh_block(Backing.FILE, lba) for lba in range(4))
    assert (tmp_path / "a-copy.raw").read_bytes() == bytes(4 * 512)


def test_what_a_block_holds_says_which_it_is() -> None:
    """But on null-co, which has only zeros. What is written differs from all of it."""
    for backing in (Backing.HELD, Backing.FILE):
        assert fresh_block(backing, 7) == block_pattern(7) != written_block(7)
    assert fresh_block(Backing.NULL, 7) == bytes(512) != written_block(7)
