"""A profile as callgrind writes it, to instructions by function.

The format is described in Valgrind's manual, "Callgrind Format Specification". Of it, this reads what says how many
instructions each function spent itself: a line of costs belongs to the function named last, unless it follows a
``calls=`` line, which makes it the cost of a call, inclusive and counted elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import StageError

_NAMED = re.compile(r"\((?P<id>\d+)\)(?: (?P<name>.*))?$")
_CLONE = re.compile(r"('\d+|\.(isra|constprop|part|cold|lto_priv|llvm)(\.\d+)?)+$")
_WITHOUT_NAME = re.compile(r"0x[0-9a-f]+$|\?\?\?$")
_COST_LINE = re.compile(r"[0-9+*-]")


@dataclass(frozen=True)
class Profile:
    """Where the instructions of a burst went.

    :param instructions: of the whole process.
    :param functions: of each function itself, without those it calls; they add up to ``instructions``.
    """

    instructions: int
    functions: Mapping[str, int]


def plain_name(name: str) -> str:
    """Return a function's name as in the source: without the marks of recursion and of the compiler's clones.

    Two builds of one source may differ in which functions the compiler clones, which is no change of the function.
    """
    return _CLONE.sub("", name)


def profile_from_file(path: Path) -> Profile:
    """Read a profile.

    :raise StageError: the file is no profile, or cut short.
    """
    with path.open(encoding="utf-8", errors="replace") as lines:
        try:
            return profile_from_lines(lines)
        except (ValueError, IndexError, KeyError) as err:
            raise StageError(f"{path} is no profile: {err}", evidence=path) from err


def profile_from_lines(lines: Iterable[str]) -> Profile:
    """Read the lines of a profile.

    :raise ValueError: it has no summary, or its functions do not add up to it.
    :raise IndexError: a line is cut short.
    :raise KeyError: a name is used before it is given.
    """
    reader = _Reader()
    for line in lines:
        reader.read(line.rstrip("\n"))
    spent = sum(reader.spent.values())
    if reader.total is None or spent != reader.total:
        raise ValueError(f"its functions add up to {spent} instructions, its summary says {reader.total}")
    return Profile(reader.total, dict(reader.spent))


@dataclass
class _Reader:
    """Reads line by line what concerns the cost of functions themselves."""

    total: int | None = None
    spent: Counter[str] = field(default_factory=Counter)
    _positions: int = 1
    _is_call: bool = False
    _object: str = ""
    _function: str = ""
    _names: dict[tuple[str, str], str] = field(default_factory=dict)

    def read(self, line: str) -> None:
        key, equals, value = line.partition("=")
        if _COST_LINE.match(line):
            if not self._is_call:
                self.spent[self._function] += int(line.split()[self._positions])
            self._is_call = False
        elif line.startswith("summary: "):
            self.total = int(line.split()[1])
        elif line.startswith("positions: "):
            self._positions = len(line.split()) - 1
        elif not equals:
            return
        elif key == "calls":
            self._is_call = True
        elif key in ("ob", "cob"):
            name = self._named("ob", value)
            self._object = name if key == "ob" else self._object
        elif key in ("fn", "cfn"):
            name = self._named("fn", value)
            self._function = self._qualified(name) if key == "fn" else self._function

    def _named(self, kind: str, value: str) -> str:
        """Return the name behind ``(id) name``, ``(id)`` or a plain name."""
        match = _NAMED.match(value)
        if match is None:
            return value
        if match["name"] is not None:
            self._names[kind, match["id"]] = match["name"]
        return self._names[kind, match["id"]]

    def _qualified(self, name: str) -> str:
        """Return a function's name; one of a library without symbols is an address, and says of which."""
        name = plain_name(name)
        if not _WITHOUT_NAME.match(name):
            return name
        return f"{name.replace('0x' + '0' * 8, '0x')} in {Path(self._object).name}"
