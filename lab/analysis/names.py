"""Foreign names to names on one line: what a file calls a host or a title cannot add a line to a report."""

from __future__ import annotations

import re
from typing import Any

_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")


def on_one_line(text: str) -> str:
    """Return the text with every line break and tab written as an escape."""
    return _BREAKS.sub(lambda match: ascii(match[0])[1:-1], text)


def all_on_one_line(value: Any) -> Any:
    """Return a value of JSON with all its texts, keys too, on one line each."""
    if isinstance(value, str):
        return on_one_line(value)
    if isinstance(value, list):
        return [all_on_one_line(item) for item in value]
    if isinstance(value, dict):
        return {on_one_line(key): all_on_one_line(item) for key, item in value.items()}
    return value
