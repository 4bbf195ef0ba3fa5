"""The words of a patch series as values: patch, cover letter, series; and the JSON form that scripts rely on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lab.errors import InputError

_SHOWN_MISSING = 5


@dataclass(frozen=True)
class Patch:
    """One patch of a series, as ``git mailinfo`` takes it out of a mail.

    :param index: number within the series, from 1.
    :param subject: first line of the message, cut where it is too long to be shown.
    :param author: ``Name <address>``, the author of the change, who need not be the sender of the mail.
    :param date: the author's date as the mail has it; git reads it.
    :param patch_id: of ``git patch-id --stable``: equal for equal changes.
    :param files: paths it touches, new names.
    :param message: commit message, subject included.
    :param diff: bytes that ``git apply`` gets.
    :param trailers: ``Reviewed-by:`` and the like that answers to this mail give.
    """

    index: int
    subject: str
    author: str
    date: str
    message_id: str
    patch_id: str
    files: tuple[str, ...]
    message: str
    diff: bytes = field(repr=False)
    trailers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cover:
    """The cover letter, patch 0."""

    subject: str
    author: str
    message_id: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Series:
    """One revision of a patch series.

    :param title: of the cover letter, or of the only patch.
    :param revision: ``v3`` is 3; 1 where none is given.
    :param expected: how many patches it says it has.
    :param patches: those there are, by number.
    :param revisions: every revision that was found beside it, this one included.
    :param base_commit: what ``base-commit:`` names, or empty.
    :param prerequisites: what ``prerequisite-patch-id:`` names.
    :param based_on: message-ids or links that ``Based-on:`` names.
    """

    title: str
    revision: int
    expected: int
    patches: tuple[Patch, ...]
    cover: Cover | None = None
    revisions: tuple[int, ...] = ()
    base_commit: str = ""
    prerequisites: tuple[str, ...] = ()
    based_on: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[int, ...]:
        """Return the numbers of the patches that are not there."""
        present = {patch.index for patch in self.patches}
        return tuple(index for index in range(1, self.expected + 1) if index not in present)

    @property
    def complete(self) -> bool:
        """Tell whether every patch is there."""
        return not self.missing

    @property
    def files(self) -> tuple[str, ...]:
        """Return every path that the series touches, sorted."""
        return tuple(sorted({path for patch in self.patches for path in patch.files}))

    def require_complete(self) -> None:
        """Refuse a series with missing patches.

        :raise InputError: patches are missing; the message names them.
        """
        if self.missing:
            names = ", ".join(f"{index}/{self.expected}" for index in self.missing[:_SHOWN_MISSING])
            if len(self.missing) > _SHOWN_MISSING:
                names += f" and {len(self.missing) - _SHOWN_MISSING} more"
            raise InputError(
                f"'{self.title}' (v{self.revision}) is not complete: patch {names} is missing",
                remedy="fetch the whole thread; 'lab series' and 'lab build' go on without the rest with --partial",
            )


def json_from_series(series: Series) -> dict[str, Any]:
    """Return the JSON object of ``lab series show``."""
    cover = series.cover
    return {
        "title": series.title,
        "revision": series.revision,
        "revisions": list(series.revisions),
        "expected": series.expected,
        "complete": series.complete,
        "missing": list(series.missing),
        "cover": cover and {"subject": cover.subject, "author": cover.author, "message_id": cover.message_id},
        "patches": [json_from_patch(patch) for patch in series.patches],
        "base_commit": series.base_commit or None,
        "prerequisites": list(series.prerequisites),
        "based_on": list(series.based_on),
    }


def json_from_patch(patch: Patch) -> dict[str, Any]:
    """Return the JSON object of one patch."""
    return {
        "index": patch.index,
        "subject": patch.subject,
        "author": patch.author,
        "message_id": patch.message_id or None,
        "patch_id": patch.patch_id,
        "files": list(patch.files),
        "trailers": list(patch.trailers),
    }
