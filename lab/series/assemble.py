"""Mails to a series: the judgement which mails are patches, of which revision, in which order, and what is missing.

A mail is a patch when it has a diff outside quotes and is no answer. Answers are told by ``Re:`` and its like; among
mails without any tag also by quoting what they answer. Within one revision, mails belong together by how many there
should be (``n/m``); a patch posted again alone (``v3.1``) takes the place of the first; where numbers collide, by
thread: the same series posted twice (RESEND) gives the later one, different series are refused, never mixed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from lab.errors import InputError
from lab.series.diff import has_diff
from lab.series.mail import Mail

_QUOTED_LINE = re.compile(r"^>", re.MULTILINE)
_BASE_COMMIT = re.compile(r"^base-commit:\s*([0-9a-f]{7,64})\s*$", re.MULTILINE | re.IGNORECASE)
_PREREQUISITE = re.compile(r"^prerequisite-patch-id:\s*([0-9a-f]{40,64})\s*$", re.MULTILINE | re.IGNORECASE)
_BASED_ON = re.compile(
    r"^Based-on:(?:[^\n<]*<(?=[^\s<>@]+@[^\s<>@]+>)|[ \t]*<?)([^\s<>]+)", re.MULTILINE | re.IGNORECASE
)
"""What is in brackets, whatever stands before (QEMU's submitters write the subject there); else the first word."""
_TRAILER = re.compile(
    r"^((?:Reviewed|Acked|Tested|Reported|Suggested|Signed-off|Co-developed)-by: \S.*)$", re.MULTILINE
)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class NumberedMail:
    """A mail that is a patch, and its number."""

    index: int
    mail: Mail
    trailers: tuple[str, ...]


@dataclass(frozen=True)
class Assembly:
    """One revision of a series, still as mails; the fields are those of :class:`lab.series.series.Series`."""

    title: str
    revision: int
    revisions: tuple[int, ...]
    expected: int
    cover: Mail | None
    patches: tuple[NumberedMail, ...]
    base_commit: str
    prerequisites: tuple[str, ...]
    based_on: tuple[str, ...]


def assemble(mails: Sequence[Mail], revision: int | None = None) -> Assembly:
    """Return the newest revision of the series in these mails, or the one asked for.

    :raise InputError: there is no patch, not this revision, or more than one series.
    """
    mails = _without_copies(mails)
    patches = [mail for mail in mails if _is_patch(mail)]
    if any(mail.subject.is_tagged for mail in patches):
        patches = [mail for mail in patches if mail.subject.is_tagged]
    if not patches:
        raise InputError(
            f"there is no patch among {len(mails)} mail(s)",
            remedy="a patch has a diff that is not quoted, and is no answer",
        )
    revisions = tuple(sorted({mail.subject.revision for mail in patches}))
    chosen = revisions[-1] if revision is None else revision
    if chosen not in revisions:
        there = ", ".join(f"v{number}" for number in revisions)
        raise InputError(f"there is no v{chosen} of the series", remedy=f"there is {there}")
    group = _one_series(_without_replaced([mail for mail in patches if mail.subject.revision == chosen]), mails)
    return _assembly(group, mails, chosen, revisions)


def _assembly(group: Sequence[Mail], mails: Sequence[Mail], revision: int, revisions: tuple[int, ...]) -> Assembly:
    cover = _cover(group, mails, revision)
    expected = max([mail.subject.total or 0 for mail in group])
    numbered = _numbered(group)
    for (index, one), (other_index, other) in pairwise(numbered):
        if index == other_index:
            raise InputError(
                f"two mails are patch {index}: '{one.subject_line}' and '{other.subject_line}'",
                remedy="keep one of them",
            )
    if expected == 0:
        expected = len(numbered)
    texts = [mail.text for mail in ([cover] if cover else []) + [mail for _, mail in numbered]]
    bases = _all(_BASE_COMMIT, texts)
    trailers = _Trailers(mails, [mail for _, mail in numbered], cover)
    return Assembly(
        title=cover.subject.title if cover else _title(numbered),
        revision=revision,
        revisions=revisions,
        expected=expected,
        cover=cover,
        patches=tuple(NumberedMail(index, mail, trailers(mail)) for index, mail in numbered),
        base_commit=bases[0].lower() if bases else "",
        prerequisites=_all(_PREREQUISITE, texts),
        based_on=_all(_BASED_ON, texts),
    )


def _is_patch(mail: Mail) -> bool:
    subject = mail.subject
    if subject.is_reply or subject.index == 0 or not has_diff(mail.text):
        return False
    if subject.is_tagged or not mail.parents:
        return True
    # Untagged and within a thread: a series sent without any prefix, or a reviewer's "try this instead".
    return not _QUOTED_LINE.search(mail.text)


def _without_copies(mails: Iterable[Mail]) -> list[Mail]:
    """Drop mails that came twice: two lists, or an archive joined with an inbox."""
    unique: dict[object, Mail] = {}
    for mail in mails:
        unique.setdefault(mail.message_id or (mail.subject_line, mail.text), mail)
    return list(unique.values())


def _without_replaced(patches: Sequence[Mail]) -> list[Mail]:
    """Drop the patches that were posted again alone: ``[PATCH v3.1 2/4]`` takes the place of ``[PATCH v3 2/4]``."""
    newest: dict[tuple[int | None, int | None], int] = {}
    for mail in patches:
        place = (mail.subject.index, mail.subject.total)
        newest[place] = max(newest.get(place, 0), mail.subject.reroll)
    return [mail for mail in patches if mail.subject.reroll == newest[mail.subject.index, mail.subject.total]]


def _numbered(group: Sequence[Mail]) -> list[tuple[int, Mail]]:
    if all(mail.subject.index is None for mail in group):
        return list(enumerate(group, start=1))
    pairs = [(mail.subject.index or 1, mail) for mail in group]
    return sorted(pairs, key=lambda pair: pair[0])


def _one_series(patches: Sequence[Mail], mails: Sequence[Mail]) -> list[Mail]:
    """Return the mails of one series among patches of one revision.

    :raise InputError: there are several, and nothing says which is meant.
    """
    by_id = {mail.message_id: mail for mail in mails if mail.message_id}
    by_total: dict[int | None, list[Mail]] = defaultdict(list)
    for mail in patches:
        by_total[mail.subject.total].append(mail)
    candidates: list[list[Mail]] = []
    for group in by_total.values():
        indices = [mail.subject.index for mail in group]
        collide = len(set(indices)) < len(indices) and any(mail.message_id for mail in group)
        candidates += _by_thread(group, by_id) if collide else [group]
    tops = _without_answers(candidates, by_id)
    best = max(tops, key=_sent_at)
    for other in tops:
        if other is not best and not _is_same_series(best, other):
            raise InputError(
                f"there are two series of the same revision: '{_title(_numbered(best))}' "
                f"and '{_title(_numbered(other))}'",
                remedy="save one thread alone and name that file",
            )
    return best


def _by_thread(group: Sequence[Mail], by_id: Mapping[str, Mail]) -> list[list[Mail]]:
    threads: dict[str, list[Mail]] = defaultdict(list)
    members = {mail.message_id for mail in group}
    for mail in group:
        threads[_root(mail, members, by_id)].append(mail)
    return list(threads.values())


def _root(mail: Mail, members: set[str], by_id: Mapping[str, Mail]) -> str:
    """Return what ties a patch to its series: its cover letter or its first patch, there or not."""
    seen: set[str] = set()
    while mail.message_id not in seen:
        seen.add(mail.message_id)
        parent = by_id.get(mail.parents[0]) if mail.parents else None
        if parent is not None and parent.message_id in members:
            mail = parent
        elif mail.parents and (mail.subject.index or 0) > 0:
            # A numbered patch answers its cover letter, or the first patch of the same posting.
            return mail.parents[0] if parent is None or parent.subject.index == 0 else mail.message_id
        else:
            break
    return mail.message_id


def _without_answers(candidates: list[list[Mail]], by_id: Mapping[str, Mail]) -> list[list[Mail]]:
    """Drop what was posted in answer to a patch of another candidate: a reviewer's fix-up is not the series."""
    owner = {mail.message_id: number for number, group in enumerate(candidates) for mail in group if mail.message_id}

    def answers_another(number: int, group: list[Mail]) -> bool:
        ancestors = {parent for mail in group for parent in _ancestors(mail, by_id)}
        return any(owner.get(parent, number) != number for parent in ancestors)

    tops = [group for number, group in enumerate(candidates) if not answers_another(number, group)]
    return tops or candidates


def _ancestors(mail: Mail, by_id: Mapping[str, Mail]) -> set[str]:
    found: set[str] = set()
    queue = list(mail.parents)
    while queue:
        parent = queue.pop()
        if parent not in found:
            found.add(parent)
            queue += by_id[parent].parents if parent in by_id else ()
    return found


def _sent_at(group: Sequence[Mail]) -> datetime:
    return max((mail.sent_at or _LONG_AGO for mail in group), default=_LONG_AGO)


def _is_same_series(one: Sequence[Mail], other: Sequence[Mail]) -> bool:
    titles, others = ({mail.subject.title for mail in group} for group in (one, other))
    return bool(titles & others)


def _cover(group: Sequence[Mail], mails: Sequence[Mail], revision: int) -> Mail | None:
    """Return the cover letter: number 0 of the same revision, of the same thread where there are several."""
    covers = [
        mail
        for mail in mails
        if mail.subject.index == 0 and mail.subject.revision == revision and not mail.subject.is_reply
    ]
    total = group[0].subject.total
    covers = [mail for mail in covers if mail.subject.total == total]
    parents = {parent for mail in group for parent in mail.parents}
    answered = [mail for mail in covers if mail.message_id in parents]
    return next(iter(answered or covers), None)


def _title(numbered: Sequence[tuple[int, Mail]]) -> str:
    first = numbered[0][1].subject.title
    return first if len(numbered) == 1 else f"{first} (and {len(numbered) - 1} more)"


class _Trailers:
    """What answers say outside quotes, ``Reviewed-by:`` and the like, by the patch they are about.

    An answer to an answer is about the same patch, and an answer to the cover letter is about every patch.
    """

    def __init__(self, mails: Sequence[Mail], patches: Sequence[Mail], cover: Mail | None) -> None:
        subjects = {mail.message_id for mail in (*patches, *([cover] if cover else [])) if mail.message_id}
        by_id = {mail.message_id: mail for mail in mails if mail.message_id}
        self._cover_id = cover.message_id if cover else ""
        self._answers: dict[str, list[Mail]] = defaultdict(list)
        for mail in mails:
            about = _about(mail, subjects, by_id) if mail.subject.is_reply else ""
            if about:
                self._answers[about].append(mail)

    def __call__(self, patch: Mail) -> tuple[str, ...]:
        own = self._answers[patch.message_id] if patch.message_id else []
        whole = self._answers[self._cover_id] if self._cover_id else []
        return _all(_TRAILER, [mail.text for mail in (*own, *whole)])


def _about(answer: Mail, subjects: set[str], by_id: Mapping[str, Mail]) -> str:
    """Return the message-id of the patch or cover letter that an answer is about, the nearest one; or nothing."""
    seen: set[str] = set()
    queue = list(answer.parents)
    while queue:
        parent = queue.pop(0)
        if parent in subjects:
            return parent
        if parent not in seen:
            seen.add(parent)
            queue += by_id[parent].parents if parent in by_id else ()
    return ""


def _all(pattern: re.Pattern[str], texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found.rstrip() for text in texts for found in pattern.findall(text)))
