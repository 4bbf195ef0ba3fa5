"""/etc/os-release to the family of distributions whose package names and commands apply."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_APT_IDS = frozenset({"debian", "ubuntu"})
_DNF_IDS = frozenset({"fedora", "rhel", "centos"})


class Family(StrEnum):
    """A package manager and the package names that go with it."""

    APT = "apt"
    DNF = "dnf"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Distribution:
    """What os-release(5) says.

    :param id: ``debian``, ``fedora``, ``rocky``; empty where the file is missing.
    :param like: ids of the distributions it is derived from, nearest first.
    :param name: as shown to people.
    """

    id: str
    like: tuple[str, ...]
    name: str

    @property
    def family(self) -> Family:
        """The package manager; the distribution's own id counts before those it resembles."""
        for name in (self.id, *self.like):
            if name in _APT_IDS:
                return Family.APT
            if name in _DNF_IDS:
                return Family.DNF
        return Family.UNKNOWN

    @property
    def is_enterprise(self) -> bool:
        """Tell whether this is RHEL or built from it: its development libraries are in a repository that is off."""
        return self.family is Family.DNF and bool({self.id, *self.like} & {"rhel", "centos"})


def read_distribution(root: Path = Path("/")) -> Distribution:
    """Read os-release below ``root``; an unreadable file gives a distribution without a name."""
    for place in ("etc/os-release", "usr/lib/os-release"):
        try:
            return distribution_from_text((root / place).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return Distribution("", (), "unknown distribution")


def distribution_from_text(text: str) -> Distribution:
    """Parse os-release(5): shell-like assignments, one per line; lines that are not are passed over."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith("#"):
            continue
        try:
            fields[key] = " ".join(shlex.split(value))
        except ValueError:  # an unclosed quote
            continue
    name = fields.get("PRETTY_NAME") or fields.get("NAME") or "unknown distribution"
    return Distribution(fields.get("ID", "").lower(), tuple(fields.get("ID_LIKE", "").lower().split()), name)
