"""The distribution's source package of fio to one static program.

The packaged fio is linked with 64 libraries (80 MB) for engines that a disk in a guest never needs, and a guest's boot
would consist of unpacking them. The same source with those engines off is 3 MB. What C library, kernel headers and
libaio give stays: libaio, io_uring, psync, pvsync2, mmap, sg and more.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from lab.command import run, run_logged
from lab.errors import CommandError, HostError, MissingPackagesError, StageError
from lab.host.apt import PackageVersion, PrivateApt
from lab.progress import Progress, Stage
from lab.settings import cache_dir

LIBRARY_PACKAGES = ("libaio-dev", "zlib1g-dev")
"""Linked from packages of our own choice, so that the program is the same whatever else is installed."""

# configure takes whatever it finds on the host: all that is not wanted is named.
_UNWANTED = "numa rdma rados rbd http gfapi lex pmem libzbc xnvme tcmalloc libnfs dfs"
_CONFIGURE = ("--build-static", "--disable-native", *(f"--disable-{what}" for what in _UNWANTED.split()))
_CONFIGURE_TIMEOUT_S = 300.0
_MAKE_TIMEOUT_S = 900.0
_STEPS = 220  # about as many lines as configure and make print, for the progress bar


def toolchain() -> str:
    """Return what identifies compiler and C library; a fio from another toolchain is another fio.

    :raise MissingPackagesError: there is no C compiler with a static C library.
    """
    try:
        compiler = run(("gcc", "--version")).stdout.partition("\n")[0]
        library = Path(run(("gcc", "-print-file-name=libc.a")).stdout.strip())
        digest = hashlib.sha256(library.read_bytes()).hexdigest()
    except (CommandError, OSError) as err:
        raise MissingPackagesError(
            f"fio cannot be built without a C compiler and a static C library: {err}",
            remedy="run: lab doctor --fix, or as root: apt-get install gcc libc6-dev make",
        ) from err
    return f"{compiler}, libc.a {digest[:16]}"


def fio_program(
    apt: PrivateApt, version: str, libraries: Sequence[PackageVersion], toolchain_id: str, progress: Progress
) -> Path:
    """Return the static fio, built if this source was not built by this toolchain before.

    :param version: of the source package ``fio``.
    :param libraries: packages that it is linked with.
    :param toolchain_id: from :func:`toolchain`.
    :raise HostError: the source cannot be fetched or does not build; the log is named.
    """
    recipe = Path(__file__).read_bytes()
    identity = repr((version, [str(package) for package in libraries], toolchain_id)).encode() + recipe
    programs = cache_dir("programs")
    program = programs / f"fio-{hashlib.sha256(identity).hexdigest()[:16]}"
    with FileLock(programs / "fio.lock"):
        if not program.exists():
            with (
                tempfile.TemporaryDirectory(prefix=".fio-", dir=programs) as work,
                progress.stage("building fio") as stage,
            ):
                _build(apt, version, libraries, Path(work), stage).replace(program)
    return program


def _build(apt: PrivateApt, version: str, libraries: Sequence[PackageVersion], work: Path, stage: Stage) -> Path:
    log = cache_dir("logs") / "fio-build.log"
    log.unlink(missing_ok=True)
    root = work / "libraries"
    apt.unpack(libraries, root)
    files = apt.download_source(f"fio={version}", work / "download")
    (library,) = {path.parent for path in root.rglob("libaio.a")}
    lines = 0

    def on_line(line: str) -> None:
        nonlocal lines
        lines += 1
        stage.update(min(lines, _STEPS), _STEPS, note=line.strip()[:60])

    try:
        tree = _unpack_source(files, work)
        # Relative paths and no debug information: nothing of this folder's name reaches the program, or splits a word.
        cflags = f"--extra-cflags=-g0 -I{os.path.relpath(root / 'usr/include', tree)}"
        env = {"LDFLAGS": f"-L{os.path.relpath(library, tree)}", "SOURCE_DATE_EPOCH": "0", "LC_ALL": "C.UTF-8"}
        for argv, timeout_s in (
            (("./configure", *_CONFIGURE, cflags), _CONFIGURE_TIMEOUT_S),
            (("make", f"-j{os.cpu_count() or 1}", "fio"), _MAKE_TIMEOUT_S),
            (("strip", "--strip-all", "fio"), _CONFIGURE_TIMEOUT_S),
        ):
            run_logged(argv, cwd=tree, env=env, log=log, timeout_s=timeout_s, on_line=on_line)
    except StageError as err:
        raise HostError(
            f"fio {version} does not build: {err.message}",
            remedy="run: lab doctor --fix, or name a fio of this host as path in a recipe",
            evidence=log,
        ) from err
    return tree / "fio"


def _unpack_source(files: Sequence[Path], work: Path) -> Path:
    """Unpack a source package of format 3.0 (quilt) and apply the distribution's patches (dpkg-source(1)).

    dpkg-source itself would be one more package on the host.
    """
    for path in files:
        if path.suffix in (".gz", ".xz", ".bz2") and "tar" in path.suffixes[-2]:
            with tarfile.open(path) as archive:
                # "data" refuses paths that lead out; Python before 3.11.4 lacks it, and apt has checked the file.
                archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
                archive.extractall(work)  # noqa: S202 - see above
    (tree,) = {path.parent for path in work.glob("*/FIO-VERSION-GEN")}
    series = work / "debian" / "patches" / "series"
    names = series.read_text(encoding="utf-8").splitlines() if series.exists() else []
    for name in (line.strip() for line in names):
        if name and not name.startswith("#"):
            # git must not take the folder for a part of a repository further up.
            env = {"GIT_CEILING_DIRECTORIES": str(work)}
            run(("git", "apply", series.parent / name), cwd=tree, env=env)
    return tree
