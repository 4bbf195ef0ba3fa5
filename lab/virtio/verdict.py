"""Passed, failed or undecided: what comes out of asking a binary, and what it tells the shell. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from lab.errors import ExitCode


class Verdict(StrEnum):
    """What came out of a case, a race or a scenario."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"

    @classmethod
    def of_all(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """Return what came out of several: failed where one did, else undecided where one is, else passed."""
        found = set(verdicts)
        return next((verdict for verdict in (cls.FAILED, cls.UNDECIDED) if verdict in found), cls.PASSED)

    @property
    def exit_code(self) -> ExitCode:
        """What ``lab`` tells the shell (docs/exit-codes.md)."""
        return {
            Verdict.PASSED: ExitCode.DONE,
            Verdict.FAILED: ExitCode.FINDING,
            Verdict.UNDECIDED: ExitCode.UNDECIDED,
        }[self]
