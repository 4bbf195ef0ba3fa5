"""The distribution's packages without root and without touching the host: names in, verified files out."""

from __future__ import annotations

import functools
import hashlib
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from lab.command import is_installed, run
from lab.errors import HostError, InputError
from lab.host.apt_config import AptConfiguration, AptTarget, HostApt, Run, read_host_apt
from lab.host.apt_sources import AptSource
from lab.host.distribution import Distribution, read_distribution
from lab.progress import Progress
from lab.settings import cache_dir

_UPDATE_INTERVAL_S = 24 * 3600.0
_DOWNLOAD_TIMEOUT_S = 1800.0
_UNPACK_TIMEOUT_S = 300.0
_KEYRINGS = Path("/usr/share/keyrings")
_SUITE = re.compile(r"^[a-z][a-z0-9.+-]{0,60}$")
_PACKAGE = re.compile(r"^[a-z0-9][a-z0-9.+-]*(=[A-Za-z0-9.+~:-]+)?$")
_INSTALL_LINE = re.compile(r"^Inst (?P<name>\S+) \((?P<version>\S+) ", re.MULTILINE)


@dataclass(frozen=True)
class PackageVersion:
    """A binary package as an archive offers it."""

    name: str
    version: str

    def __str__(self) -> str:
        """Return it as apt-get takes it."""
        return f"{self.name}={self.version}"


class PrivateApt:
    """apt-get and apt-cache through a private configuration derived from the host's own. Made by :meth:`open`."""

    def __init__(self, configuration: AptConfiguration) -> None:
        self._apt = configuration

    @classmethod
    def open(
        cls,
        *,
        suite: str | None = None,
        source: bool = False,
        refresh: bool = False,
        progress: Progress,
        run: Run = run,
        has: Callable[[str], bool] = is_installed,
        distribution: Distribution | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> PrivateApt:
        """Return an apt whose lists are at most a day old. Safe to call from several processes.

        :param suite: another suite of the same mirror, for example ``trixie``; None for those the host uses.
        :param source: source packages too.
        :param refresh: fetch the lists even if they are fresh.
        :raise InputError: not the name of a suite.
        :raise HostError: no apt here, no mirror of the distribution configured or answering, or a signature is missing.
        """
        if suite is not None and not _SUITE.match(suite):
            raise InputError(f"'{suite}' is not the name of a suite", remedy="write for example trixie")
        if not has("apt-get"):
            raise HostError(
                "this host has no apt-get", remedy="use a host with Debian, Ubuntu or a distribution made from them"
            )
        distribution = distribution or read_distribution()
        host = read_host_apt(run)
        types = "deb deb-src" if source else "deb"
        digest = hashlib.sha256(repr((host, suite, types, distribution.id)).encode()).hexdigest()[:16]
        configuration = AptConfiguration(cache_dir("apt", digest), run)
        with FileLock(configuration.folder / "lock"):
            stamp = configuration.folder / "updated"
            if not refresh and _is_fresh(stamp, now_s()):
                return cls(configuration)
            if suite is None:
                complete = _update_own_suites(configuration, host, types, distribution, progress)
            else:
                base = cls.open(source=True, progress=progress, run=run, distribution=distribution, has=has)
                own = replace(host, sources=base.sources_of(suite, distribution))
                configuration.write(own, types)
                complete = configuration.update(progress)
            if not configuration.targets():
                raise HostError(
                    f"no package list of {suite or distribution.name} could be fetched",
                    remedy="see whether the mirror can be reached: 'apt-get update'",
                )
            if complete:
                stamp.touch()
            else:
                progress.say("the mirror did not answer; going on with older package lists")
        return cls(configuration)

    def sources_of(self, suite: str, distribution: Distribution) -> tuple[AptSource, ...]:
        """Return where another suite of the distribution is to be had: the mirror and components of the host's own.

        The keys are those of the distribution's keyring package, which has the next release's keys early; the key that
        the host's entry names may be good for the host's release only.
        """
        main = {
            (target.uri, target.suite)
            for target in self._apt.targets()
            if "-" not in target.suite and "-" not in target.label
        }
        keyring = _KEYRINGS / f"{distribution.id}-archive-keyring.gpg"
        found = [
            replace(source, suite=suite, signed_by=str(keyring) if keyring.is_file() else source.signed_by)
            for source in self._apt.sources()
            if (source.uri, source.suite) in main
        ]
        return tuple(dict.fromkeys(found))

    def candidate_version(self, package: str) -> str | None:
        """Return the version that would be installed, None where there is no such package.

        :raise InputError: not a package name.
        :raise HostError: apt failed.
        """
        text = self._apt.run("apt-cache", "policy", *_checked((package,))).stdout
        match = re.search(r"^  Candidate: (\S+)$", text, re.MULTILINE)
        return None if match is None or match[1] == "(none)" else match[1]

    def source_version(self, source_package: str) -> str | None:
        """Return the newest version of a source package, None where there is none.

        :raise InputError: not a package name.
        :raise HostError: apt failed.
        """
        words = ("showsrc", "--only-source", *_checked((source_package,)))
        text = self._apt.run("apt-cache", *words, check=False).stdout
        found = re.findall(r"^Version: (\S+)$", text, re.MULTILINE)
        return max(found, key=functools.cmp_to_key(self._compare_versions), default=None)

    def resolve(self, packages: Sequence[str]) -> tuple[PackageVersion, ...]:
        """Return the packages and all that they depend on, sorted by name; nothing that is only recommended.

        apt's own solver decides between alternatives.

        :raise InputError: not a package name.
        :raise HostError: there is no such package, or it cannot be installed.
        """
        words = ("install", "--simulate", "--no-install-recommends", "--quiet", *_checked(packages))
        text = self._apt.run("apt-get", *words).stdout
        found = {PackageVersion(match["name"], match["version"]) for match in _INSTALL_LINE.finditer(text)}
        return tuple(sorted(found, key=lambda package: package.name))

    def download(self, packages: Sequence[str], into: Path) -> tuple[Path, ...]:
        """Fetch and verify the ``.deb`` files of exactly these packages.

        :param packages: names, or ``name=version``.
        :return: the files, in the order of the packages.
        :raise InputError: not a package name.
        :raise HostError: a package or the network is missing, or a checksum is wrong.
        """
        if not packages:
            return ()
        files = self._fetch(("apt-get", "download", "--quiet", *_checked(packages)), into)
        by_name = {path.name.partition("_")[0]: path for path in files}
        return tuple(by_name[package.partition("=")[0]] for package in packages)

    def download_source(self, source_package: str, into: Path) -> tuple[Path, ...]:
        """Fetch and verify a source package: its ``.dsc`` and archives, sorted, not unpacked.

        :param source_package: name, or ``name=version``.
        :raise InputError: not a package name.
        :raise HostError: the package or the network is missing, or a checksum is wrong.
        """
        words = ("source", "--download-only", "--only-source", "--quiet", *_checked((source_package,)))
        return self._fetch(("apt-get", *words), into)

    def unpack(self, packages: Sequence[PackageVersion], into: Path) -> None:
        """Fetch packages and unpack their files below a folder. Nothing of them is run, and root is not needed.

        :raise HostError: a package cannot be fetched or unpacked.
        """
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".debs-", dir=into.parent) as folder:
            for deb in self.download([str(package) for package in packages], Path(folder)):
                self._apt.run("dpkg-deb", "--extract", str(deb), str(into), timeout_s=_UNPACK_TIMEOUT_S)

    def _fetch(self, argv: Sequence[str], into: Path) -> tuple[Path, ...]:
        """Run a command that leaves files in its working folder; in ``into`` they appear complete or not at all."""
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=into) as part:
            self._apt.run(*argv, cwd=Path(part), timeout_s=_DOWNLOAD_TIMEOUT_S)
            return tuple(path.replace(into / path.name) for path in sorted(Path(part).iterdir()))

    def _compare_versions(self, left: str, right: str) -> int:
        if left == right:
            return 0
        result = self._apt.run("dpkg", "--compare-versions", left, "gt", right, check=False)
        return 1 if result.returncode == 0 else -1


