"""Where a series comes from: a path with mails, or a range of commits in the user's tree."""

from __future__ import annotations

from pathlib import Path

from lab.errors import InputError
from lab.scratch import scratch_folder
from lab.series.archive import fetch_thread, message_id_from_text
from lab.series.assemble import Assembly, assemble
from lab.series.mail import mail_from_bytes
from lab.series.mailbox import mails_from_path, split_mailbox
from lab.series.patch import patch_from_mail
from lab.series.repository import borrow, commit_in_tree
from lab.series.series import Cover, Series


def read_series(path: Path, *, revision: int | None = None, partial: bool = False) -> Series:
    """Return the newest revision of the series at a path, or the one asked for.

    :param path: an mbox, a maildir, a folder of format-patch files, a single mail; or, where nothing of that name is
        there, a Message-ID, whose thread b4 fetches.
    :param partial: accept a series with missing patches; :attr:`Series.missing` names them.
    :raise InputError: it cannot be read, holds no patch, not this revision, more than one series, or not all of it.
    :raise CommandError: git is not installed.
    :raise DeadlineError: the mail archive did not answer.
    """
    message_id = None if path.exists() else message_id_from_text(str(path))
    mails = mails_from_path(path) if message_id is None else split_mailbox(fetch_thread(message_id))
    series = _series(path.name, mails, revision)
    if not partial:
        series.require_complete()
    return series


def series_from_range(tree: Path, range_: str) -> Series:
    """Return the commits of a range of the user's tree as a series.

    :param range_: ``base..topic``; merges are left out, as ``git format-patch`` does.
    :raise InputError: the tree has no such commits, or the range is empty.
    """
    base, dots, topic = range_.partition("..")
    if not dots or not base or topic.startswith("."):
        raise InputError(f"'{range_}' is not a range", remedy="write base..topic, for example v10.0.0..my-branch")
    ends = [commit_in_tree(tree, name) for name in (base, topic or "HEAD")]
    repository = borrow(tree)
    with scratch_folder() as folder:
        (into := folder / "mails").mkdir()
        words = ["format-patch", "--full-index", "--numbered", "--no-signature", f"--output-directory={into}"]
        span = f"{ends[0]}..{ends[1]}"
        if repository.git(*words, f"--base={ends[0]}", span, check=False).returncode != 0:
            repository.git(*words, span)  # the base is no ancestor of the topic, so it is no base-commit either
        files = sorted(into.iterdir())
        mails = tuple(mail for file in files for mail in split_mailbox(file.read_bytes()))
    if not mails:
        raise InputError(f"no commit is in '{range_}'")
    return _series(range_, mails, None)


def _series(name: str, raw_mails: tuple[bytes, ...], revision: int | None) -> Series:
    try:
        found = assemble([mail_from_bytes(raw) for raw in raw_mails], revision)
    except InputError as err:
        raise InputError(f"{name}: {err.message}", remedy=err.remedy) from err
    return Series(
        title=found.title,
        revision=found.revision,
        expected=found.expected,
        patches=tuple(patch_from_mail(item.mail, item.index, item.trailers) for item in found.patches),
        cover=_cover(found),
        revisions=found.revisions,
        base_commit=found.base_commit,
        prerequisites=found.prerequisites,
        based_on=found.based_on,
    )


def _cover(found: Assembly) -> Cover | None:
    mail = found.cover
    return Cover(mail.subject.title, mail.author, mail.message_id, mail.text) if mail else None
