"""Mails and trees for the tests of lab/series, written here so that no foreign text lives in the project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lab.series.repository import Repository, run_git

WHO = "A Developer <a.developer@example.org>"

_IDENTITY = "A <a@example.org> 1700000000 +0000"


def diff(path: str = "hw/scsi/lun.c", old: str = "two", new: str = "zwei") -> str:
    """Return a diff that changes the second of three lines."""
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,3 +1,3 @@\n one\n-{old}\n+{new}\n three\n"


def letter(
    subject: str,
    body: str = "",
    *,
    id_: str = "",
    answers: str = "",
    sender: str = WHO,
    day: int = 1,
    headers: str = "",
) -> bytes:
    """Return a raw mail; ``answers`` is the message-id it replies to."""
    lines = [f"From: {sender}", f"Subject: {subject}", f"Date: Mon, {day} Jan 2024 10:00:00 +0100"]
    if id_:
        lines.append(f"Message-Id: <{id_}>")
    if answers:
        lines.append(f"In-Reply-To: <{answers}>")
    if headers:
        lines.append(headers)
    return "\n".join([*lines, "", body]).encode()


def patch_letter(subject: str, *, text: str = "Why it is good.", diff_text: str = "", **rest: object) -> bytes:
    """Return a mail with a patch in it, as git send-email writes it."""
    body = f"{text}\n---\n file | 2 +-\n\n{diff_text or diff()}--\n2.39.5\n"
    return letter(subject, body, **rest)  # type: ignore[arg-type]


def mbox(*letters: bytes) -> bytes:
    """Return the mails as one mbox file."""
    return b"".join(b"From a@example.org Mon Jan  1 10:00:00 2024\n" + raw.rstrip(b"\n") + b"\n\n" for raw in letters)


def box_file(folder: Path, *letters: bytes) -> Path:
    """Write an mbox file and return its path."""
    path = folder / "series.mbox"
    path.write_bytes(mbox(*letters))
    return path


def make_tree(git_dir: Path, *commits: Mapping[str, str]) -> tuple[Repository, tuple[str, ...]]:
    """Return a bare repository and its commits, each given as all its files; the branch is called topic."""
    run_git("init", "--quiet", "--bare", "--template=", git_dir)
    repository = Repository(git_dir)
    with repository.fast_import() as stream:
        for number, files in enumerate(commits):
            head = f"commit refs/heads/topic\nauthor {_IDENTITY}\ncommitter {_IDENTITY}\n"
            stream.write(head.encode() + _data(f"commit {number}") + b"deleteall\n")
            for path, content in files.items():
                mode = "100755" if content.startswith("#!") else "100644"
                stream.write(f'M {mode} inline "{path}"\n'.encode() + _data(content))
        stream.write(b"done\n")
    made = repository.git("rev-list", "--reverse", "refs/heads/topic").stdout.split()
    return repository, tuple(made)


def add_branch(
    repository: Repository, name: str, parent: str, *commits: tuple[str, Mapping[str, str | bytes]]
) -> tuple[str, ...]:
    """Add commits to a repository on a branch of their own, each a message and the files it changes."""
    with repository.fast_import() as stream:
        for number, (message, files) in enumerate(commits):
            head = f"commit refs/heads/{name}\nauthor {_IDENTITY}\ncommitter {_IDENTITY}\n"
            start = f"from {parent}\n" if number == 0 else ""
            stream.write(head.encode() + _data(message) + start.encode())
            for path, content in files.items():
                stream.write(f'M 100644 inline "{path}"\n'.encode() + _data(content))
        stream.write(b"done\n")
    return tuple(repository.git("rev-list", "--reverse", f"refs/heads/{name}", f"^{parent}").stdout.split())


def _data(content: str | bytes) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return b"data %d\n%b\n" % (len(raw), raw)
