"""A word that is not known to the known one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint to put behind a message, `` (did you mean 'vcpus'?)``; empty where nothing is close."""
    close = difflib.get_close_matches(word[:100], list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
