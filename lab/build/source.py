"""Where the base comes from: a distribution's source package, a tarball, a folder, or a commit of the user's tree.

Each becomes a :class:`SourceTree`: a commit in a repository of the lab's own. The user's files are only read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from lab.build.importing import (
    Member,
    import_members,
    members_of_folder,
    members_of_tarball,
    paths_of_folder,
    require_tarball,
)
from lab.errors import InputError
from lab.progress import Progress
from lab.series.repository import Repository, borrow, commit_in_tree, is_git_tree, open_repository
from lab.settings import cache_dir

IMPORTS = "imports"
"""Name of the repository that holds tarballs and folders."""

_TARBALLS = "tarball"
"""Name of the work area of all tarballs: one release is built from the objects of another."""

_MARKS = ("VERSION", "hw/scsi/virtio-scsi.c")
"""Files that tell a source of QEMU."""


@dataclass(frozen=True)
class SourceTree:
    """A base to build from.

    :param repository: holds the commit; a series is applied in it.
    :param origin: for people: ``qemu 1:10.0.13+ds-0+deb13u1``, ``/home/me/qemu at v10.0.0``.
    :param area: what shares a build folder: the same for every commit of one tree.
    :param version: QEMU's, from the file VERSION.
    :param working_tree: where files that are built but not committed (subprojects) may be taken from.
    """

    repository: Repository
    commit: str
    tree_id: str
    origin: str
    area: str
    version: str
    working_tree: Path | None = None


def source_from_git(tree: Path, base: str = "HEAD") -> SourceTree:
    """Return a commit of the user's tree. What is not committed there is not built, but for subprojects.

    :param base: anything that names a commit there.
    :raise InputError: it is not a git tree, not QEMU's, or has no such commit.
    """
    tree = tree.absolute()
    repository = borrow(tree)
    commit = commit_in_tree(tree, base)
    area = f"tree-{repository.git_dir.name}"
    return _source(repository, commit, f"{tree} at {base}", area, working_tree=tree)


def source_from_tarball(tarball: Path, *, progress: Progress, origin: str = "") -> SourceTree:
    """Return a source tarball as a one-commit tree; it is imported once, known by its digest.

    :raise InputError: it cannot be read, or is not QEMU's.
    :raise CommandError: git could not store it.
    """
    require_tarball(tarball)
    try:
        with tarball.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as err:
        raise InputError(f"{tarball} cannot be read: {err.strerror}") from err
    imported = _imported(f"tarball-{digest[:40]}", members_of_tarball(tarball), tarball.name, progress)
    return _source(*imported, origin or str(tarball), _TARBALLS)


def source_from_folder(folder: Path, *, progress: Progress) -> SourceTree:
    """Return an unpacked source as a one-commit tree; it is imported again when a file in it has changed.

    :raise InputError: a file cannot be read, or it is not QEMU's.
    :raise CommandError: git could not store it.
    """
    folder = folder.absolute()
    imported = _imported(f"folder-{_fingerprint(folder)}", members_of_folder(folder), folder.name, progress)
    area = f"folder-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    return _source(*imported, str(folder), area)


def source_from_path(path: Path, base: str | None, *, hint: str = "", progress: Progress) -> SourceTree:
    """Return the source at a path, whatever of the three it is.

    :param base: only a git tree has one to choose; HEAD where it is None and the hint is not there either.
    :param hint: a commit that a series names as its base; taken where the tree has it.
    :raise InputError: nothing usable is there, or it cannot have a base.
    :raise CommandError: git could not store it.
    """
    if path.is_dir() and is_git_tree(path):
        if base is None and hint and borrow(path).commit_id(hint) is not None:
            base = hint
        return source_from_git(path, base or "HEAD")
    if base is not None:
        raise InputError(f"{path} is not a git tree, so it has no '{base}'", remedy="leave --base out")
    if path.is_dir():
        return source_from_folder(path, progress=progress)
    if path.is_file():
        return source_from_tarball(path, progress=progress)
    raise InputError(f"there is no {path}", remedy="name a clone of QEMU, an unpacked source, or a tarball")


def source_from_commit(repository: Repository, commit: str, origin: str) -> SourceTree:
    """Return a commit that is in a repository of the lab's own already.

    :raise InputError: it is not QEMU's.
    """
    return _source(repository, commit, origin, _TARBALLS)


def _source(
    repository: Repository, commit: str, origin: str, area: str, *, working_tree: Path | None = None
) -> SourceTree:
    tree_id = repository.tree_id(commit)
    version = repository.text(tree_id, _MARKS[0])
    if version is None or repository.text(tree_id, _MARKS[1]) is None:
        listed = repository.git("ls-tree", "-z", tree_id, "--", *_MARKS, check=False)
        if listed.returncode != 0 or listed.stdout.count(" blob ") == len(_MARKS):
            raise InputError(
                f"{origin} cannot be built: the tree lists its files, but their content is missing",
                remedy="for a partial clone run 'git fetch --refetch --no-filter' there, else 'git fsck'",
            )
        raise InputError(f"{origin} is not a source of QEMU: {' or '.join(_MARKS)} is missing")
    return SourceTree(repository, commit, tree_id, origin, area, version.strip(), working_tree)


def _imported(name: str, members: Iterator[Member], title: str, progress: Progress) -> tuple[Repository, str]:
    """Return the repository of imports and the commit of that name, made of the members where it is not there.

    :param members: begun only where they are needed.
    """
    repository, ref = open_repository(IMPORTS), f"refs/lab/{name}"
    with FileLock(cache_dir("git") / "importing.lock"):  # two calls must not import the same source at once
        commit = repository.commit_id(ref)
        return repository, commit or import_members(repository, ref, members, title=title, progress=progress)


def _fingerprint(folder: Path) -> str:
    """Return a digest of what a folder holds by name, size, mode and time, as git's index judges files."""
    digest = hashlib.sha256(str(folder).encode(errors="replace"))
    for path in paths_of_folder(folder):
        stat = path.lstat()
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mode}\0{stat.st_mtime_ns}\n".encode(errors="replace"))
    return digest.hexdigest()[:40]
