from __future__ import annotations

import pytest

from lab.errors import InputError
from lab.series.mail import mail_from_bytes
from lab.series.patch import patch_from_mail, patch_id_of
from tests.unit.series.letters import diff, letter, patch_letter


def test_a_patch_is_taken_out_of_its_mail() -> None:
    """Subject and message without tags, signature and diffstat; the diff as it is."""
    patch = patch_from_mail(mail_from_bytes(patch_letter("[PATCH v2 3/4] scsi: fix", id_="m@x")), 3, ("T",))
    assert (patch.index, patch.subject, patch.message_id, patch.trailers) == (3, "scsi: fix", "m@x", ("T",))
    assert patch.message == "scsi: fix\n\nWhy it is good.\n"
    assert diff().encode() in patch.diff
    assert patch.author == "A Developer <a.developer@example.org>"
    assert patch.date == "Mon, 1 Jan 2024 10:00:00 +0100"


def test_a_patch_id_does_not_depend_on_place() -> None:
    """Equal changes are equal, wherever they are; nothing has none."""
    moved = diff().replace("@@ -1,3 +1,3 @@", "@@ -11,3 +12,3 @@")
    assert patch_id_of(diff().encode()) == patch_id_of(moved.encode()) != patch_id_of(diff(new="drei").encode())
    assert patch_id_of(b"") == ""


def test_a_subject_is_cut_to_be_shown_and_whole_in_the_message() -> None:
    """Nobody can fill a screen with it, and what is applied is what was sent."""
    patch = patch_from_mail(mail_from_bytes(patch_letter(f"[PATCH] {5000 * 'x'}", id_="a@example.org")), 1)
    assert len(patch.subject) < 400 and patch.message.startswith(5000 * "x")


def test_a_mail_without_diff_is_refused() -> None:
    """It is named by its subject."""
    with pytest.raises(InputError, match=r"no patch in the mail '\[PATCH\] x'"):
        patch_from_mail(mail_from_bytes(letter("[PATCH] x", "only words")), 1)


def test_a_mail_that_git_cannot_read_is_refused() -> None:
    """Such as one with nothing in it."""
    with pytest.raises(InputError, match="git cannot read the mail 'mail 7'"):
        patch_from_mail(mail_from_bytes(b""), 7)


def test_a_line_separator_in_a_subject_does_not_give_an_author() -> None:
    """U+2028 ends a line for Python, but not for git."""
    patch = patch_from_mail(mail_from_bytes(patch_letter("[PATCH] x\u2028Author: Somebody Else")), 1)
    assert patch.author == "A Developer <a.developer@example.org>"
