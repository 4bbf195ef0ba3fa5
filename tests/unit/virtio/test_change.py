"""What a candidate changes, as it is shown."""

from __future__ import annotations

from lab.virtio.change import Change, gravest_first, text_from_changes

WORSE, BETTER, OTHER = (Change(what, ("a", "b"), better) for what, better in (("x", False), ("y", True), ("z", None)))


def test_what_is_broken_is_shown_first() -> None:
    """Then what is mended; the rest keeps its order."""
    assert gravest_first([OTHER, BETTER, WORSE]) == (WORSE, BETTER, OTHER)


def test_a_change_is_a_sentence_about_the_candidate() -> None:
    """One for each line, and one where there are none."""
    assert text_from_changes((WORSE, BETTER), none="") == "The candidate x\nThe candidate y"
    assert text_from_changes((), none="does the same") == "The candidate does the same."
    assert WORSE.to_json() == {"sentence": "x", "better": False, "cases": ["a", "b"]}
