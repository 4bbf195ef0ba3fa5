"""The host's apt configuration to a private one: the same mirrors, keys and proxies, and nothing else of it.

The private one has lists, cache and sources of its own, an empty package database (so what happens to be installed
plays no part), no hooks and no pins. Signatures are always checked.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.command import CommandResult
from lab.errors import HostError, StageError
from lab.host.apt_sources import AptSource, deb822_from_sources, read_sources
from lab.progress import Progress

_UPDATE_TIMEOUT_S = 600.0
_DEFAULT_TIMEOUT_S = 120.0
_OLD_LISTS_USED = re.compile(r"^W: (Failed to fetch|Some index files failed to download)", re.MULTILINE)
# What would weaken the check of signatures, and what apt-file and its like add to the lists, is left behind.
_DROPPED_OPTION = re.compile(r"Acquire::(Allow|IndexTargets|Languages|GzipIndexes)")
_TARGET_FORMAT = "$(REPO_URI) $(RELEASE) $(ORIGIN) $(LABEL)"


class Run(Protocol):
    """Runs a command to its end, as :func:`lab.command.run` does."""

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float = ...,
        check: bool = ...,
    ) -> CommandResult:
        """Run it."""


@dataclass(frozen=True)
class AptTarget:
    """A list that was fetched, and what its signed Release file says of the archive."""

    uri: str
    suite: str
    origin: str
    label: str


@dataclass(frozen=True)
class HostApt:
    """What is taken over from the host.

    :param sources: every enabled source that has a component ``main``; third parties may be among them.
    :param options: lines of apt.conf: proxies, timeouts, certificates.
    """

    sources: tuple[AptSource, ...]
    options: str


def read_host_apt(run: Run) -> HostApt:
    """Read the host's apt configuration.

    :raise HostError: apt cannot tell.
    """
    words = ("L", "Dir::Etc::sourcelist/f", "P", "Dir::Etc::sourceparts/d")
    try:
        paths = dict(word.split("=", 1) for word in shlex.split(run(("apt-config", "shell", *words)).stdout))
        dump = run(("apt-config", "dump")).stdout
    except StageError as err:
        raise HostError(f"apt does not tell its configuration: {err.message}", remedy="see 'apt-config dump'") from err
    sources = read_sources(Path(paths.get("L", "/dev/null")), Path(paths.get("P", "/dev/null")))
    lines = [line for line in dump.splitlines() if line.startswith("Acquire::") and not _DROPPED_OPTION.match(line)]
    return HostApt(tuple(one for one in sources if "main" in one.components), "\n".join(lines) + "\n")


class AptConfiguration:
    """A folder that holds an apt configuration, its lists and its cache.

    :param folder: made if need be; one process at a time may change it.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        self._run = run

    def write(self, host: HostApt, types: str) -> None:
        """Write the configuration.

        :param types: ``deb`` or ``deb deb-src``.
        """
        folder = self.folder
        for name in ("state/lists/partial", "cache/archives/partial", "sources", "none"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        settings = {
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            # The file that APT_CONFIG names is read first and decides where apt looks for further ones: nowhere.
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": folder / "none",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": folder / "sources",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": folder / "none",
            "Acquire::Languages": "none",
            "Acquire::AllowInsecureRepositories": "false",
            "Acquire::AllowWeakRepositories": "false",
            "Acquire::AllowDowngradeToInsecureRepositories": "false",
            # As root apt downloads as user _apt, who cannot enter a cache below root's home.
            **({"APT::Sandbox::User": "root"} if os.geteuid() == 0 else {}),
        }
        lines = [f'{name} "{value}";\n' for name, value in settings.items()]
        (folder / "apt.conf").write_text(host.options + "".join(lines), encoding="utf-8")
        text = deb822_from_sources(host.sources, types)
        (folder / "sources" / "lab.sources").write_text(text, encoding="utf-8")

    def sources(self) -> tuple[AptSource, ...]:
        """Return the sources that were written last."""
        return read_sources(Path("/dev/null"), self.folder / "sources")

    def update(self, progress: Progress, *, check: bool = True) -> bool:
        """Fetch the lists. With no network apt keeps those it has.

        :param check: raise where apt found fault with a source, a signature say.
        :return: whether every list is now up to date.
        :raise HostError: apt failed.
        """
        with progress.stage("fetching package lists"):
            result = self.run("apt-get", "update", "--quiet", timeout_s=_UPDATE_TIMEOUT_S, check=False)
        if check and result.returncode != 0:
            raise HostError(
                f"apt did not accept the package lists:\n{result.tail()}",
                remedy="a missing key comes with the distribution's keyring package, for example"
                " 'apt-get install --only-upgrade debian-archive-keyring'; for anything else see 'apt-get update'",
            )
        return result.returncode == 0 and not _OLD_LISTS_USED.search(result.stdout + result.stderr)

    def targets(self) -> tuple[AptTarget, ...]:
        """Return the lists of packages that were fetched.

        :raise HostError: apt failed.
        """
        words = ("indextargets", "--format", _TARGET_FORMAT, "Identifier: Packages")
        rows = (line.split(maxsplit=3) for line in self.run("apt-get", *words).stdout.splitlines())
        return tuple(AptTarget(row[0].rstrip("/"), *row[1:]) for row in rows if len(row) == 4)

    def run(
        self, *argv: str, cwd: Path | None = None, timeout_s: float = _DEFAULT_TIMEOUT_S, check: bool = True
    ) -> CommandResult:
        """Run a command of apt's with this configuration, its messages in English.

        :raise HostError: it failed, took too long or could not be started.
        """
        env = {"APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8"}
        try:
            return self._run(argv, cwd=cwd, env=env, timeout_s=timeout_s, check=check)
        except StageError as err:
            raise HostError(
                f"apt could not do what was asked for: {err.message}",
                remedy="see whether the mirror can be reached ('apt-get update'), then call again",
            ) from err
