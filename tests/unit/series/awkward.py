"""Mailboxes as the world makes them: one series, in every shape that mail programs and archives give it.

Made from commits at test time; each function writes its shape into a folder and returns what to name.
"""

from __future__ import annotations

import base64
import gzip
import quopri
import random
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.series.repository import Repository

_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "J\u00fcrgen"), ("EMAIL", "j@example.org"))
}
_FROM_LINE = b"From a@example.org Mon Jan  1 10:00:00 2024\n"
_ANSWER_WITH_DIFF = b"""From: r@example.org
Subject: Re: [PATCH v2 2/3] change
Message-Id: <q1>

> quoted

Reviewed-by: R <r@example.org>

try this:

diff --git a/x b/x
--- a/x
+++ b/x
@@ -1 +1 @@
-a
+b
"""


@dataclass(frozen=True)
class Commits:
    """Commits to post: those after ``base`` up to ``topic``."""

    repository: Repository
    base: str
    topic: str

    def mails(self, *options: str) -> list[bytes]:
        """Return the mails of git format-patch, without "From " lines."""
        with tempfile.TemporaryDirectory() as folder:
            words = ("format-patch", "-q", *options, f"--output-directory={folder}", f"{self.base}..{self.topic}")
            self.repository.git(*words, env=_IDENTITY)
            mails = [path.read_bytes().split(b"\n", 1)[1] for path in sorted(Path(folder).iterdir())]
        # Git makes message-ids from the second they are made in, so that of two postings would be equal.
        posting = "-".join(options).encode().translate(None, b"= []")
        return [re.sub(rb"<([^<>]*\.git\.[^<>]*)>", rb"<" + posting + rb"-\1>", mail) for mail in mails]


def two_revisions_in_disorder(commits: Commits, folder: Path) -> Path:
    """v1 and v2 with cover letters, and an answer that holds a diff."""
    threaded = ("--cover-letter", "--thread")
    mails = [*commits.mails(*threaded), *commits.mails(*threaded, "-v2"), _ANSWER_WITH_DIFF]
    random.Random(3).shuffle(mails)
    return _box(folder, mails)


def mboxrd(commits: Commits, folder: Path) -> Path:
    """Lines of the message begin with From, quoted as an mboxrd quotes them."""
    return _box(
        folder, [mail.replace(b"\n---\n", b"\n>From the start\n>>From it\n---\n", 1) for mail in commits.mails()]
    )


def maildir(commits: Commits, folder: Path) -> Path:
    """Quoted-printable, in cur and new, named against the order."""
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir()
    for number, mail in enumerate(commits.mails("-v3")):
        (folder / ("cur", "new")[number % 2] / f"{9 - number}.x:2,S").write_bytes(_encoded(mail, "quoted-printable"))
    return folder


def pull_request(commits: Commits, folder: Path) -> Path:
    """[PULL 1/3], with its cover."""
    return _box(folder, commits.mails("--cover-letter", "--thread", "--subject-prefix=PULL"))


def base64_with_crlf(commits: Commits, folder: Path) -> Path:
    """Encoded by a program that thinks in CR LF."""
    return _box(folder, [_encoded(mail, "base64", line_end=b"\r\n") for mail in commits.mails()])


def whole_file_with_crlf(commits: Commits, folder: Path) -> Path:
    """Saved by such a program."""
    path = _box(folder, commits.mails())
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return path


def flowed(commits: Commits, folder: Path) -> Path:
    """format=flowed, each line that begins with a space stuffed with another (RFC 3676, 4.4)."""
    mails = []
    for mail in commits.mails():
        head, _, body = mail.partition(b"\n\n")
        stuffed = re.sub(rb"(?m)^( |>|From )", rb" \1", body)
        mails.append(_encoded(head + b"\n\n" + stuffed, "8bit", kind=b"; format=flowed"))
    return _box(folder, mails)


def resent_to_two_lists(commits: Commits, folder: Path) -> Path:
    """Posted, resent, and each of the latter twice, once with a list's footer."""
    threaded = ("--cover-letter", "--thread", "-v2")
    resent = commits.mails(*threaded, "--subject-prefix=RESEND PATCH")
    copies = [mail.rstrip() + b"\n" + b"_" * 47 + b"\nlist mailing list\n" for mail in resent]
    return _box(folder, [*commits.mails(*threaded), *resent, *copies])


