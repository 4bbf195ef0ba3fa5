from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.series.assemble import Assembly, assemble
from lab.series.mail import mail_from_bytes
from tests.unit.series.letters import diff, letter, patch_letter


def assembled(*letters: bytes, revision: int | None = None) -> Assembly:
    """Return the assembly of raw mails."""
    return assemble([mail_from_bytes(raw) for raw in letters], revision)


def titles(found: Assembly) -> list[tuple[int, str]]:
    """Return numbers and titles of the patches."""
    return [(item.index, item.mail.subject.title) for item in found.patches]


def posting(version: str, names: str, prefix: str, answers: str = "") -> list[bytes]:
    """Return a cover letter and its patches, threaded; message-ids are ``<prefix>-0`` and so on."""
    total = len(names)
    cover = letter(f"[PATCH {version}0/{total}] {prefix} cover", id_=f"{prefix}-0", answers=answers)
    patches = [
        patch_letter(f"[PATCH {version}{n}/{total}] {name}", id_=f"{prefix}-{n}", answers=f"{prefix}-0")
        for n, name in enumerate(names, start=1)
    ]
    return [cover, *patches]


def test_patches_are_ordered_by_number_not_by_arrival() -> None:
    """Mail arrives in any order."""
    cover, one, two, three = posting("", "abc", "x")
    found = assembled(three, one, cover, two)
    assert titles(found) == [(1, "a"), (2, "b"), (3, "c")]
    assert (found.title, found.expected, found.cover is not None) == ("x cover", 3, True)


@given(st.permutations([*posting("", "abc", "x"), *posting("v2 ", "abcd", "y", answers="x-0")]))
def test_no_order_of_arrival_makes_a_difference(mails: list[bytes]) -> None:
    """Neither within a revision nor between them."""
    assert titles(assembled(*mails)) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert titles(assembled(*mails, revision=1)) == [(1, "a"), (2, "b"), (3, "c")]


def test_the_newest_revision_is_taken_unless_another_is_asked_for() -> None:
    """v2 in answer to v1, in one mailbox."""
    both = [*posting("v2 ", "ab", "y", answers="x-0"), *posting("", "abc", "x")]
    assert assembled(*both).revision == 2
    assert titles(assembled(*both)) == [(1, "a"), (2, "b")]
    old = assembled(*both, revision=1)
    assert (old.revision, old.expected, old.revisions, old.title) == (1, 3, (1, 2), "x cover")


def test_a_revision_that_is_not_there_is_named_with_those_that_are() -> None:
    """So that the user can choose."""
    with pytest.raises(InputError, match="no v3") as caught:
        assembled(*posting("v2 ", "a", "x"), revision=3)
    assert caught.value.remedy == "there is v2"


def test_answers_with_diffs_are_no_patches() -> None:
    """Quoted, or the reviewer's own proposal below a quotation, with or without a tag in the subject."""
    quoted = "> " + diff().replace("\n", "\n> ")
    answers = [
        letter("Re: [PATCH 1/1] a", quoted, id_="r1", answers="x-1"),
        letter("Re: [PATCH 1/1] a", f"> old\nBetter:\n{diff()}", id_="r2", answers="x-1"),
        letter("Another idea", f"> old\nBetter:\n{diff()}", id_="r3", answers="x-1"),
    ]
    assert titles(assembled(*answers, *posting("", "a", "x"))) == [(1, "a")]


def test_a_fix_up_posted_within_the_thread_is_not_the_series() -> None:
    """A reviewer's patch with a tag, in answer to a patch."""
    fix_up = patch_letter("[PATCH] fixup! a", id_="f", answers="x-1", day=9)
    assert titles(assembled(fix_up, *posting("", "ab", "x"))) == [(1, "a"), (2, "b")]


def test_a_mail_that_came_twice_counts_once() -> None:
    """From two lists, say."""
    mails = posting("", "ab", "x")
    assert titles(assembled(*mails, *mails)) == [(1, "a"), (2, "b")]


def test_a_series_that_was_posted_again_gives_the_later_one() -> None:
    """RESEND: same titles, new message-ids."""
    early = [patch_letter(f"[PATCH {n}/2] t{n}", id_=f"e{n}", answers="e0", day=1) for n in (1, 2)]
    late = [patch_letter(f"[PATCH RESEND {n}/2] t{n}", id_=f"l{n}", answers="l0", day=8) for n in (1, 2)]
    found = assembled(*late, *early)
    assert [item.mail.message_id for item in found.patches] == ["l1", "l2"]


def test_two_series_in_one_mailbox_are_refused() -> None:
    """Nothing says which is meant, and a mixture would be neither."""
    with pytest.raises(InputError, match="two series"):
        assembled(*posting("", "ab", "x"), *posting("", "cd", "y"))


def test_missing_patches_stay_missing() -> None:
    """The number of patches is what the subjects say."""
    found = assembled(patch_letter("[PATCH 1/3] a"), patch_letter("[PATCH 3/3] c"))
    assert (found.expected, titles(found)) == (3, [(1, "a"), (3, "c")])


def test_two_mails_with_one_number_are_refused() -> None:
    """In a folder of files without message-ids, from two runs of git format-patch."""
    with pytest.raises(InputError, match="two mails are patch 1"):
        assembled(patch_letter("[PATCH 1/2] a"), patch_letter("[PATCH 1/2] other"), patch_letter("[PATCH 2/2] b"))


def test_patches_without_any_tag_are_numbered_by_arrival() -> None:
    """``git format-patch -N --subject-prefix=``."""
    found = assembled(patch_letter("scsi: a"), patch_letter("scsi: b"), letter("hello", "no diff"))
    assert titles(found) == [(1, "scsi: a"), (2, "scsi: b")]
    assert found.title == "scsi: a (and 1 more)"


