"""A tarball or a folder to a one-commit git tree, through ``git fast-import``.

Nothing of the machine gets in: author, date, order and modes are fixed, so the commit id is a function of the
content. The bytes of a file become the blob as they are: attributes and filters are a matter of ``git add``.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import InputError
from lab.files import read_input
from lab.progress import Progress
from lab.series.diff import is_unsafe_path
from lab.series.repository import Repository

_IDENTITY = "QEMU patch lab <lab@localhost> 946684800 +0000"
_ABOUT_FILES = 38000
"""How many files a QEMU source has; only the estimate of the time left depends on it."""

# QEMU 10.0.13 as Debian ships it unpacks to 305 MiB, its largest file to 8 MiB; upstream adds firmware.
_LARGEST_FILE_BYTES = 256 << 20
_LARGEST_SOURCE_BYTES = 8 << 30
_CHUNK_BYTES = 1 << 20
_COMPRESSIONS: dict[bytes, Callable[[str], tarfile.TarFile]] = {
    b"\x1f\x8b": tarfile.TarFile.gzopen,
    b"BZh": tarfile.TarFile.bz2open,
    b"\xfd7zXZ\0": tarfile.TarFile.xzopen,
}


@dataclass(frozen=True)
class Member:
    """One file of a tree.

    :param mode: as git has it: 100644, 100755 or 120000.
    """

    path: str
    mode: str
    content: bytes


def members_of_tarball(tarball: Path) -> Iterator[Member]:
    """Return the files of a tarball below its one top folder, in the order they are stored.

    :raise InputError: it cannot be read, is damaged, or unpacks to too much.
    """
    try:
        with _opened(tarball) as archive:
            total_bytes, info = 0, None
            for info in archive:
                # The offset is where the next member begins: what is passed over is unpacked as well.
                if max(archive.offset, total_bytes) > _LARGEST_SOURCE_BYTES:
                    raise InputError(f"{tarball} unpacks to more than {_LARGEST_SOURCE_BYTES >> 20} MiB")
                path = info.name.removeprefix("./").partition("/")[2]
                if info.issym():
                    yield Member(path, "120000", os.fsencode(info.linkname))
                elif info.isreg() or info.islnk():
                    content = _content(archive, info, tarball)
                    total_bytes += len(content)
                    yield Member(path, "100755" if info.mode & 0o100 else "100644", content)
            if info is None:
                raise tarfile.ReadError("it holds no file")
            _require_end(archive)
    except (tarfile.TarError, OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as err:
        raise InputError(f"{tarball} cannot be read as a tarball: {err}", remedy="fetch it again") from err
    except (MemoryError, RecursionError) as err:  # a name of many GiB, or a chain of headers
        raise InputError(f"{tarball} cannot be read as a tarball: its headers are too large") from err


def _opened(tarball: Path) -> tarfile.TarFile:
    """Open a tarball by the first bytes of its compression.

    Not with tarfile's mode ``r:*``, which tries each: lzma reads GiBs of zeros before it says that they are not its.
    Nor in a stream mode: that takes a file that was cut off for one that ended.
    """
    with tarball.open("rb") as stream:
        head = stream.read(max(map(len, _COMPRESSIONS)))
    opened = next(
        (opened for magic, opened in _COMPRESSIONS.items() if head.startswith(magic)), tarfile.TarFile.taropen
    )
    return opened(str(tarball))


def require_tarball(tarball: Path) -> None:
    """Make sure that a file begins as a tarball does, before all of it is read: it may be any file, of any size.

    :raise InputError: it does not, or cannot be read.
    """
    next(members_of_tarball(tarball), None)


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo, tarball: Path) -> bytes:
    """Return what a member holds, which for a hard link is what its target holds.

    :raise InputError: it is too large, or a link to nothing.
    """
    try:
        stream = archive.extractfile(info)
    except (KeyError, RecursionError):  # RecursionError: links that name each other
        stream = None
    if stream is None:
        raise InputError(f"{tarball} has a link '{info.name}' to '{info.linkname}', which is no file in it")
    content = b"" if info.size > _LARGEST_FILE_BYTES else stream.read(_LARGEST_FILE_BYTES + 1)
    if max(info.size, len(content)) > _LARGEST_FILE_BYTES:
        raise InputError(f"{tarball} has a file '{info.name}' of more than {_LARGEST_FILE_BYTES >> 20} MiB")
    return content


def _require_end(archive: tarfile.TarFile) -> None:
    """Read to the end of the file, where compression has its checksum.

    An archive ends with two blocks of zeros (POSIX, pax interchange format); tarfile has taken the first. It takes a
    damaged header for the end as well, and what follows that is not zeros.

    :raise tarfile.ReadError: it does not end so.
    """
    stream = archive.fileobj
    assert stream is not None
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it is damaged, or was cut off")
    read_bytes = archive.offset
    while chunk := stream.read(_CHUNK_BYTES):
        read_bytes += len(chunk)
        if read_bytes > _LARGEST_SOURCE_BYTES:
            raise tarfile.ReadError(f"it unpacks to more than {_LARGEST_SOURCE_BYTES >> 20} MiB")


def paths_of_folder(folder: Path) -> tuple[Path, ...]:
    """Return the files of an unpacked source, sorted; build folders and version control are left out."""
    found: list[Path] = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", ".pc") and not _is_build(Path(root) / name)]
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        found += [Path(root) / name for name in [*files, *links]]
    return tuple(sorted(path for path in found if path.is_symlink() or path.is_file()))


def _is_build(folder: Path) -> bool:
    return (folder / "build.ninja").exists()


def members_of_folder(folder: Path) -> Iterator[Member]:
    """Return the files of an unpacked source.

    :raise InputError: one cannot be read.
    """
    for path in paths_of_folder(folder):
        name = path.relative_to(folder).as_posix()
        try:
            if path.is_symlink():
                yield Member(name, "120000", os.fsencode(path.readlink()))
            else:
                mode = "100755" if path.stat().st_mode & 0o100 else "100644"
                yield Member(name, mode, read_input(path, limit_bytes=_LARGEST_FILE_BYTES))
        except OSError as err:
            raise InputError(f"{path} cannot be read: {err.strerror}") from err


def import_members(
    repository: Repository, ref: str, members: Iterable[Member], *, title: str, progress: Progress
) -> str:
    """Store the files as one commit that ``ref`` names; return the commit.

    :param ref: ``refs/lab/...``; it is only there once everything is stored.
    :raise InputError: a member's path leaves the tree, or there is none.
    :raise CommandError: git could not store them.
    """
    entries: list[bytes] = []
    with progress.stage(f"storing {title} as a git tree", _ABOUT_FILES) as stage, repository.fast_import() as stream:
        for number, member in enumerate(members, start=1):
            if is_unsafe_path(member.path):
                raise InputError(f"{title} has a file called '{member.path}', which leaves the tree or is too long")
            stream.write(_blob(number, member.content))
            entries.append(_entry(number, member))
            if number % 500 == 0:
                stage.update(number, max(number, _ABOUT_FILES), note=f"{number} files")
        if not entries:
            raise InputError(f"{title} holds no file")
        stream.write(_commit(ref, sorted(entries, key=_path_of_entry)))
    commit = repository.commit_id(ref)
    assert commit is not None
    return commit


def _blob(mark: int, content: bytes) -> bytes:
    return b"blob\nmark :%d\ndata %d\n%b\n" % (mark, len(content), content)


def _entry(mark: int, member: Member) -> bytes:
    escaped = member.path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return b'M %b :%d "%b"\n' % (member.mode.encode(), mark, escaped.encode(errors="surrogateescape"))


def _commit(ref: str, entries: list[bytes]) -> bytes:
    message = b"Import of a source\n"  # not its name: the commit is a function of the content
    head = f"commit {ref}\ncommitter {_IDENTITY}\ndata {len(message)}\n".encode()
    return head + message + b"deleteall\n" + b"".join(entries) + b"\ndone\n"


def _path_of_entry(entry: bytes) -> bytes:
    return entry.partition(b'"')[2]
