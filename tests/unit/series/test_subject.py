from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.series.subject import Subject, subject_from_text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[PATCH] scsi: fix", Subject("scsi: fix", is_tagged=True)),
        ("[PATCH RFC v3 02/13] scsi: fix", Subject("scsi: fix", is_tagged=True, revision=3, index=2, total=13)),
        ("[PATCH v3.1 2/4] x", Subject("x", is_tagged=True, revision=3, index=2, total=4, reroll=1)),
        ("[PATCHv12.10] x", Subject("x", is_tagged=True, revision=12, reroll=10)),
        ("[PULL 13/18] scsi: fix", Subject("scsi: fix", is_tagged=True, index=13, total=18)),
        ("[PATCHv2 1/1] scsi: fix", Subject("scsi: fix", is_tagged=True, revision=2, index=1, total=1)),
        ("[PATCH-for-9.1 2/3] x", Subject("x", is_tagged=True, index=2, total=3)),
        ("[PATCH for-10.1 v4 2/3] x", Subject("x", is_tagged=True, revision=4, index=2, total=3)),
        ("[PATCH RESEND v2 0/2] x", Subject("x", is_tagged=True, revision=2, index=0, total=2)),
        ("[RFC v3 2/4] x", Subject("x", is_tagged=True, revision=3, index=2, total=4)),
        ("[Qemu-devel] [PATCH v2 1/2] x", Subject("x", is_tagged=True, revision=2, index=1, total=2)),
        ("[PATCH 1/2][for-stable] x", Subject("[for-stable] x", is_tagged=True, index=1, total=2)),
        ("[2/3] x", Subject("x", is_tagged=True, index=2, total=3)),
        ("[PATCH 1/2] [scsi] x", Subject("[scsi] x", is_tagged=True, index=1, total=2)),
        ("[PATCH 1/2] [v3] x", Subject("[v3] x", is_tagged=True, index=1, total=2)),
        ("Re: [PATCH v2 1/2] x", Subject("x", is_reply=True, is_tagged=True, revision=2, index=1, total=2)),
        ("AW: Re: [PATCH] x", Subject("x", is_reply=True, is_tagged=True)),
        ("[Qemu-devel] Re: [PATCH] x", Subject("x", is_reply=True, is_tagged=True)),
        ("Re[2]: x", Subject("x", is_reply=True)),
        ("Fwd: [PATCH] x", Subject("x", is_reply=True, is_tagged=True)),
        ("[PATCH] Re: is no prefix here", Subject("Re: is no prefix here", is_tagged=True)),
        ("scsi: fix of 1/2 requests", Subject("scsi: fix of 1/2 requests")),
        ("[Bug 12/13] x", Subject("x")),
        ("  scsi:\n fix ", Subject("scsi: fix")),
        ("", Subject("")),
    ],
)
def test_a_subject_says_what_the_mail_is(line: str, expected: Subject) -> None:
    """Every form of tag, in every order that mailing lists and mail programs make of it."""
    assert subject_from_text(line) == expected


def test_a_title_of_any_length_can_be_shown() -> None:
    """It is cut where no honest one would go on."""
    title = subject_from_text(f"[PATCH 1/2] {100_000 * 'x'}").title
    assert title == f"{300 * 'x'}... (100000 characters)"


def test_a_version_number_of_qemu_is_not_a_revision() -> None:
    """``for-v10.0`` names a release."""
    assert subject_from_text("[PATCH for-v10.0 1/2] x").revision == 1


@given(st.text())
def test_no_subject_makes_it_fail(line: str) -> None:
    """Subjects are foreign text."""
    assert subject_from_text(line).revision >= 1


@given(
    st.integers(1, 99),
    st.integers(1, 99),
    st.integers(0, 99),
    st.sampled_from(["PATCH", "PULL", "RFC PATCH", "PATCH RFC"]),
)
def test_what_format_patch_writes_is_read_back(revision: int, total: int, index: int, prefix: str) -> None:
    """The inverse of ``git format-patch -vN``."""
    found = subject_from_text(f"[{prefix} v{revision} {index:02d}/{total}] title")
    assert (found.revision, found.index, found.total, found.title) == (revision, index, total, "title")
