"""Two binaries' results to words."""

from pathlib import Path

import pytest

from lab.scenario.compare import changes
from lab.scenario.perform import ScenarioResult
from lab.virtio.change import Change
from lab.virtio.verdict import Verdict


def result(verdict: Verdict, name: str = "mirror", reason: str = "") -> ScenarioResult:
    """A result with a verdict."""
    return ScenarioResult(name, verdict, reason, 1, 1.0, Path("evidence"))


@pytest.mark.parametrize(
    ("before", "after", "said", "better"),
    [
        (Verdict.PASSED, Verdict.FAILED, "breaks mirror: after", False),
        (Verdict.FAILED, Verdict.PASSED, "mends mirror: before", True),
        (
            Verdict.UNDECIDED,
            Verdict.PASSED,
            "could not be compared for mirror: the baseline's verdict is undecided, its own passed",
            None,
        ),
    ],
)
def test_a_changed_verdict_is_said(before: Verdict, after: Verdict, said: str, better: bool | None) -> None:
    """With the reason of the side that failed."""
    found = changes([result(before, reason="before")], [result(after, reason="after")])
    assert found == (Change(said, ("mirror",), better),)


def test_an_equal_verdict_is_not() -> None:
    """Two failures are no change, whatever their reasons."""
    assert changes([result(Verdict.FAILED, reason="a")], [result(Verdict.FAILED, reason="b")]) == ()