def _update_own_suites(
    configuration: AptConfiguration, host: HostApt, types: str, distribution: Distribution, progress: Progress
) -> bool:
    """Write and fetch the suites the host uses, third parties left out.

    Which sources are the distribution's own is told by their signed Release files, so all are fetched first.
    """
    configuration.write(host, types)
    complete = configuration.update(progress, check=False)
    own = _of_distribution(host.sources, configuration.targets(), distribution)
    if not own:
        raise HostError(
            f"no package list of {distribution.name} could be fetched",
            remedy="see whether the distribution's mirror is configured and can be reached: 'apt-get update'",
        )
    if own == host.sources and complete:
        return True
    configuration.write(replace(host, sources=own), types)
    return configuration.update(progress)


def _of_distribution(
    sources: tuple[AptSource, ...], targets: tuple[AptTarget, ...], distribution: Distribution
) -> tuple[AptSource, ...]:
    names = {distribution.id, *distribution.like}
    own = {(target.uri, target.suite) for target in targets if target.origin.lower() in names}
    return tuple(source for source in sources if (source.uri, source.suite) in own)


def _checked(packages: Sequence[str]) -> Sequence[str]:
    for package in packages:
        if not _PACKAGE.match(package):
            raise InputError(f"'{package}' is not the name of a package")
    return packages


def _is_fresh(stamp: Path, now_s: float) -> bool:
    try:
        age_s = now_s - stamp.stat().st_mtime
    except FileNotFoundError:
        return False
    return 0 <= age_s < _UPDATE_INTERVAL_S
