"""A Message-ID to the mails of its thread, through b4, where that is installed.

b4 knows the public archives, mirrors and formats; the lab only asks it for the thread.
"""

from __future__ import annotations

import re

from lab.command import is_installed, run
from lab.errors import CommandError, InputError
from lab.scratch import scratch_folder

_MESSAGE_ID = re.compile(r"^<?(\w[^\s<>@/]*@[^\s<>@/]+)>?$")
_TIMEOUT_S = 300.0


def message_id_from_text(text: str) -> str | None:
    """Return the message-id without brackets, or None where the text is none."""
    match = _MESSAGE_ID.match(text)
    return match.group(1) if match else None


def fetch_thread(message_id: str) -> bytes:
    """Return the thread of a mail as an mbox.

    :raise InputError: b4 is not installed, or found no such mail.
    :raise DeadlineError: the archive did not answer in five minutes.
    """
    if not is_installed("b4"):
        raise InputError(
            f"{message_id} is a Message-ID, and b4, which would fetch its thread, is not installed",
            remedy="install b4 (pip install b4), or save the thread as a file and name that",
        )
    with scratch_folder() as folder:
        (into := folder / "thread").mkdir()
        words = ("b4", "--no-stdin", "mbox", "-o", into, "-n", "thread.mbx", message_id)
        try:
            run(words, timeout_s=_TIMEOUT_S)
        except CommandError as err:
            raise InputError(f"b4 cannot fetch {message_id}: {err.message}", remedy="check the Message-ID") from err
        files = sorted(path for path in into.rglob("*") if path.is_file())
        if not files:
            raise InputError(f"b4 found nothing for {message_id}", remedy="check the Message-ID")
        return files[0].read_bytes()
