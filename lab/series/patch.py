"""A mail that is a patch to a :class:`Patch`: ``git mailinfo`` and ``git patch-id`` do the work."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lab.command import CommandResult
from lab.errors import InputError
from lab.series.diff import files_from_diff
from lab.series.mail import Mail
from lab.series.repository import run_git
from lab.series.series import Patch


def patch_from_mail(mail: Mail, index: int, trailers: tuple[str, ...] = ()) -> Patch:
    """Return the patch in a mail: transfer encoding undone, in-body From: honoured, message in UTF-8.

    :raise InputError: git finds no patch in it.
    """
    name = mail.subject_line or mail.message_id or f"mail {index}"
    with tempfile.TemporaryDirectory(prefix="lab-mail-") as folder:
        message_file, diff_file = Path(folder) / "message", Path(folder) / "diff"
        result = _mailinfo(mail.raw, folder, message_file, diff_file)
        if result.returncode != 0:
            raise InputError(f"git cannot read the mail '{name}': {result.tail(2)}")
        diff = diff_file.read_bytes()
        body = message_file.read_text(encoding="utf-8", errors="replace")
    if not diff.strip():
        raise InputError(f"git finds no patch in the mail '{name}'")
    # Not splitlines(): it also splits where the subject has a Unicode line separator, and an author may follow that.
    facts = dict(line.split(": ", 1) for line in result.stdout.split("\n") if ": " in line)
    subject = facts.get("Subject", mail.subject.title)
    return Patch(
        index=index,
        subject=subject,
        author=f"{facts.get('Author', '')} <{facts.get('Email', '')}>",
        date=facts.get("Date", ""),
        message_id=mail.message_id,
        patch_id=patch_id_of(diff),
        files=tuple(dict.fromkeys(file.path for file in files_from_diff(diff.decode(errors="replace")))),
        message=f"{subject}\n\n{body}".rstrip("\n") + "\n",
        diff=diff,
        trailers=trailers,
    )


def _mailinfo(raw: bytes, folder: str, message_file: Path, diff_file: Path) -> CommandResult:
    # Without a ceiling git would read the settings of whatever repository the temporary folder lies in.
    env = {"GIT_CEILING_DIRECTORIES": str(Path(folder).parent)}
    words = (message_file, diff_file)
    result = run_git("mailinfo", "-u", *words, cwd=Path(folder), env=env, stdin=raw, check=False)
    if result.returncode != 0:
        # A charset that git does not know: take the bytes as they are rather than refuse the patch.
        result = run_git("mailinfo", "-n", *words, cwd=Path(folder), env=env, stdin=raw, check=False)
    return result


def patch_id_of(diff: bytes) -> str:
    """Return the id of a diff that does not depend on line numbers, or an empty string where git finds no diff."""
    return run_git("patch-id", "--stable", stdin=diff, check=False).stdout.partition(" ")[0].strip()
