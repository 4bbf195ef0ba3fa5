"""A message-id, or a link with one in it, to the posting it belongs to. Pure text.

Tools number the mails of one posting within their message-ids, so that a series can be recognised by any of its mails:
``git send-email`` (``20250311132616.1049687-2-a@b``), b4 (``20250311-topic-v1-2-0123abcd@b``), and
``git format-patch --thread`` (``0123...89ab.1741699576.git.a@b``), which says which posting and not which number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_LONGEST_CHARS = 1000
"""What is read of a trailer: a mail's line has at most 998 (RFC 5322, section 2.1.1)."""
_BRACKETED = re.compile(r"<([^<>\s]+@[^<>\s]+)>")
_PIECE = re.compile(r"[^\s/<>\"'()?#]+@[^\s/<>\"'()?#]+")
_SEND_EMAIL = re.compile(r"(\d{14}\.\d+)-(\d+)-(.+)")
_B4 = re.compile(r"(.+-v\d+)-(\d+)-([0-9a-f]+@.+)")
_FORMAT_PATCH = re.compile(r"(?:cover|[0-9a-f]{40})\.(\d+\.git\..+)")


@dataclass(frozen=True)
class Posting:
    """What the message-ids of one posting share, and the place of one mail in it.

    :param name: equal for the mails of one posting.
    :param number: of the mail; None where the id does not say.
    :param first: numbers that the first patch may have: where a cover letter counts too, it is the second mail.
    """

    name: str
    number: int | None
    first: tuple[int, ...]


def message_id_from_text(text: str) -> str:
    """Return the message-id in a trailer or a link of a mail archive, without brackets; empty where there is none."""
    text = text[:_LONGEST_CHARS]
    bracketed = _BRACKETED.search(text)
    if bracketed is not None:
        return bracketed.group(1)
    piece = _PIECE.search(unquote(text) if "://" in text else text)
    return piece.group(0) if piece is not None else ""


def posting_of(message_id: str) -> Posting:
    """Return the posting a mail belongs to; a posting of its own where the id tells nothing."""
    if match := _SEND_EMAIL.fullmatch(message_id):
        return Posting(f"{match[1]} {match[3]}", int(match[2][:9]), (1, 2))
    if match := _B4.fullmatch(message_id):
        return Posting(f"{match[1]} {match[3]}", int(match[2][:9]), (1,))
    if match := _FORMAT_PATCH.fullmatch(message_id):
        return Posting(match[1], None, ())
    return Posting(message_id, None, ())
