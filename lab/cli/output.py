"""How every verb speaks: results to stdout, everything else to stderr, errors with a remedy, exit codes by contract."""

from __future__ import annotations

import json
import sys
from typing import Any

from lab.errors import LabError
from lab.progress import Progress, SilentProgress, TerminalProgress, printable


def print_json(value: Any) -> None:
    """Write one JSON document to stdout, for machines; ASCII, so that foreign text cannot drive a terminal."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=True) + "\n")


def print_text(text: str) -> None:
    """Write a result for people to stdout, control characters made visible."""
    sys.stdout.write(printable(text).rstrip("\n") + "\n")


def progress_for(*, quiet: bool = False) -> Progress:
    """Return where progress goes: stderr, or nowhere."""
    return SilentProgress() if quiet else TerminalProgress()


def print_error(error: LabError) -> None:
    """Write an error to stderr: what happened, where the evidence is, what to do next."""
    lines = [f"lab: error: {error.message}"]
    if error.evidence is not None and str(error.evidence) not in error.message + error.remedy:
        lines.append(f"  evidence: {error.evidence}")
    if error.remedy:
        lines.append(f"  what to do: {error.remedy}")
    sys.stderr.write(printable("\n".join(lines)) + "\n")
