"""The distribution's own source package of QEMU to a :class:`SourceTree`.

The baseline of whoever names no tree of their own: the upstream tarball of the first source package that is new
enough, taken from the host's suite or a newer one of the same mirror. The packaging's patches are left out. apt
checks the signatures. What was fetched once is used until it is asked to look again, so that a build of today and
one of next week compare.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.build.source import IMPORTS, SourceTree, source_from_commit, source_from_tarball
from lab.errors import HostError
from lab.host.apt import PrivateApt
from lab.host.distribution import read_distribution
from lab.progress import Progress
from lab.series.repository import open_repository
from lab.settings import cache_dir

PACKAGE = "qemu"
OLDEST = (10, 0)
"""virtio-scsi has iothread-vq-mapping since QEMU 10.0."""

# Names of newer suites that a mirror of the distribution has. Ubuntu's "devel" is the one under development.
_NEWER_SUITES = {"debian": ("trixie", "sid"), "ubuntu": ("devel",)}
_VERSION = re.compile(r"^(?:\d+:)?(\d+)\.(\d+)")
_ORIG = re.compile(r"^qemu_[^_]+\.orig\.tar\.(?:xz|gz|bz2)$")
_RECORD = "distribution.json"


def source_from_distribution(*, progress: Progress, refresh: bool = False) -> SourceTree:
    """Return the source of the distribution's QEMU package, 10.0 or newer; fetched and imported once.

    :param refresh: look whether there is a newer one.
    :raise HostError: apt is not there, the mirror cannot be reached, or no suite has a version new enough.
    :raise InputError: what was fetched is not a source of QEMU.
    :raise CommandError: git could not store it.
    """
    if not refresh:
        known = _recorded()
        if known is not None:
            return known
    name = read_distribution()
    newer = next((_NEWER_SUITES[name_] for name_ in (name.id, *name.like) if name_ in _NEWER_SUITES), ())

    def open_suite(suite: str | None) -> PrivateApt:
        return PrivateApt.open(suite=suite, source=True, progress=progress)

    with tempfile.TemporaryDirectory(prefix="download-", dir=cache_dir()) as folder:
        tarball, version = fetch_new_enough((None, *newer), open_suite, Path(folder), progress)
        source = source_from_tarball(tarball, progress=progress, origin=f"{PACKAGE} {version}")
    record = {"commit": source.commit, "origin": source.origin}
    (cache_dir("git") / _RECORD).write_text(json.dumps(record) + "\n")
    return source


def fetch_new_enough(
    suites: Sequence[str | None], open_suite: Callable[[str | None], PrivateApt], into: Path, progress: Progress
) -> tuple[Path, str]:
    """Return the upstream tarball and the version of the first suite that has a new enough QEMU and delivers it.

    :param suites: None is the host's own.
    :raise HostError: none does; the message says what each has.
    """
    seen = []
    for suite in suites:
        name = suite or "the host's own suite"
        try:
            apt = open_suite(suite)
            version = apt.source_version(PACKAGE)
            if version is not None and upstream_version(version) >= OLDEST:
                with progress.stage(f"fetching the source of {PACKAGE} {version}"):
                    return orig_tarball(apt.download_source(PACKAGE, into)), version
            seen.append(f"{name} has {version or 'none'}")
        except HostError as err:  # a mirror's lists can be ahead of its files
            seen.append(f"{name}: {err.message}")
    raise HostError(
        f"no source package of QEMU {OLDEST[0]}.{OLDEST[1]} or newer can be had: {'; '.join(seen)}",
        remedy="name a clone, an unpacked source or a tarball of QEMU with --tree",
    )


def upstream_version(version: str) -> tuple[int, int]:
    """Return the first two numbers of a package version: ``1:10.0.13+ds-0+deb13u1`` gives (10, 0); (0, 0) for none."""
    match = _VERSION.match(version)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def orig_tarball(files: Sequence[Path]) -> Path:
    """Return the upstream tarball among the files of a source package.

    :raise HostError: there is none that can be read.
    """
    for file in files:
        if _ORIG.match(file.name):
            return file
    names = ", ".join(file.name for file in files) or "nothing"
    raise HostError(f"the source package has no upstream tarball that can be read: {names}")


def _recorded() -> SourceTree | None:
    """Return the source that was fetched before, where it is still there."""
    try:
        record = json.loads((cache_dir("git") / _RECORD).read_text())
        commit, origin = str(record["commit"]), str(record["origin"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    repository = open_repository(IMPORTS)
    if repository.commit_id(commit) is None:
        return None
    return source_from_commit(repository, commit, origin)
