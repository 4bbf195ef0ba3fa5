"""What a candidate changes about malformed requests."""

from __future__ import annotations

from lab.virtio.malformed.attempt import MalformedResult
from lab.virtio.malformed.compare import malformed_changes
from lab.virtio.malformed.perform import Outcome, Reaction
from lab.virtio.malformed.request import MalformedRequest

REQUEST = MalformedRequest(2, ())


def result(
    name: str = "head 65535",
    mapping: str = "none",
    *,
    outcome: Outcome | None = None,
    fault: str = "",
    trouble: str = "",
) -> MalformedResult:
    """Return what a binary did with a request."""
    reaction = Reaction(outcome, (), None, early=False) if outcome else None
    return MalformedResult(name, mapping, REQUEST, reaction, (fault,) if fault else (), trouble, None, 0.1)


def said(before: list[MalformedResult], after: list[MalformedResult]) -> list[tuple[str, bool | None]]:
    """Return the changes as (sentence, better)."""
    return [(change.sentence, change.better) for change in malformed_changes(before, after)]


def test_binaries_that_behave_alike() -> None:
    """Well or badly."""
    for one in (result(outcome=Outcome.IGNORED), result(fault="crash")):
        assert said([one], [one]) == []


def test_what_is_broken_stands_first() -> None:
    """Then what is mended, then what is neither; mappings that agree are one sentence."""
    resets, ignores = Outcome.NEEDS_RESET, Outcome.IGNORED
    before = [
        result("a", "none", outcome=resets),
        result("a", "2", outcome=resets),
        result("b", fault="it crashed"),
        result("c", outcome=ignores),
        result("d", trouble="busy"),
        result("e"),
    ]
    after = [
        result("a", "none", outcome=ignores),
        result("a", "2", outcome=ignores),
        result("b", outcome=resets),
        result("c", fault="a sanitiser reports"),
        result("d", outcome=resets),
        result("e", outcome=resets),
    ]
    assert said(before, after) == [
        ("breaks 'c': a sanitiser reports (mapping none)", False),
        ("mends 'b': it crashed (mapping none)", True),
        ("does nothing where the baseline asks for a reset: 'a' (mapping none, 2)", None),
        ("could not be compared for 'd' (mapping none)", None),
        ("asks for a reset where the baseline does not get as far: 'e' (mapping none)", None),
    ]
    assert malformed_changes(before, after)[2].cases == ("none/a", "2/a")
