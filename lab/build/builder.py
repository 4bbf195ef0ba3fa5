"""A commit to a :class:`Build`: from the cache, or built once and stored."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from lab.build.area import (
    WorkArea,
    area_for,
    build_in_area,
    code_generation_flags,
    digest_of_subprojects,
    marked_dirty,
)
from lab.build.build import Build
from lab.build.entry import find_entry, new_entry
from lab.build.firmware import gather_firmware
from lab.build.purpose import Purpose, remember_purpose
from lab.build.recipe import CONFIGURE_OPTIONS, TARGETS, build_key
from lab.build.source import SourceTree
from lab.build.toolchain import Toolchain, probe_toolchain
from lab.errors import StageError
from lab.progress import Progress
from lab.settings import cache_dir


@dataclass(frozen=True)
class Builder:
    """Builds commits of one source.

    :param source: where the commits are.
    :param subprojects: digest of what is built and not committed; see lab/build/area.py.
    :param control: build from nothing, in an area and under a key of its own: the control of an A/A comparison.
    """

    source: SourceTree
    toolchain: Toolchain
    subprojects: str
    progress: Progress
    control: bool = False

    @classmethod
    def open(cls, source: SourceTree, progress: Progress, *, control: bool = False) -> Builder:
        """Return a builder for a source, the toolchain probed once.

        :raise MissingPackagesError: the host lacks what building needs.
        :raise HostError: the compiler does not run.
        """
        if control:
            source = replace(source, area=f"{source.area}-control")
        return cls(source, probe_toolchain(), digest_of_subprojects(source), progress, control)

    def build(self, commit: str, *, title: str, purpose: Purpose | None = None) -> Build:
        """Return the build of a commit.

        :param title: finishes "building ...": ``baseline (QEMU 10.0.13)``.
        :param purpose: what it is for, to be remembered for ``lab build --list``.
        :raise CommandError: it does not configure or build; the error's evidence is the log.
        :raise DeadlineError: it took hours.
        :raise HostError: this host has no BIOS for it.
        :raise InputError: the tree has no configure, or a subproject cannot be copied.
        """
        tree_id = self.source.repository.tree_id(commit)
        key = build_key(tree_id, self.toolchain, extra=f"{'control ' if self.control else ''}{self.subprojects}")
        build = self._found(key, commit) or self._built(key, commit, tree_id, title)
        if purpose is not None:
            remember_purpose(key, purpose)
        return build

    def _found(self, key: str, commit: str) -> Build | None:
        """Return a build from the cache under the name it was asked for: another commit may have the same tree."""
        found = find_entry(key)
        return found and replace(found, commit=commit, origin=self.source.origin)

    def _built(self, key: str, commit: str, tree_id: str, title: str) -> Build:
        area = area_for(self.source, self.toolchain)
        with _locked(area, self.progress):
            found = self._found(key, commit)  # another process may have built it while this one waited
            if found is not None:
                return found
            with marked_dirty(area, self.progress):
                return self._build(area, commit, tree_id, key, title)

    def _build(self, area: WorkArea, commit: str, tree_id: str, key: str, title: str) -> Build:
        start = time.monotonic()
        try:
            if self.control:
                shutil.rmtree(area.build, ignore_errors=True)
            steps = build_in_area(area, self.source, tree_id, title=title, progress=self.progress)
        except StageError as err:
            raise _with_kept_log(err, area.log, key) from err
        with new_entry(key) as (folder, store):
            for target in TARGETS:
                shutil.copy2(area.build / target, folder / target)
            gather_firmware(area.source, area.build, folder / "firmware", self.toolchain, area.log)
            shutil.copyfile(area.log, folder / "build.log")
            return store(
                Build(
                    folder=folder,
                    key=key,
                    commit=commit,
                    tree_id=tree_id,
                    origin=self.source.origin,
                    version=self.source.version,
                    configure_options=CONFIGURE_OPTIONS,
                    compiler=self.toolchain.compiler,
                    linker=self.toolchain.linker,
                    libraries=dict(self.toolchain.libraries),
                    c_flags=code_generation_flags(area.build),
                    binary_sha256=_sha256(folder / "qemu-system-x86_64"),
                    firmware_sha256={path.name: _sha256(path) for path in sorted((folder / "firmware").iterdir())},
                    built_at=datetime.now(UTC).isoformat(timespec="seconds"),
                    seconds=round(time.monotonic() - start, 2),
                    steps=steps,
                )
            )


@contextmanager
def _locked(area: WorkArea, progress: Progress) -> Iterator[None]:
    """Hold the area's lock; say so where another build has to end first."""
    lock = FileLock(area.lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with progress.stage("waiting for another build in the same work area"):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _with_kept_log(error: StageError, log: Path, key: str) -> StageError:
    """Return the error with a copy of the log that the next build does not overwrite."""
    kept = cache_dir("failed-builds") / f"{key}.log"
    if log.is_file():
        shutil.copyfile(log, kept)
    return type(error)(error.message, remedy=error.remedy.replace(str(log), str(kept)), evidence=kept)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
