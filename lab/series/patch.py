"""A mail that is a patch to a :class:`Patch`: ``git mailinfo`` and ``git patch-id`` do the work.

Two kinds of damage that mail programs do are undone here, where it shows that they were done: line ends of CR LF
within base64 or quoted-printable, and format=flowed (RFC 3676) on lines that were never meant to flow.
"""

from __future__ import annotations

import email
import re
from dataclasses import dataclass
from pathlib import Path

from lab.command import CommandResult
from lab.errors import InputError
from lab.progress import shortened
from lab.scratch import scratch_folder
from lab.series.diff import files_from_diff
from lab.series.mail import Mail
from lab.series.repository import run_git
from lab.series.series import Patch

_HEADER_WITH_CR = re.compile(rb"^diff --git [^\n]*\r$", re.MULTILINE)
"""A line end of CR LF in a header is the mail's doing; in a changed line it may be the file's."""


def patch_from_mail(mail: Mail, index: int, trailers: tuple[str, ...] = ()) -> Patch:
    """Return the patch in a mail: transfer encoding undone, in-body From: honoured, message in UTF-8.

    :raise InputError: git finds no patch in it.
    """
    name = mail.subject_line or mail.message_id or f"mail {index}"
    read = _read(mail.raw)
    if _HEADER_WITH_CR.search(read.diff):
        read = _read(mail.raw, "--quoted-cr=strip")
    fixed = _with_fixed_lines(mail.raw)
    if fixed is not None:
        unflowed = _read(fixed)
        read = read if _is_cut_off(unflowed.diff) else unflowed
    if read.result.returncode != 0:
        raise InputError(f"git cannot read the mail '{name}': {read.result.tail(2)}")
    diff, body = read.diff, read.body
    if not diff.strip():
        raise InputError(f"git finds no patch in the mail '{name}'")
    # Not splitlines(): it also splits where the subject has a Unicode line separator, and an author may follow that.
    facts = dict(line.split(": ", 1) for line in read.result.stdout.split("\n") if ": " in line)
    subject = facts.get("Subject", mail.subject.title)
    return Patch(
        index=index,
        subject=shortened(subject),
        author=f"{facts.get('Author', '')} <{facts.get('Email', '')}>",
        date=facts.get("Date", ""),
        message_id=mail.message_id,
        patch_id=patch_id_of(diff),
        files=tuple(dict.fromkeys(file.path for file in files_from_diff(diff.decode(errors="replace")))),
        message=f"{subject}\n\n{body}".rstrip("\n") + "\n",
        diff=diff,
        trailers=trailers,
    )


@dataclass(frozen=True)
class _Read:
    """What ``git mailinfo`` made of a mail; diff and body are empty where it failed."""

    result: CommandResult
    diff: bytes
    body: str


def _read(raw: bytes, *options: str) -> _Read:
    with scratch_folder() as folder:
        message_file, diff_file = folder / "message", folder / "diff"
        message_file.touch()
        diff_file.touch()
        # Without a ceiling git would read the settings of whatever repository the temporary folder lies in.
        env = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
        words: tuple[str | Path, ...] = (*options, message_file, diff_file)
        result = run_git("mailinfo", "-u", *words, cwd=folder, env=env, stdin=raw, check=False)
        if result.returncode != 0:
            # A charset that git does not know: take the bytes as they are rather than refuse the patch.
            result = run_git("mailinfo", "-n", *words, cwd=folder, env=env, stdin=raw, check=False)
        return _Read(result, diff_file.read_bytes(), message_file.read_text(encoding="utf-8", errors="replace"))


def _is_cut_off(diff: bytes) -> bool:
    files = files_from_diff(diff.decode(errors="replace"))
    return any(hunk.is_cut_off for file in files for hunk in file.hunks)


def _with_fixed_lines(raw: bytes) -> bytes | None:
    """Return a flowed mail as one whose lines do not flow, or None where it is not flowed.

    An empty line of context is a space; flowed, that reads as a line that goes on in the next one (and git joins the
    two). So only the space that was put before lines is taken away; where long lines really were broken, the hunks
    come out short, and git's reading is the right one.
    """
    message = email.message_from_bytes(raw)
    if message.is_multipart() or str(message.get_param("format", "")).lower() != "flowed":
        return None
    payload = message.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return None
    message.del_param("format")
    del message["Content-Transfer-Encoding"]
    message["Content-Transfer-Encoding"] = "8bit"
    head = message.as_bytes().partition(b"\n\n")[0]
    return head + b"\n\n" + re.sub(rb"^ ", b"", payload.replace(b"\r\n", b"\n"), flags=re.MULTILINE)


def patch_id_of(diff: bytes) -> str:
    """Return the id of a diff that does not depend on line numbers, or an empty string where git finds no diff."""
    return run_git("patch-id", "--stable", stdin=diff, check=False).stdout.partition(" ")[0].strip()
