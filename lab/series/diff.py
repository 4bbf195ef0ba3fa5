"""The text of a unified diff to files and hunks, as far as judging it needs; git does the applying.

Format: diff-generate-patch-text in git-diff(1), and what ``git apply`` accepts beside it (plain ``---``/``+++``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_GIT_HEADER = re.compile(r"^diff --git (.+)$")
_HUNK_HEADER = re.compile(r"^@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_INDEX = re.compile(r"^index ([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_LONGEST_PATH_BYTES = 4096
_DEEPEST_PATH = 100
_SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True)
class Hunk:
    """One ``@@`` section.

    :param line: number of its header in the diff, from 1.
    :param old_start: first line in the file before, from 1 (0 where there is none).
    :param new_start: likewise in the file after.
    :param lines: with their first character, which is a space, ``+`` or ``-``.
    :param is_cut_off: it ends before its header says it does, or holds a line that cannot be in a hunk.
    """

    line: int
    old_start: int
    new_start: int
    lines: tuple[str, ...]
    is_cut_off: bool = False

    @property
    def old_lines(self) -> tuple[str, ...]:
        """Return the lines that must be there before."""
        return tuple(line[1:] for line in self.lines if line[:1] in (" ", "-"))

    @property
    def new_lines(self) -> tuple[str, ...]:
        """Return the lines that are there afterwards."""
        return tuple(line[1:] for line in self.lines if line[:1] in (" ", "+"))


@dataclass(frozen=True)
class FileDiff:
    """What a diff does to one file.

    :param old_path: before, None where the file is new.
    :param new_path: after, None where the file is deleted.
    :param old_blob: (abbreviated) blob id before, from the ``index`` line; empty where there is none.
    """

    old_path: str | None
    new_path: str | None
    old_blob: str = ""
    hunks: tuple[Hunk, ...] = ()

    @property
    def path(self) -> str:
        """Return the path to call it by: the one after, unless it is deleted."""
        return self.new_path or self.old_path or ""


def has_diff(text: str) -> bool:
    """Tell whether a text holds a diff of its own: one that is not quoted with ``>`` or indented."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("diff --git ") and len(line.split()) >= 4:
            return True
        if line.startswith("--- ") and number + 2 < len(lines):
            after, hunk = lines[number + 1], lines[number + 2]
            if after.startswith("+++ ") and _HUNK_HEADER.match(hunk):
                return True
    return False


def files_from_diff(text: str) -> tuple[FileDiff, ...]:
    """Return the files of a diff in its order; never fails, whatever the text."""
    return tuple(_Reader(text).files())


def is_unsafe_path(path: str) -> bool:
    """Tell whether a path leaves the tree, reaches into ``.git``, or is one that git and file systems choke on."""
    parts = path.split("/")
    if len(parts) > _DEEPEST_PATH or len(path.encode(errors="replace")) > _LONGEST_PATH_BYTES or "\0" in path:
        return True
    return path.startswith("/") or any(
        part in ("", ".", "..") or part.lower() == ".git" or part.lower().startswith("git~") for part in parts
    )


def name_from_header(field: str) -> str | None:
    """Return the path of a ``---`` or ``+++`` line without its first component, None for ``/dev/null``.

    An absolute path is returned as it is, so that :func:`is_unsafe_path` sees it.
    """
    name = _unquoted(field)
    if name == "/dev/null":
        return None
    return name if name.startswith("/") or "/" not in name else name.split("/", 1)[1]


def _unquoted(field: str) -> str:
    """Undo git's quoting of odd names, or cut off what a plain diff puts after a tab (a date)."""
    quoted = _QUOTED.match(field)
    if quoted is None:
        return field.split("\t", 1)[0].rstrip("\r")

    def char(match: re.Match[str]) -> str:
        code = match.group(1)
        return chr(int(code, 8)) if len(code) == 3 else _SIMPLE_ESCAPES.get(code, code)

    # Octal escapes are the bytes of UTF-8 text; a name that is not UTF-8 keeps its replacement characters.
    return _ESCAPE.sub(char, quoted.group(1)).encode("latin-1", "replace").decode("utf-8", "replace")


def _names_of_git_header(rest: str) -> tuple[str | None, str | None]:
    """Return the two names of ``diff --git a/x b/x``; only needed where no other line gives them."""
    if rest.startswith('"'):
        names = [match.group(0) for match in _QUOTED.finditer(rest)]
        return (name_from_header(names[0]), name_from_header(names[-1])) if names else (None, None)
    middle = len(rest) // 2
    if len(rest) % 2 and rest[middle] == " ":  # both names are equal but for their first component
        return name_from_header(rest[:middle]), name_from_header(rest[middle + 1 :])
    old, _, new = rest.partition(" b/")
    return name_from_header(old), new or None


class _Reader:
    """Walks over the lines once."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._at = 0

    def files(self) -> list[FileDiff]:
        found: list[FileDiff] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            header = _GIT_HEADER.match(line)
            if header:
                self._at += 1
                found.append(self._file(*_names_of_git_header(header.group(1).rstrip("\r"))))
            elif line.startswith("--- ") and self._next_starts("+++ "):
                found.append(self._file(None, None))
            else:
                self._at += 1
        return found

    def _next_starts(self, prefix: str) -> bool:
        return self._at + 1 < len(self._lines) and self._lines[self._at + 1].startswith(prefix)

    def _file(self, old: str | None, new: str | None) -> FileDiff:
        """Read one file's header and hunks; the names so far are those of the ``diff --git`` line."""
        blob = ""
        while self._at < len(self._lines):
            line = self._lines[self._at].rstrip("\r")
            index = _INDEX.match(line)
            if line.startswith("diff --git ") or _HUNK_HEADER.match(line):
                break
            if line.startswith("--- ") and self._next_starts("+++ "):
                old = name_from_header(line[4:])
                new = name_from_header(self._lines[self._at + 1].rstrip("\r")[4:])
                self._at += 2
                break
            if index:
                blob = index.group(1)
            elif line.startswith(("rename from ", "copy from ")):
                old = _unquoted(line.split(" from ", 1)[1])
            elif line.startswith(("rename to ", "copy to ")):
                new = _unquoted(line.split(" to ", 1)[1])
            elif line.startswith("new file mode "):
                old = None
            elif line.startswith("deleted file mode "):
                new = None
            self._at += 1
        hunks: list[Hunk] = []
        while self._at < len(self._lines):
            header = _HUNK_HEADER.match(self._lines[self._at])
            if header is None:
                break
            hunks.append(self._hunk(header))
        return FileDiff(old, new, blob, tuple(hunks))

    def _hunk(self, header: re.Match[str]) -> Hunk:
        number = self._at + 1
        old_left = int(header.group(2) or 1)
        new_left = int(header.group(4) or 1)
        lines: list[str] = []
        self._at += 1
        while (old_left > 0 or new_left > 0) and self._at < len(self._lines):
            line = self._lines[self._at].rstrip("\r") or " "  # mail programs strip the space of an empty context line
            if line[0] not in " +-\\":
                break
            if line[0] != "\\":
                lines.append(line)
            old_left -= line[0] in " -"
            new_left -= line[0] in " +"
            self._at += 1
        if self._at < len(self._lines) and self._lines[self._at].startswith("\\"):
            self._at += 1
        cut_off = old_left != 0 or new_left != 0
        return Hunk(number, int(header.group(1)), int(header.group(3)), tuple(lines), cut_off)
