from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.series.mail import mail_from_bytes
from tests.unit.series.letters import letter


def test_encoded_headers_are_decoded() -> None:
    """RFC 2047 in Subject and From."""
    raw = letter("=?utf-8?q?=5BPATCH=5D_gr=C3=BCn?=", sender="=?iso-8859-1?Q?J=FCrgen?= <j@example.org>")
    mail = mail_from_bytes(raw)
    assert mail.subject_line == "[PATCH] grün"
    assert mail.author == "Jürgen <j@example.org>"


def test_an_unknown_charset_does_not_hide_the_text() -> None:
    """Headers and body in a charset that does not exist are read as UTF-8."""
    raw = letter(
        "=?x-none?q?gr=C3=BCn?=",
        "Grün\n",
        headers='Content-Type: text/plain; charset="x-none"\nContent-Transfer-Encoding: 8bit',
    )
    mail = mail_from_bytes(raw)
    assert mail.subject_line == "grün"
    assert "Grün" in mail.text


def test_quoted_printable_and_base64_bodies_are_decoded() -> None:
    """What is looked at is the text, not its transfer encoding."""
    printable = letter("x", "a=3Db=\nc\n", headers="Content-Transfer-Encoding: quoted-printable")
    base64 = letter("x", "YT1iYwo=\n", headers="Content-Transfer-Encoding: base64")
    assert mail_from_bytes(printable).text.strip() == "a=bc"
    assert mail_from_bytes(base64).text.strip() == "a=bc"


def test_html_is_not_text() -> None:
    """Of alternatives only the plain one counts."""
    body = "--b\nContent-Type: text/plain\n\nplain\n--b\nContent-Type: text/html\n\n<p>diff</p>\n--b--\n"
    mail = mail_from_bytes(letter("x", body, headers='Content-Type: multipart/alternative; boundary="b"'))
    assert mail.text.strip() == "plain"


def test_the_nearest_parent_comes_first() -> None:
    """In-Reply-To, then References from the end, each once."""
    mail = mail_from_bytes(letter("x", answers="c@x", headers="References: <a@x> <b@x> <c@x>"))
    assert mail.parents == ("c@x", "b@x", "a@x")


def test_a_date_without_zone_is_taken_as_utc() -> None:
    """So that all dates can be compared."""
    raw = b"Date: Mon, 1 Jan 2024 10:00:00 -0000\n\n"
    assert mail_from_bytes(raw).sent_at == datetime(2024, 1, 1, 10, tzinfo=UTC)


def test_a_date_that_is_none_is_no_date() -> None:
    """Instead of a failure."""
    assert mail_from_bytes(b"Date: yesterday\n\n").sent_at is None


@given(st.binary(max_size=400))
def test_no_bytes_make_it_fail(raw: bytes) -> None:
    """A mailbox is foreign data."""
    mail_from_bytes(raw)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=200))
def test_no_header_makes_it_fail(header: str, name: str, body: str) -> None:
    """Whatever is written where, decoded or not."""
    headers = f"Subject: =?utf-8?q?{header}?=\nFrom: {name}\nContent-Type: {header}\nContent-Transfer-Encoding: base64"
    raw = f"{headers}\n\n{body}"
    mail_from_bytes(raw.encode("utf-8", "surrogatepass"))


def test_parts_nested_too_deep_are_an_input_error() -> None:
    """The mail is named, so that it can be left out."""
    parts = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(2000))
    raw = b"Subject: [PATCH]\n deep\n" + parts.encode()
    with pytest.raises(InputError, match=r"'\[PATCH\] deep' cannot be read: .* nested too deep"):
        mail_from_bytes(raw)