def attached(commits: Commits, folder: Path) -> Path:
    """The text as plain and as HTML, the diff beside it in base64."""
    return _box(folder, [_attached(mail) for mail in commits.mails()])


def v9_and_v10_gzipped(commits: Commits, folder: Path) -> Path:
    """Ten is more than nine; [RFC PATCH v10 1/3], as an archive packs it."""
    path = folder / "t.mbox.gz"
    path.write_bytes(gzip.compress(_joined(commits.mails("-v10", "--rfc") + commits.mails("-v9", "--rfc"))))
    return path


def one_patch_again(commits: Commits, folder: Path) -> Path:
    """[PATCH v2.1 2/3] in answer to the patch that it replaces, which is broken."""
    cover, first, second, third = commits.mails("--cover-letter", "--thread", "-v2")
    again = second.replace(b"[PATCH v2 2/3]", b"[PATCH v2.1 2/3]").replace(b"Message-Id: <", b"Message-Id: <again-")
    return _box(folder, [cover, first, second.replace(b"\n+", b"\n+ wrong"), third, again])


def unknown_charset(commits: Commits, folder: Path) -> Path:
    """UTF-8 that is called something else."""
    return _box(folder, [_encoded(mail, "8bit").replace(b"utf-8", b"x-unknown") for mail in commits.mails()])


def folder_of_patches(commits: Commits, folder: Path) -> Path:
    """As git format-patch leaves it, with what editors leave beside it."""
    for number, mail in enumerate(commits.mails("--cover-letter")):
        (folder / f"{number:04}-x.patch").write_bytes(_FROM_LINE + mail)
    (folder / "README").write_text("hello")
    (folder / "0002-x.patch.orig").write_bytes(b"junk")
    (folder / ".0001-x.patch").write_bytes(b"\0")
    return folder


SHAPES: tuple[Callable[[Commits, Path], Path], ...] = (
    two_revisions_in_disorder,
    mboxrd,
    maildir,
    pull_request,
    base64_with_crlf,
    whole_file_with_crlf,
    flowed,
    resent_to_two_lists,
    attached,
    v9_and_v10_gzipped,
    one_patch_again,
    unknown_charset,
    folder_of_patches,
)


def _joined(mails: list[bytes]) -> bytes:
    return b"".join(_FROM_LINE + mail.rstrip(b"\n") + b"\n\n" for mail in mails)


def _box(folder: Path, mails: list[bytes]) -> Path:
    path = folder / "series.mbox"
    path.write_bytes(_joined(mails))
    return path


def _encoded(mail: bytes, how: str, *, line_end: bytes = b"\n", kind: bytes = b"") -> bytes:
    head, _, body = mail.partition(b"\n\n")
    head = re.sub(rb"(?m)^(MIME-Version|Content-[A-Za-z-]*): .*\n?", b"", head).rstrip(b"\n")
    encode = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}.get(how, bytes)
    mime = b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8" + kind
    transfer = b"\nContent-Transfer-Encoding: " + how.encode()
    return head + b"\n" + mime + transfer + b"\n\n" + encode(body.replace(b"\n", line_end))


def _attached(mail: bytes) -> bytes:
    head, _, body = mail.partition(b"\n\n")
    head = re.sub(rb"(?m)^(MIME-Version|Content-[A-Za-z-]*): .*\n?", b"", head).rstrip(b"\n")
    message, _, diff = body.partition(b"\n---\n")
    parts = (
        b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n--b\n'
        b'Content-Type: multipart/alternative; boundary="c"\n\n--c\nContent-Type: text/plain; charset=utf-8\n\n'
        b"%b\n\n--c\nContent-Type: text/html\n\n<b>hi</b>\n--c--\n--b\n"
        b"Content-Type: text/x-patch; charset=utf-8; name=p.patch\nContent-Disposition: attachment\n"
        b"Content-Transfer-Encoding: base64\n\n%b\n--b--\n"
    )
    return head + b"\n" + parts % (message, base64.encodebytes(b"---\n" + diff))
