from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from lab.build import importing
from lab.build.importing import Member, import_members, members_of_folder, members_of_tarball
from lab.errors import InputError
from lab.progress import SilentProgress
from lab.series.repository import Repository, open_repository

QUIET = SilentProgress()


def tarball(folder: Path, names: list[str], mtime: int = 0) -> Path:
    """Return a tarball with these files, a symbolic link and a program below one top folder."""
    path = folder / "x.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        for name in names:
            info = tarfile.TarInfo(f"qemu-10.0/{name}")
            info.size, info.mtime = 2, mtime
            archive.addfile(info, io.BytesIO(b"1\n"))
        link = tarfile.TarInfo("qemu-10.0/link")
        link.type, link.linkname = tarfile.SYMTYPE, "x/gr\u00fcn"
        archive.addfile(link)
        program = tarfile.TarInfo("qemu-10.0/run")
        program.mode = 0o755
        archive.addfile(program)
    return path


def stored(members: object) -> tuple[Repository, str]:
    """Import members and return where."""
    repository = open_repository("imports")
    return repository, import_members(repository, "refs/lab/x", members, title="x", progress=QUIET)  # type: ignore[arg-type]


def test_a_tarball_becomes_a_commit_with_the_same_files(tmp_path: Path) -> None:
    """Modes, links and odd names included."""
    names = ["b", "a", 'x/gr\u00fcn "quoted"\\ and\nnew line']
    repository, commit = stored(members_of_tarball(tarball(tmp_path, names)))
    repository.check_out(repository.tree_id(commit), tmp_path / "out", tmp_path / "index")
    out = tmp_path / "out"
    assert (out / names[2]).read_text() == "1\n"
    assert (out / "link").readlink() == Path("x/gr\u00fcn")
    assert (out / "run").stat().st_mode & 0o100 and not (out / "a").stat().st_mode & 0o100


def test_the_commit_depends_on_the_content_only(tmp_path: Path) -> None:
    """Neither on the order of the tarball nor on times."""
    (tmp_path / "other").mkdir()
    _, one = stored(members_of_tarball(tarball(tmp_path, ["a", "b", "a/x"][:2])))
    _, other = stored(members_of_tarball(tarball(tmp_path / "other", ["b", "a"], mtime=99)))
    assert one == other


def test_a_folder_gives_the_same_tree_as_its_tarball(tmp_path: Path) -> None:
    """Version control and build folders are left out."""
    folder = tmp_path / "folder"
    for name in (".git/config", ".pc/x", "build/build.ninja", "build/x.o", "x/a"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("1\n")
    (folder / "to-folder").symlink_to("x")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    assert [(member.path, member.mode) for member in members_of_folder(folder)] == [
        ("dangling", "120000"),
        ("to-folder", "120000"),
        ("x/a", "100644"),
    ]


def test_what_is_no_tarball_is_an_input_error(tmp_path: Path) -> None:
    """A download that was cut off, or another file."""
    whole = tarball(tmp_path, ["a"])
    whole.write_bytes(whole.read_bytes()[:120])
    with pytest.raises(InputError, match="cannot be read as a tarball"):
        list(members_of_tarball(whole))


def test_a_file_of_zeros_is_no_tarball(tmp_path: Path) -> None:
    """Zeros are the end of a tarball, so this one has ended before its first file."""
    path = tmp_path / "zeros"
    path.write_bytes(bytes(4 * tarfile.RECORDSIZE))
    with pytest.raises(InputError, match="cannot be read as a tarball: it holds no file"):
        list(members_of_tarball(path))


def test_a_member_that_leaves_the_tree_is_refused() -> None:
    """And nothing is stored."""
    with pytest.raises(InputError, match="leaves the tree"):
        stored([Member("a", "100644", b""), Member("../b", "100644", b"")])
    assert open_repository("imports").commit_id("refs/lab/x") is None


def test_an_empty_source_is_refused() -> None:
    """There is nothing to build."""
    with pytest.raises(InputError, match="holds no file"):
        stored([])


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named."""
    (tmp_path / "x").touch()

    def refuse(path: Path, *_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match="x cannot be read: Permission denied"):
        list(members_of_folder(tmp_path))


def packed(folder: Path, *infos: tarfile.TarInfo, cut: slice = slice(None), kind: str = "gz") -> Path:
    """Return a tarball with these members, each full of ``x``."""
    path = folder / f"x.tar.{kind}"
    with tarfile.open(path, f"w:{kind}") as archive:  # type: ignore[call-overload]
        for info in infos:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    path.write_bytes(path.read_bytes()[cut])
    return path


def member(name: str, size: int = 0, link: str = "") -> tarfile.TarInfo:
    """Return a file, or a hard link."""
    info = tarfile.TarInfo(f"qemu/{name}")
    info.size = size
    if link:
        info.type, info.linkname = tarfile.LNKTYPE, f"qemu/{link}"
    return info


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
def test_a_tarball_with_wrong_bytes_is_an_input_error(tmp_path: Path, kind: str) -> None:
    """Whatever the compression finds wrong, in the middle or in the checksum at its end."""
    path = packed(tmp_path, member("a", 9000), kind=kind)
    good = path.read_bytes()
    assert len(list(members_of_tarball(path))) == 1
    for at in (len(good) // 2, -7):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at:][1:])
        with pytest.raises(InputError, match="cannot be read as a tarball"):
            list(members_of_tarball(path))


def test_a_damaged_header_does_not_end_a_tarball(tmp_path: Path) -> None:
    """Nor does the end of a file that was cut off between two members."""
    path = packed(tmp_path, member("a", 512), member("b", 512), kind="")
    good = path.read_bytes()
    for bad in (good[:1024], good[:1024] + b"?" * 512 + good[1536:]):
        path.write_bytes(bad)
        with pytest.raises(InputError, match="damaged, or was cut off"):
            list(members_of_tarball(path))


@pytest.mark.parametrize("links", [[("a", "none")], [("a", "a")], [("a", "b"), ("b", "a")]])
def test_a_link_to_no_file_is_an_input_error(tmp_path: Path, links: list[tuple[str, str]]) -> None:
    """It names nothing, or itself."""
    path = packed(tmp_path, *[member(name, link=target) for name, target in links])
    with pytest.raises(InputError, match="which is no file in it"):
        list(members_of_tarball(path))


def test_a_tarball_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One member, all of them, copies by link, and what follows the end."""
    monkeypatch.setattr(importing, "_LARGEST_FILE_BYTES", 5000)
    monkeypatch.setattr(importing, "_LARGEST_SOURCE_BYTES", 20000)
    with pytest.raises(InputError, match="a file 'qemu/a' of more than"):
        list(members_of_tarball(packed(tmp_path, member("a", 5001))))
    with pytest.raises(InputError, match="unpacks to more than"):
        list(members_of_tarball(packed(tmp_path, *[member(name, 5000) for name in "abcdefg"])))
    links = [member(name, link="a") for name in "bcdefg"]
    with pytest.raises(InputError, match="unpacks to more than"):
        list(members_of_tarball(packed(tmp_path, member("a", 5000), *links)))
    path = packed(tmp_path, member("a"))
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(30000)))
    with pytest.raises(InputError, match="unpacks to more than"):
        list(members_of_tarball(path))


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_headers_that_exhaust_something_are_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """A name of many GiB, or a chain of headers."""

    def exhaust(_: tarfile.TarFile) -> None:
        raise error

    path = packed(tmp_path, member("a"))
    monkeypatch.setattr(tarfile.TarFile, "next", exhaust)
    with pytest.raises(InputError, match="headers are too large"):
        list(members_of_tarball(path))
