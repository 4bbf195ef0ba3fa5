from __future__ import annotations

import pytest

from lab.series.message_id import message_id_from_text, posting_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<2024.1-2-a@x>", "2024.1-2-a@x"),
        ("2024.1-2-a@x", "2024.1-2-a@x"),
        ('[PATCH v2] "scsi" <a@x> (second try)', "a@x"),
        ("https://lore.kernel.org/qemu-devel/a-1%2Bb@x/T/#u", "a-1+b@x"),
        ("https://lore.kernel.org/r/a@x", "a@x"),
        ("https://patchew.org/QEMU/a@x/", "a@x"),
        ("(a@x)", "a@x"),
        ("https://example.org/qemu.git topic", ""),
        ("", ""),
        ("a" * 100_000 + "@x", ""),
    ],
)
def test_the_message_id_is_found_in_trailers_and_links(text: str, expected: str) -> None:
    """However it is written; of a line longer than a mail may have, only the beginning is read."""
    assert message_id_from_text(text) == expected


@pytest.mark.parametrize(
    ("one", "other", "number"),
    [
        ("20250311132616.1049687-1-a@x", "20250311132616.1049687-12-a@x", 12),
        ("20250311-topic-v2-0-0123abcd@x", "20250311-topic-v2-3-0123abcd@x", 3),
        ("cover.1741699576.git.a@x", f"{'0a' * 20}.1741699576.git.a@x", None),
        ("any@x", "any@x", None),
    ],
)
def test_mails_of_one_posting_are_recognised(one: str, other: str, number: int | None) -> None:
    """As git send-email, b4 and git format-patch number them; a mail of another tool is alone."""
    assert posting_of(one).name == posting_of(other).name
    assert posting_of(other).number == number


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("20250311132616.1049687-1-a@x", "20250311132616.1049688-1-a@x"),
        ("20250311132616.1049687-1-a@x", "20250311132616.1049687-1-b@x"),
        ("20250311-topic-v2-0-0123abcd@x", "20250311-topic-v3-0-0123abcd@x"),
        ("a@x", "b@x"),
    ],
)
def test_mails_of_two_postings_are_told_apart(one: str, other: str) -> None:
    """Another process, another author, another revision."""
    assert posting_of(one).name != posting_of(other).name
