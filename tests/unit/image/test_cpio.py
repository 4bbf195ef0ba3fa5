from __future__ import annotations

import random
import stat
from pathlib import PurePosixPath

import pytest

from lab.errors import InputError
from lab.image.cpio import (
    CpioEntry,
    archive_from_entries,
    character_device,
    directory,
    regular_file,
    symbolic_link,
)

ENTRIES = (
    regular_file("/init", b"#!/bin/sh\n", 0o755),
    symbolic_link("/bin/sh", "busybox"),
    character_device("/dev/console", 5, 1),
    directory("/root", 0o700),
    regular_file("/lab/odd", b"12345"),
)


def read_archive(data: bytes) -> list[tuple[str, list[int], bytes]]:
    """Read a newc archive as the kernel does: (name, header fields, content), the trailer included."""
    found = []
    position = 0
    while True:
        assert data[position : position + 6] == b"070701"
        fields = [int(data[position + 6 + 8 * n : position + 14 + 8 * n], 16) for n in range(13)]
        name_at = position + 110
        name = data[name_at : name_at + fields[11] - 1].decode()
        content_at = -(-(name_at + fields[11]) // 4) * 4
        found.append((name, fields, data[content_at : content_at + fields[6]]))
        if name == "TRAILER!!!":
            return found
        position = -(-(content_at + fields[6]) // 4) * 4


def test_the_archive_holds_what_was_given_with_folders_added_and_sorted() -> None:
    """A folder comes before what is in it, or the kernel could not make the file."""
    names = [name for name, _, _ in read_archive(archive_from_entries(ENTRIES))]
    assert names == [".", "bin", "bin/sh", "dev", "dev/console", "init", "lab", "lab/odd", "root", "TRAILER!!!"]


def test_types_permissions_and_contents_are_kept_and_everything_belongs_to_root_at_time_zero() -> None:
    """uid, gid and mtime are 0 whoever makes it, whenever."""
    found = {name: (fields, content) for name, fields, content in read_archive(archive_from_entries(ENTRIES))}
    assert found["init"] == (found["init"][0], b"#!/bin/sh\n")
    assert found["init"][0][1] == stat.S_IFREG | 0o755
    assert found["bin/sh"] == (found["bin/sh"][0], b"busybox") and stat.S_ISLNK(found["bin/sh"][0][1])
    assert found["root"][0][1] == stat.S_IFDIR | 0o700 and found["bin"][0][1] == stat.S_IFDIR | 0o755
    assert stat.S_ISCHR(found["dev/console"][0][1]) and found["dev/console"][0][9:11] == [5, 1]
    assert all(fields[2:4] == [0, 0] and fields[5] == 0 for fields, _ in found.values())


def test_inode_numbers_differ() -> None:
    """Equal ones would be hard links."""
    numbers = [fields[0] for _, fields, _ in read_archive(archive_from_entries(ENTRIES))[:-1]]
    assert len(set(numbers)) == len(numbers)


def test_the_order_of_the_entries_does_not_change_a_byte() -> None:
    """The same files give the same archive."""
    shuffled = list(ENTRIES)
    random.Random(1).shuffle(shuffled)
    assert archive_from_entries(shuffled) == archive_from_entries(ENTRIES)


def test_a_library_that_two_programs_need_is_there_once() -> None:
    """The same path with the same content is no contradiction."""
    libc = regular_file("/lib/libc.so.6", b"libc", 0o755)
    assert archive_from_entries([libc, libc]) == archive_from_entries([libc])


def test_two_files_for_one_path_are_refused() -> None:
    """As when one program brings the host's C library and another a package's."""
    entries = [regular_file("/lib/libc.so.6", b"2.36"), regular_file("/lib/libc.so.6", b"2.41")]
    with pytest.raises(InputError, match="two different files") as caught:
        archive_from_entries(entries)
    assert "not a mix" in caught.value.remedy


@pytest.mark.parametrize("path", ["init", "/lab/../init"])
def test_a_path_that_does_not_begin_at_the_root_is_refused(path: str) -> None:
    """It would land nobody knows where."""
    with pytest.raises(InputError, match="not absolute"):
        archive_from_entries([CpioEntry(PurePosixPath(path), stat.S_IFREG)])
