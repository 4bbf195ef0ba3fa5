"""What the host lacks, and getting it: by apt where that is possible, else the exact command for people to run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from lab.command import run_logged
from lab.errors import MissingPackagesError, StageError
from lab.host.distribution import Distribution, Family, read_distribution
from lab.host.requirements import OPTIONAL, REQUIREMENTS, Probe, Requirement, is_present
from lab.progress import Progress
from lab.settings import cache_dir

_APT_ENV = {"DEBIAN_FRONTEND": "noninteractive"}
# Another apt-get (unattended-upgrades, say) may be at work: wait for it rather than fail.
_APT_OPTIONS = ("-q", "-o", "DPkg::Lock::Timeout=300")
_UPDATE_TIMEOUT_S = 600.0
_INSTALL_TIMEOUT_S = 1800.0


class RunLogged(Protocol):
    """Runs a long command, as :func:`lab.command.run_logged` does."""

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        timeout_s: float = ...,
        on_line: Callable[[str], None] = ...,
    ) -> None:
        """Run it to its end."""


def missing_packages(has: Callable[[Probe], bool] = is_present) -> tuple[Requirement, ...]:
    """Return what the lab needs and this host does not have, in the order of the list."""
    return tuple(requirement for requirement in REQUIREMENTS if not has(requirement.probe))


def missing_optional_packages(has: Callable[[Probe], bool] = is_present) -> tuple[Requirement, ...]:
    """Return what single verbs need and this host does not have."""
    return tuple(requirement for requirement in OPTIONAL if not has(requirement.probe))


def can_install(distribution: Distribution, *, is_root: bool) -> bool:
    """Tell whether the lab itself can install packages here."""
    return distribution.family is Family.APT and is_root


def install_command(missing: Sequence[Requirement], distribution: Distribution, *, is_root: bool) -> str:
    """Return the command that installs what is missing, ready to paste; for an unknown distribution, the names."""
    apt, dnf = _names(missing, Family.APT), _names(missing, Family.DNF)
    sudo = "" if is_root else "sudo "
    match distribution.family:
        case Family.APT:
            return f"{sudo}apt-get update && {sudo}apt-get install --no-install-recommends {shlex.join(apt)}"
        case Family.DNF:
            enable = _enable_crb(distribution, sudo) if any(one.is_in_crb for one in missing) else ""
            return f"{enable}{sudo}dnf install {shlex.join(dnf)}"
        case Family.UNKNOWN:
            return f"install what Debian calls {', '.join(apt)} and Fedora calls {', '.join(dnf)}"


def require_packages(has: Callable[[Probe], bool] = is_present, wanted: Sequence[Requirement] = REQUIREMENTS) -> None:
    """Make sure that nothing is missing; installs nothing.

    :param wanted: what is needed; by default what everything needs.
    :raise MissingPackagesError: something is; the remedy is the command that installs it.
    """
    missing = tuple(requirement for requirement in wanted if not has(requirement.probe))
    if missing:
        command = install_command(missing, read_distribution(), is_root=os.geteuid() == 0)
        raise MissingPackagesError(f"this host lacks {_named(missing)}", remedy=command)


def install_packages(
    missing: Sequence[Requirement],
    progress: Progress,
    *,
    distribution: Distribution | None = None,
    is_root: bool | None = None,
    has: Callable[[Probe], bool] = is_present,
    run: RunLogged = run_logged,
) -> None:
    """Install what is missing and look again; nothing missing is nothing done.

    :param distribution: this host's own by default, as are the other parameters.
    :raise MissingPackagesError: the lab cannot install packages here, or the installation failed, or something is
        missing even so; the remedy is the command for people to run.
    """
    if not missing:
        return
    distribution = distribution or read_distribution()
    is_root = os.geteuid() == 0 if is_root is None else is_root
    command = install_command(missing, distribution, is_root=is_root)
    if not can_install(distribution, is_root=is_root):
        why = (
            "only root can install packages" if distribution.family is Family.APT else "the lab installs with apt only"
        )
        raise MissingPackagesError(f"this host lacks {_named(missing)}, and {why}", remedy=command)
    log = cache_dir("logs") / "apt-get.log"
    names = _names(missing, Family.APT)
    try:
        _apt_install(names, progress, log, run)
    except StageError as err:
        raise MissingPackagesError(
            f"installing {', '.join(names)} failed: {err.message}", remedy=f"see {log}, then: {command}", evidence=log
        ) from err
    left = [one for one in missing if not has(one.probe)]
    if left:
        raise MissingPackagesError(
            f"apt-get succeeded, and this host still lacks {_named(left)}",
            remedy=f"see {log}, then: {install_command(left, distribution, is_root=is_root)}",
            evidence=log,
        )


def _apt_install(names: Sequence[str], progress: Progress, log: Path, run: RunLogged) -> None:
    """Bring the package lists up to date and install.

    The lists are always renewed: how old they are cannot be told (apt gives them the server's dates), and an old list
    names files that the mirror no longer has. Where that fails, the lists at hand are tried.
    """
    with progress.stage(f"installing {', '.join(names)}") as stage:

        def apt_get(*words: str, timeout_s: float) -> None:
            run(
                ("apt-get", *_APT_OPTIONS, *words),
                log=log,
                env=_APT_ENV,
                timeout_s=timeout_s,
                on_line=lambda line: stage.update(0, note=line.strip()),
            )

        try:
            apt_get("update", timeout_s=_UPDATE_TIMEOUT_S)
        except StageError as err:
            why = err.message.splitlines()[0]
            progress.say(f"the package lists could not be renewed, going on with those at hand: {why} (see {log})")
        apt_get("install", "--yes", "--no-install-recommends", *names, timeout_s=_INSTALL_TIMEOUT_S)


def _named(requirements: Sequence[Requirement]) -> str:
    return ", ".join(one.name for one in requirements)


def _names(missing: Sequence[Requirement], family: Family) -> tuple[str, ...]:
    names = (name for one in missing for name in (one.dnf if family is Family.DNF else one.apt))
    return tuple(dict.fromkeys(names))


def _enable_crb(distribution: Distribution, sudo: str) -> str:
    """Return what switches the CodeReady Builder repository on, with a trailing ``&&``; Fedora has none."""
    if not distribution.is_enterprise:
        return ""
    if distribution.id == "rhel":
        repository = "codeready-builder-for-rhel-$(rpm -E %rhel)-$(arch)-rpms"
        return f"{sudo}subscription-manager repos --enable {repository} && "
    return f"{sudo}dnf config-manager --set-enabled crb && "
