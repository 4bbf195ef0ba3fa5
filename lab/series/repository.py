"""Git repositories of the lab's own: commits and trees in, objects and trees out.

The user's repository is read and never written: its objects are borrowed through ``objects/info/alternates``
(gitrepository-layout(5)), so nothing is copied and no ref, index, hook or setting of theirs is touched. Git runs
with an environment made here: no system or user configuration, no hooks, no signing, no prompts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock

from lab.command import CommandResult, fed, is_installed, run
from lab.errors import CommandError, HostError, InputError
from lab.scratch import scratch_folder
from lab.settings import cache_dir

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "commit.gpgSign=false",
    "gc.auto=0",
    "protocol.allow=never",
    # A tree that belongs to another user was named on the command line; reading it runs nothing of theirs.
    "safe.directory=*",
)
_GIT_TIMEOUT_S = 600.0

# The tree's own .gitattributes must not change bytes between blob and file: what is built is what was committed.
_ATTRIBUTES = "* -text !eol -ident -filter !working-tree-encoding !merge\n"


def git_environment() -> dict[str, str]:
    """Return the whole environment that git gets: nothing of the user's settings, one language for messages.

    The lab's settings are in it too, as git-config(1) has it under ``GIT_CONFIG_COUNT``: there they outrank the
    tree's own, and stay out of the words that an error message shows.
    """
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **passed_on,
        **_settings(),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        # A partial clone fetches what it lacks, by whatever command its own settings name (gitremote-helpers(7), ext).
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
    }


def run_git(
    *words: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    check: bool = True,
) -> CommandResult:
    """Run git with the lab's neutral settings.

    :param env: added to :func:`git_environment`.
    :raise CommandError: git is not installed, or it failed.
    :raise DeadlineError: it did not end within ten minutes.
    """
    return run(
        ["git", *words],
        cwd=cwd,
        env={**git_environment(), **(env or {})},
        inherit_env=False,
        stdin=stdin,
        timeout_s=_GIT_TIMEOUT_S,
        check=check,
    )


def _settings() -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(_SETTINGS))}
    for number, setting in enumerate(_SETTINGS):
        variables[f"GIT_CONFIG_KEY_{number}"], _, variables[f"GIT_CONFIG_VALUE_{number}"] = setting.partition("=")
    return variables


@dataclass(frozen=True)
class Repository:
    """A bare repository that the lab made.

    :param git_dir: its folder.
    """

    git_dir: Path

    def git(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        check: bool = True,
    ) -> CommandResult:
        """Run git in this repository; see :func:`run_git`."""
        return run_git(f"--git-dir={self.git_dir.absolute()}", *words, cwd=cwd, env=env, stdin=stdin, check=check)

    def commit_id(self, revision: str) -> str | None:
        """Return the commit a name stands for, or None where there is no such commit."""
        words = ("rev-parse", "--quiet", "--verify", "--end-of-options", f"{revision}^{{commit}}")
        result = self.git(*words, check=False)
        return result.stdout.strip() or None

    def tree_id(self, commit: str) -> str:
        """Return the tree of a commit.

        :raise CommandError: there is no such commit.
        """
        return self.git("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").stdout.strip()

    def text(self, tree_id: str, path: str) -> str | None:
        """Return a file's text, undecodable bytes replaced, or None where the tree has no such file."""
        result = self.git("cat-file", "blob", f"{tree_id}:{path}", check=False)
        return result.stdout if result.returncode == 0 else None

    def paths(self, tree_id: str) -> tuple[str, ...]:
        """Return the path of every file of a tree."""
        return tuple(self.git("ls-tree", "-r", "-z", "--name-only", tree_id).stdout.rstrip("\0").split("\0"))

    @contextmanager
    def fast_import(self) -> Iterator[IO[bytes]]:
        """Give a stream that ``git fast-import`` reads; it must end with ``done``.

        :raise CommandError: git refused what was written.
        """
        # The files of a source are no near-copies of each other: looking for deltas costs time and saves little.
        words = ("-c", "pack.compression=1", "fast-import", "--quiet", "--done", "--force", "--depth=0")
        argv = ["git", f"--git-dir={self.git_dir}", *words]
        with fed(argv, env=git_environment(), inherit_env=False) as stream:
            yield stream

    @contextmanager
    def index_of(self, tree_id: str) -> Iterator[Mapping[str, str]]:
        """Give an index of its own that holds a tree, as environment for :meth:`git`; it is removed afterwards."""
        with scratch_folder() as folder:
            env = {"GIT_INDEX_FILE": str(folder / "index")}
            self.git("read-tree", tree_id, env=env)
            yield env

    def check_out(self, tree_id: str, folder: Path, index: Path) -> None:
        """Make a folder hold a tree; only files that differ are written, so that a build redoes little.

        The caller holds a lock on the folder: a lock file of git's that is still there is a killed run's.

        :param index: where git remembers what the folder holds, kept from call to call.
        :raise CommandError: a file could not be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        index.with_name(f"{index.name}.lock").unlink(missing_ok=True)
        self.git(f"--work-tree={folder}", "read-tree", "--reset", "-u", tree_id, env={"GIT_INDEX_FILE": str(index)})


def require_git() -> None:
    """Make sure that git can be called, before a tree is blamed for what git would say.

    :raise HostError: it is not installed.
    """
    if not is_installed("git"):
        raise HostError("git is not installed, and sources are kept in it", remedy="run 'lab doctor --fix'")


def open_repository(name: str) -> Repository:
    """Return the lab's repository of that name in the cache, made if need be.

    :raise HostError: git is not installed.
    :raise CommandError: git could not make it.
    """
    require_git()
    folder = cache_dir("git")
    git_dir = folder / f"{name}.git"
    with FileLock(folder / f"{name}.lock"):
        # `git init` writes HEAD last, and does no harm to a repository that exists.
        if not (git_dir / "HEAD").is_file():
            run_git("init", "--quiet", "--bare", "--template=", git_dir)
        (git_dir / "info").mkdir(exist_ok=True)
        _write_once(git_dir / "info" / "attributes", _ATTRIBUTES)
    return Repository(git_dir)


def _write_once(path: Path, text: str) -> None:
    """Write a file only where it is not so already: another process's git may be reading it."""
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def is_git_tree(folder: Path) -> bool:
    """Tell whether a folder is the top of a git work tree, or a bare repository."""
    return (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())


