"""A tree to binaries, in a work area that is kept: the next build reuses most of the last one's sources and objects.

One area serves all commits of one origin with one toolchain. Checking out another tree writes only files that differ,
so ninja, which compares times, builds little more than those. Whatever ninja does not watch (``configure`` and what it
is made of) empties the build folder when it changes: a slow right build rather than a quick wrong one.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.build.ninja import Pace, step_from_line
from lab.build.recipe import CONFIGURE_INPUTS, TARGETS, area_key, configure_argv
from lab.build.source import SourceTree
from lab.build.toolchain import Toolchain, build_environment
from lab.command import run, run_logged
from lab.errors import CommandError, DeadlineError, InputError, LabError
from lab.files import sync
from lab.progress import Progress, Stage
from lab.settings import cache_dir

_CONFIGURED = "lab-configured.json"
_DISCARDED = "discarded-"
_CONFIGURE_TIMEOUT_S = 900.0
_NINJA_TIMEOUT_S = 7200.0
_EDK2_NAME = re.compile(r"'(edk2-[\w-]+\.fd)'")
_CODE_GENERATION = re.compile(r"^(?:-O\w*|-g\w*|-f[\w=,-]+|-m[\w=,.-]+|--coverage|-pg)$")
_REQUEST_PATH_FILE = "hw/scsi/virtio-scsi.c"


@dataclass(frozen=True)
class WorkArea:
    """A folder with sources and objects.

    The caller holds :attr:`lock_path` locked while using it.
    """

    folder: Path

    @property
    def source(self) -> Path:
        """Return where the sources are checked out; it has no ``.git``, so no version string depends on a commit."""
        return self.folder / "source"

    @property
    def build(self) -> Path:
        """Return the build folder."""
        return self.folder / "build"

    @property
    def log(self) -> Path:
        """Return the log of the build under way."""
        return self.folder / "build.log"

    @property
    def dirty(self) -> Path:
        """Return the file that is there while something builds: found later, that build was cut short."""
        return self.folder / "dirty"

    @property
    def lock_path(self) -> Path:
        """Return the file to lock."""
        return self.folder / "lock"


def area_for(source: SourceTree, toolchain: Toolchain) -> WorkArea:
    """Return the work area of a source, made if need be."""
    return WorkArea(cache_dir("work", area_key(source.area, toolchain)))


@contextmanager
def marked_dirty(area: WorkArea, progress: Progress) -> Iterator[None]:
    """Mark the area for the time something builds in it; what a build that was cut short left is discarded first.

    A killed compiler, or a power cut, leaves half an object that is newer than its source: ninja takes it for done.
    A build that ended by itself, well or not, left no such thing.
    """
    if area.dirty.exists():
        progress.say("the last build was cut short, and half an object looks like a whole one: it begins again")
        _discard(area)
    area.dirty.touch()
    sync(area.dirty)
    sync(area.folder)
    try:
        yield
    except DeadlineError:  # it was killed
        raise
    except LabError:
        area.dirty.unlink()
        raise
    area.dirty.unlink()


def _discard(area: WorkArea) -> None:
    """Remove the build folder, moved first: what still runs in it writes to where it is, not what it was called."""
    if area.build.exists():
        aside = Path(tempfile.mkdtemp(prefix=_DISCARDED, dir=area.folder))
        area.build.rename(aside / "build")
    for aside in area.folder.glob(f"{_DISCARDED}*"):
        shutil.rmtree(aside, ignore_errors=True)


def build_in_area(area: WorkArea, source: SourceTree, tree_id: str, *, title: str, progress: Progress) -> int:
    """Build a tree; return how many steps ninja ran.

    :param title: finishes "building ...".
    :raise CommandError: it does not configure or build; the log is :attr:`WorkArea.log`.
    :raise DeadlineError: it took hours.
    :raise InputError: the tree has no configure, or a subproject of the user's working tree cannot be copied.
    """
    if source.repository.text(tree_id, "configure") is None:
        raise InputError(f"{source.origin} has no 'configure', so it cannot be built", remedy="name a source of QEMU")
    area.log.unlink(missing_ok=True)
    with progress.stage(f"building {title}") as stage:
        stage.update(0, note="checking out")
        source.repository.check_out(tree_id, area.source, area.folder / "index")
        _copy_subprojects(source, area.source)
        _add_empty_blobs(area.source)
        _configure(area, source, tree_id, stage)
        return _ninja(area, stage)


def subprojects_of(source: SourceTree) -> tuple[Path, ...]:
    """Return the subprojects that the user's working tree has but its commits do not (meson downloaded them)."""
    if source.working_tree is None:
        return ()
    wraps = sorted((source.working_tree / "subprojects").glob("*.wrap"))
    folders = (wrap.with_suffix("") for wrap in wraps)
    ls = source.repository.git("ls-tree", "--name-only", source.commit, "subprojects/").stdout.split()
    return tuple(folder for folder in folders if folder.is_dir() and f"subprojects/{folder.name}" not in ls)


