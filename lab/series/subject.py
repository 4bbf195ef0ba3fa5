"""A subject line to what it says about a mail: patch or reply, which revision, which number of how many.

The forms are those of ``git format-patch`` (``--subject-prefix``, ``-v``, ``--rfc``) and of what mailing lists and
mail programs put in front of them: ``[PATCH RFC v3 02/13]``, ``[PULL 13/18]``, ``[Qemu-devel] [PATCHv2] x``,
``Re: [PATCH for-10.1 1/2] x``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.progress import shortened

_REPLY = re.compile(r"(?:re|aw|sv|vs|antw|res|fwd?|wg|tr)\s*(?:\[\d+\]|\^\d+)?\s*[:：]\s*", re.IGNORECASE)  # noqa: RUF001
_BRACKETS = re.compile(r"\[([^\[\]]*)\]\s*")
_IS_PATCH_TAG = re.compile(r"(?<![a-z])(?:PATCH(?:ES)?|PULL|RFC|RFT|RESEND)(?![a-uw-z])", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])(\d{1,4})\s*/\s*(\d{1,4})(?![\w.])")
_REVISION = re.compile(
    r"(?:(?<![\w.-])|(?<=PATCH)|(?<=PATCH-)|(?<=RFC))v\s?(\d{1,3})(?:\.(\d{1,3}))?(?![\w.])", re.IGNORECASE
)


@dataclass(frozen=True)
class Subject:
    """What a subject says.

    :param title: the subject without tags and reply prefixes.
    :param is_reply: it begins with ``Re:`` or its like in another language, or was forwarded.
    :param is_tagged: it has a tag such as ``[PATCH]`` or ``[2/3]``.
    :param revision: 1 where none is given.
    :param reroll: 1 of ``v3.1``, which takes the place of one patch of v3; 0 where none is given.
    :param index: number within the series, 0 for a cover letter, None where none is given.
    :param total: how many patches the series says it has, None where it does not say.
    """

    title: str
    is_reply: bool = False
    is_tagged: bool = False
    revision: int = 1
    index: int | None = None
    total: int | None = None
    reroll: int = 0


def subject_from_text(text: str) -> Subject:
    """Return what a decoded subject line says; never fails."""
    rest = " ".join(text.split())
    is_reply = False
    tags: list[str] = []
    while rest:
        reply = _REPLY.match(rest)
        brackets = _BRACKETS.match(rest)
        if reply and not tags:
            is_reply, rest = True, rest[reply.end() :]
        elif brackets and not tags:
            if _is_tag(brackets.group(1)):
                tags.append(brackets.group(1))
            rest = rest[brackets.end() :]
        elif brackets and _is_tag(brackets.group(1)):
            tags.append(brackets.group(1))
            rest = rest[brackets.end() :]
        else:
            break
    joined = " ".join(tags)
    number = _NUMBER.search(joined)
    revision = _REVISION.search(joined)
    return Subject(
        title=shortened(rest),
        is_reply=is_reply,
        is_tagged=bool(tags),
        revision=max(1, int(revision.group(1))) if revision else 1,
        index=int(number.group(1)) if number else None,
        total=int(number.group(2)) if number else None,
        reroll=int(revision.group(2) or 0) if revision else 0,
    )


def _is_tag(brackets: str) -> bool:
    return bool(_IS_PATCH_TAG.search(brackets) or _NUMBER.fullmatch(brackets.strip()))