def borrow(tree: Path) -> Repository:
    """Return a repository of the lab's own that sees every object of the user's tree.

    :raise InputError: the folder is not a git tree, or not one whose objects can be borrowed.
    :raise HostError: git is not installed.
    """
    require_git()
    asked = ("rev-parse", "--path-format=absolute", "--git-path", "objects", "--show-object-format")
    try:
        found = run_git("-C", tree, *asked)
    except CommandError as err:
        raise InputError(f"{tree} is not a git tree: {err.message}", remedy="name a clone of QEMU") from err
    path, _, object_format = found.stdout.removesuffix("\n").rpartition("\n")
    if object_format != "sha1":
        raise InputError(
            f"{tree} is a git tree with {object_format} object names; the lab reads those with sha1",
            remedy="name a clone of QEMU",
        )
    if "\n" in path or "\N{REPLACEMENT CHARACTER}" in path:
        raise InputError(
            f"the path of {tree} holds a line end or is not UTF-8, which git's list of alternates cannot express",
            remedy="rename the folder",
        )
    objects = Path(path)
    name = f"tree-{hashlib.sha256(str(objects).encode()).hexdigest()[:16]}"
    repository = open_repository(name)
    info = repository.git_dir / "objects" / "info"
    info.mkdir(parents=True, exist_ok=True)
    _write_once(info / "alternates", f"{objects}\n")
    shallow = objects.parent / "shallow"
    if shallow.is_file():  # without it, walking the history of a shallow clone ends in "bad object"
        (repository.git_dir / "shallow").write_bytes(shallow.read_bytes())
    return repository


def commit_in_tree(tree: Path, revision: str) -> str:
    """Return the commit that a name stands for in the user's tree, where their branches and tags are known.

    :raise InputError: the tree has no such commit.
    """
    words = ("rev-parse", "--quiet", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    result = run_git("-C", tree, *words, check=False)
    if result.returncode != 0 or not result.stdout.strip():
        raise InputError(
            f"{tree} has no commit called '{revision}'",
            remedy="name a commit, tag or branch that the tree has, or fetch it",
        )
    return result.stdout.strip()
