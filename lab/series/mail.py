"""One raw mail to its headers and text, tolerant of every damage that real mail has.

The patch itself is taken out by ``git mailinfo`` (lab/series/patch.py); what is read here is what the judgement needs:
who answers whom, what the subject says, and whether there is a diff outside quotes.
"""

from __future__ import annotations

import email
import email.utils
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser

from lab.errors import InputError
from lab.progress import shortened
from lab.series.subject import Subject, subject_from_text

_MESSAGE_ID = re.compile(r"<([^<>\s]+)>")


@dataclass(frozen=True)
class Mail:
    """What a mail says about itself.

    :param message_id: without angle brackets; empty where it has none (``git format-patch`` writes none).
    :param parents: message-ids it answers, the nearest first.
    :param subject_line: decoded, cut where it is too long to be shown; ``author``, its From header, is, too.
    :param sent_at: None where the date cannot be read.
    :param text: its plain text parts, decoded.
    :param raw: as it was stored, without a leading "From " line.
    """

    message_id: str
    parents: tuple[str, ...]
    subject_line: str
    subject: Subject
    author: str
    sent_at: datetime | None
    text: str
    raw: bytes


def mail_from_bytes(raw: bytes) -> Mail:
    """Return what a mail says, whatever the bytes.

    :raise InputError: its parts are nested too deep.
    """
    try:
        return _mail(raw, email.message_from_bytes(raw))
    except RecursionError:
        subject = shortened(" ".join(_header(BytesHeaderParser().parsebytes(raw), "Subject").split()))
        raise InputError(
            f"the mail '{subject}' cannot be read: its MIME parts are nested too deep", remedy="leave that mail out"
        ) from None


def _mail(raw: bytes, message: Message) -> Mail:
    subject_line = " ".join(_header(message, "Subject").split())
    parents = dict.fromkeys(
        [
            *_MESSAGE_ID.findall(_header(message, "In-Reply-To")),
            *reversed(_MESSAGE_ID.findall(_header(message, "References"))),
        ]
    )
    own_id = _MESSAGE_ID.search(_header(message, "Message-Id"))
    return Mail(
        message_id=own_id.group(1) if own_id else "",
        parents=tuple(parents),
        subject_line=shortened(subject_line),
        subject=subject_from_text(subject_line),
        author=shortened(" ".join(_header(message, "From").split())),
        sent_at=_date(_header(message, "Date")),
        text=_text(message),
        raw=raw,
    )


def _header(message: Message, name: str) -> str:
    """Return a header with RFC 2047 words decoded; words in an unknown charset are read as UTF-8 with replacements."""
    value = message.get(name)
    if value is None:
        return ""
    try:
        pieces = decode_header(value)
    except (ValueError, email.errors.MessageError):  # base64 that is none
        return str(value)
    return "".join(_decoded(piece, charset) if isinstance(piece, bytes) else piece for piece, charset in pieces)


def _decoded(data: bytes, charset: str | None) -> str:
    for name in (charset, "utf-8"):
        try:
            if name and name != "unknown-8bit":
                return data.decode(name)
        except (LookupError, ValueError):
            continue
    return data.decode("latin-1" if charset is None else "utf-8", "replace")


def _date(text: str) -> datetime | None:
    try:
        sent_at = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return sent_at if sent_at.tzinfo else sent_at.replace(tzinfo=UTC)


def _text(message: Message) -> str:
    parts = []
    for part in message.walk():
        if part.get_content_maintype() != "text" or part.get_content_subtype() == "html":
            continue
        try:
            payload = part.get_payload(decode=True)
        except (ValueError, LookupError):
            continue
        if isinstance(payload, bytes):
            parts.append(_decoded(payload, _charset(part)).replace("\r\n", "\n"))
    return "\n".join(parts)


def _charset(part: Message) -> str | None:
    try:
        return part.get_content_charset()
    except (ValueError, LookupError):
        return None
