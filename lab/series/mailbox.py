"""A path to raw mails: mbox, mboxrd, maildir, a folder of format-patch files, or a single mail; gzip where it is.

``git mailsplit`` does the splitting: it knows a "From " line from a line of text that begins with the word From.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from lab.errors import InputError
from lab.files import read_input
from lab.scratch import scratch_folder
from lab.series.repository import run_git

_GZIP_MAGIC = b"\x1f\x8b"
_LARGEST_MAILBOX_BYTES = 512 << 20
_QUOTED_FROM = re.compile(rb"^>+From ", re.MULTILINE)
_MAIL_FILE = (".patch", ".eml", ".mbox", ".mbx", ".mail", ".msg", ".diff")


def mails_from_path(path: Path) -> tuple[bytes, ...]:
    """Return the raw mails of a path in the order they are stored, format-patch files by name.

    :raise InputError: nothing is there, it cannot be read, or it holds no mail.
    :raise CommandError: git is not installed.
    """
    try:
        mails = tuple(mail for content in _contents(path) for mail in split_mailbox(content))
    except OSError as err:
        raise InputError(f"{path} cannot be read: {err.strerror or err}") from err
    if not mails:
        raise InputError(f"{path} holds no mail", remedy="name an mbox, a maildir, or a folder of format-patch files")
    return mails


def _contents(path: Path) -> Iterator[bytes]:
    if not path.is_dir():
        yield _plain(path, read_input(path, limit_bytes=_LARGEST_MAILBOX_BYTES))
        return
    if (path / "cur").is_dir() or (path / "new").is_dir():
        files = [file for name in ("cur", "new") if (path / name).is_dir() for file in (path / name).iterdir()]
    else:
        files = [file for file in path.iterdir() if file.name.removesuffix(".gz").endswith(_MAIL_FILE)]
    for file in sorted(file for file in files if file.is_file() and not file.name.startswith(".")):
        yield _plain(file, read_input(file, limit_bytes=_LARGEST_MAILBOX_BYTES))


def _plain(path: Path, content: bytes) -> bytes:
    """Undo gzip, which mailing list archives use, within a limit: a small file may unpack to fill the memory.

    :raise InputError: it is damaged or too large.
    """
    if content.startswith(_GZIP_MAGIC):
        try:
            with gzip.open(io.BytesIO(content)) as packed:
                content = packed.read(_LARGEST_MAILBOX_BYTES + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as err:
            raise InputError(f"{path} is damaged gzip: {err}", remedy="fetch it again") from err
    if len(content) > _LARGEST_MAILBOX_BYTES:
        raise InputError(f"{path} is larger than {_LARGEST_MAILBOX_BYTES >> 20} MiB", remedy="save the thread alone")
    return content


def split_mailbox(content: bytes) -> tuple[bytes, ...]:
    """Return the mails of one file without their "From " lines; a single mail without one is accepted.

    Lines such as ">From the start" occur in mails only because a mailbox quotes "From " at the start of a line
    (mbox(5), the mboxrd form quotes quoted ones too), so they are unquoted wherever they are.

    :raise CommandError: git is not installed.
    """
    if not content.strip():
        return ()
    with scratch_folder() as folder:
        box = folder / "box"
        box.write_bytes(content.lstrip(b"\r\n"))
        into = folder / "mails"
        into.mkdir()
        unquote = ["--mboxrd"] if _QUOTED_FROM.search(content) else []
        run_git("mailsplit", "-b", "-d8", *unquote, f"-o{into}", box)
        return tuple(_without_from_line(mail.read_bytes()) for mail in sorted(into.iterdir()))


def _without_from_line(mail: bytes) -> bytes:
    """Cut off the separator: the mail parser takes it for a header, and the date in it is not the mail's."""
    return mail.partition(b"\n")[2] if mail.startswith(b"From ") else mail