def test_a_single_patch_without_number_is_a_series_of_one() -> None:
    """``[PATCH v2] x``."""
    found = assembled(patch_letter("[PATCH v2] x"))
    assert (found.revision, found.expected, found.title) == (2, 1, "x")


def test_a_pull_request_is_a_series() -> None:
    """Its patches are tagged PULL."""
    found = assembled(letter("[PULL 0/2] block"), patch_letter("[PULL 2/2] b"), patch_letter("[PULL 1/2] a"))
    assert titles(found) == [(1, "a"), (2, "b")]


def test_what_a_series_builds_on_is_read_from_cover_letter_and_patches() -> None:
    """The lines that git format-patch --base and patchew know."""
    cover = letter(
        "[PATCH 0/1] x", f"Based-on: <other@x>\nbase-commit: {'a' * 40}\nprerequisite-patch-id: {'b' * 40}\n", id_="c"
    )
    found = assembled(cover, patch_letter("[PATCH 1/1] y", answers="c"))
    assert (found.base_commit, found.prerequisites, found.based_on) == ("a" * 40, ("b" * 40,), ("other@x",))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Based-on: o@x", "o@x"),
        ("Based-on: [PATCH v2 0/3] scsi: y <o@x>", "o@x"),
        ('Based-on: <o@x> ("scsi: y")', "o@x"),
        ("based-on: https://lore.kernel.org/r/o@x", "https://lore.kernel.org/r/o@x"),
        ("Based-on: a < b", "a"),
    ],
)
def test_based_on_is_read_however_it_is_written(line: str, expected: str) -> None:
    """The message-id is what counts, with the subject before or after it."""
    assert assembled(patch_letter("[PATCH] x", text=f"Why.\n\n{line}\nBased-on:")).based_on == (expected,)


def test_trailers_of_answers_are_collected() -> None:
    """Only those outside quotes, and only from answers to that patch."""
    mails = posting("", "ab", "x")
    answer = letter("Re: [PATCH 1/2] a", "> Acked-by: Q <q@x>\nReviewed-by: R <r@x>\n", id_="r", answers="x-1")
    found = assembled(*mails, answer)
    assert [item.trailers for item in found.patches] == [("Reviewed-by: R <r@x>",), ()]


def test_a_mailbox_without_patch_is_refused() -> None:
    """The remedy says what a patch is."""
    with pytest.raises(InputError, match="no patch among 1 mail"):
        assembled(letter("[PATCH 0/3] only the cover"))


def test_a_deep_thread_is_one_series() -> None:
    """Each patch answers the one before, and the second revision hangs below the first."""
    first = [
        patch_letter(f"[PATCH {n}/2] t{n}", id_=f"a{n}", **({"answers": f"a{n - 1}"} if n > 1 else {})) for n in (1, 2)
    ]
    second = [
        patch_letter(f"[PATCH v2 {n}/2] t{n}", id_=f"b{n}", answers=f"b{n - 1}" if n > 1 else "a1") for n in (1, 2)
    ]
    found = assembled(*second, *first)
    assert [item.mail.message_id for item in found.patches] == ["b1", "b2"]


def test_a_trailer_with_very_many_blanks_is_read_at_once() -> None:
    """Blanks at its end are no part of it, and cost no more than other text."""
    name = f"Somebody{' ' * 200_000}<s@example.org>"
    answer = letter("Re: [PATCH] x", f"Reviewed-by: {name}  \n\n\nmore\n", answers="p@x")
    found = assembled(patch_letter("[PATCH] x", id_="p@x"), answer)
    assert found.patches[0].trailers == (f"Reviewed-by: {name}",)


def test_a_patch_that_was_posted_again_alone_takes_the_place_of_the_first() -> None:
    """``v2.1`` of one patch; another revision is not touched."""
    again = patch_letter("[PATCH v2.1 2/3] b, better", id_="y-2-1", answers="y-2")
    mails = [again, *posting("v2 ", "abc", "y"), *posting("", "abc", "x")]
    assert titles(assembled(*mails)) == [(1, "a"), (2, "b, better"), (3, "c")]
    assert titles(assembled(*mails, revision=1)) == [(1, "a"), (2, "b"), (3, "c")]


def test_trailers_of_a_discussion_go_to_the_patch_it_is_about() -> None:
    """An answer to an answer, and one to the cover letter, which is about every patch."""
    mails = [
        *posting("", "ab", "x"),
        letter("Re: [PATCH 1/2] a", "Why?\n", id_="q", answers="x-1"),
        letter("Re: [PATCH 1/2] a", "> Why?\nBecause.\n", id_="r", answers="q"),
        letter("Re: [PATCH 1/2] a", "> Because.\nReviewed-by: R <r@x>\n", id_="s", answers="r"),
        letter("Re: [PATCH 0/2] x cover", "> Acked-by: Quoted <q@x>\nTested-by: T <t@x>\n", id_="t", answers="x-0"),
    ]
    one, two = assembled(*mails).patches
    assert one.trailers == ("Reviewed-by: R <r@x>", "Tested-by: T <t@x>")
    assert two.trailers == ("Tested-by: T <t@x>",)


def test_answers_that_go_in_a_circle_are_about_nothing() -> None:
    """Two mails that claim to answer each other."""
    mails = [
        *posting("", "a", "x"),
        letter("Re: y", "Reviewed-by: R <r@x>\n", id_="p", answers="q"),
        letter("Re: y", "Reviewed-by: R <r@x>\n", id_="q", answers="p"),
    ]
    assert assembled(*mails).patches[0].trailers == ()