def digest_of_subprojects(source: SourceTree) -> str:
    """Return a digest of those subprojects, for the key; empty where there are none."""
    folders = subprojects_of(source)
    if not folders:
        return ""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts):
            digest.update(f"{path.relative_to(folder.parent)}\0".encode(errors="replace"))
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _copy_subprojects(source: SourceTree, into: Path) -> None:
    for folder in subprojects_of(source):
        target = into / "subprojects" / folder.name
        if target.is_symlink() or target.is_file():
            target.unlink()
        try:
            # The times are copied too, so an unchanged file is not built again.
            shutil.copytree(folder, target, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        except OSError as err:
            raise InputError(f"the subproject {folder} cannot be copied: {err}") from err


def _add_empty_blobs(source: Path) -> None:
    """Make the packed firmware that meson.build names, and distribution sources ("+ds") lack, exist.

    meson only asks whether the files are there; nothing that is built here reads them.
    """
    listing = source / "pc-bios" / "meson.build"
    for name in _EDK2_NAME.findall(listing.read_text(errors="replace")) if listing.is_file() else ():
        path = source / "pc-bios" / f"{name}.bz2"
        if not path.exists():
            path.touch()


def _configure(area: WorkArea, source: SourceTree, tree_id: str, stage: Stage) -> None:
    """Run configure where the build folder was not made by the same argv and inputs, or its Python is gone."""
    may_download = not (area.source / "subprojects" / "keycodemapdb" / "README").exists()
    argv = configure_argv(area.source, Path(sys.executable), may_download=may_download)
    inputs = source.repository.git("ls-tree", tree_id, "--", *CONFIGURE_INPUTS).stdout
    # Which Python ran configure does not change what is built, as long as the one it chose still works.
    # The folder is in it because meson's files name it: a cache that was moved is built from the start.
    options = [word for word in argv[1:] if not word.startswith("--python=")]
    wanted = {"folder": str(area.build), "options": options, "inputs": inputs}
    stamp = area.build / _CONFIGURED
    if _read_stamp(stamp) == wanted:
        if _meson_works(area.build):
            return
    else:
        shutil.rmtree(area.build, ignore_errors=True)
    stage.update(0, note="configuring")
    area.build.mkdir(exist_ok=True)
    stamp.unlink(missing_ok=True)
    try:
        run_logged(
            argv,
            log=area.log,
            cwd=area.build,
            env=build_environment(),
            inherit_env=False,
            timeout_s=_CONFIGURE_TIMEOUT_S,
        )
    except CommandError as err:
        if not may_download:
            raise
        raise CommandError(
            f"{err.message}\nThe tree lacks its subprojects, so configure tried to download them.",
            remedy="without network: run 'meson subprojects download' in the tree once, its copies are used",
        ) from err
    stamp.write_text(json.dumps(wanted))


def _read_stamp(stamp: Path) -> object:
    try:
        return json.loads(stamp.read_text())
    except (OSError, ValueError):
        return None


def _meson_works(build: Path) -> bool:
    """Tell whether the virtual environment that configure made still runs; it borrows from the lab's, which may go."""
    try:
        result = run(
            [build / "pyvenv" / "bin" / "meson", "--version"], env=build_environment(), inherit_env=False, check=False
        )
    except LabError:
        return False
    return result.returncode == 0


def _ninja(area: WorkArea, stage: Stage) -> int:
    steps = 0
    start = time.monotonic()
    pace = Pace()

    def on_line(line: str) -> None:
        nonlocal steps
        step = step_from_line(line)
        if step is not None:
            steps = max(steps, step.done)
            # The stage's own estimate would count configure's time as the first steps'.
            eta_s = pace.eta_s(step, time.monotonic() - start)
            stage.update(step.done, step.total, note=f"{step.done}/{step.total} {step.what}", eta_s=eta_s)

    run_logged(
        ["ninja", *TARGETS],
        log=area.log,
        cwd=area.build,
        env=build_environment(),
        inherit_env=False,
        timeout_s=_NINJA_TIMEOUT_S,
        on_line=on_line,
    )
    return steps


def code_generation_flags(build: Path) -> tuple[str, ...]:
    """Return the flags that decide how the request path is compiled, from meson's compilation database."""
    for command in json.loads((build / "compile_commands.json").read_text()):
        if str(command["file"]).endswith(_REQUEST_PATH_FILE):
            return tuple(word for word in shlex.split(command["command"]) if _CODE_GENERATION.match(word))
    return ()
