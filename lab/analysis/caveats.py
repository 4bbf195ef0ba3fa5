"""What a reader must know beside a number. Caveats are values: they travel with the comparison into every report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lab.analysis.names import on_one_line


class CaveatKind(StrEnum):
    """What sort of thing a caveat is about."""

    BLOCKS = "blocks"
    MISSING = "missing"
    OUTLIER = "outlier"
    TWO_LEVELS = "two-levels"
    DRIFT = "drift"
    UNSTEADY = "unsteady"
    TINY = "tiny-difference"
    FAMILY = "family"
    UNLIKE = "unlike"
    BUILDS = "builds"
    HOSTS = "hosts"
    SESSIONS = "sessions"
    FAILURES = "failures"
    ATTEMPTS = "attempts"
    TIER = "tier"
    CPUS = "cpus"
    FILES = "files"
    RUNS = "runs"
    CALIBRATION = "calibration"


@dataclass(frozen=True)
class Caveat:
    """One thing to know.

    :param text: a sentence without its full stop; foreign names in it cannot begin a new line.
    """

    kind: CaveatKind
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", on_one_line(self.text))
