"""Which accelerator works on this host, as a value and as a file of the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.settings import cache_dir

_BELIEVED_S = 86400.0


class Tier(StrEnum):
    """What a job can run as, from the quickest to the one whose numbers mean most."""

    QTEST = "qtest"
    TCG = "tcg"
    KVM = "kvm"


class BootableImage(Protocol):
    """The part of a guest image that booting it takes."""

    @property
    def key(self) -> str:
        """The content key."""

    @property
    def kernel(self) -> Path:
        """For ``-kernel``."""

    @property
    def initrd(self) -> Path:
        """For ``-initrd``."""

    @property
    def cmdline(self) -> str:
        """Kernel arguments but for the console."""


@dataclass(frozen=True)
class Subject:
    """What was booted: a binary and an image, by their files. It is a :class:`BootableImage` itself.

    :param firmware: folders with ROM images, for ``-L``.
    """

    qemu: Path
    firmware: tuple[Path, ...]
    key: str
    kernel: Path
    initrd: Path
    cmdline: str

    def is_there(self) -> bool:
        """Tell whether its files still exist."""
        return all(path.is_file() for path in (self.qemu, self.kernel, self.initrd))


@dataclass(frozen=True)
class Attempt:
    """One tier that was tried.

    :param detail: what was seen, a clause without a capital or a full stop.
    :param seconds: how long it took.
    """

    tier: Tier
    works: bool
    detail: str
    seconds: float


@dataclass(frozen=True)
class AcceleratorChoice:
    """What machines on this host are started with, and why.

    :param accelerator: for ``-accel``: kvm where it works, else tcg.
    :param tried: all three tiers.
    """

    accelerator: Literal["kvm", "tcg"]
    reason: str
    tried: tuple[Attempt, ...]

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers that work here."""
        return tuple(attempt.tier for attempt in self.tried if attempt.works)


class StoredChoice(BaseModel):
    """An answer in the cache.

    :param host: fingerprint of the host it was found on; caches live on shared file systems too.
    :param kvm_opens: /dev/kvm could be opened then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    host: str
    asked_at_s: float
    kvm_opens: bool
    subject: Subject
    choice: AcceleratorChoice

    def is_believed(self, now_s: float) -> bool:
        """Tell whether the answer still counts: that KVM does not work may have been a busy host, so for a day only."""
        is_doubtful = self.kvm_opens and self.choice.accelerator == "tcg"
        return not is_doubtful or 0 <= now_s - self.asked_at_s < _BELIEVED_S


def read_choice(folder: Path) -> StoredChoice | None:
    """Return the answer in a folder, or None where there is none or it is damaged."""
    try:
        return StoredChoice.model_validate_json((folder / "answer.json").read_bytes())
    except (OSError, ValidationError):
        return None


def write_choice(folder: Path, stored: StoredChoice) -> None:
    """Write the answer at once or not at all."""
    part = folder / f"answer.json.{os.getpid()}"
    part.write_text(stored.model_dump_json(indent=2) + "\n", encoding="utf-8")
    part.replace(folder / "answer.json")


def last_subject(host: str) -> Subject | None:
    """Return what was last booted to find an accelerator on this host, if its files still exist.

    :param host: fingerprint of the host.
    """
    mine = [stored for stored in _all_stored() if stored.host == host and stored.subject.is_there()]
    return max(mine, key=lambda stored: stored.asked_at_s).subject if mine else None


def _all_stored() -> Iterator[StoredChoice]:
    for answer in cache_dir("probes").glob("*/answer.json"):
        stored = read_choice(answer.parent)
        if stored is not None:
            yield stored
