"""Two binaries' results to words."""

from pathlib import Path

import pytest

from lab.scenario.compare import changes, verdict_of
from lab.scenario.perform import ScenarioResult
from lab.scenario.verdict import Verdict


def result(verdict: Verdict, name: str = "mirror", reason: str = "") -> ScenarioResult:
    """A result with a verdict."""
    return ScenarioResult(name, verdict, reason, 1, 1.0, Path("evidence"))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (Verdict.PASSED, Verdict.FAILED, "the series breaks mirror: after"),
        (Verdict.FAILED, Verdict.PASSED, "the series mends mirror: before"),
        (Verdict.UNDECIDED, Verdict.PASSED, "mirror: undecided before, passed now: nothing can be said"),
    ],
)
def test_a_changed_verdict_is_said(before: Verdict, after: Verdict, said: str) -> None:
    """With the reason of the side that failed."""
    assert changes([result(before, reason="before")], [result(after, reason="after")]) == (said,)


def test_an_equal_verdict_is_not() -> None:
    """Two failures are no change, whatever their reasons."""
    assert changes([result(Verdict.FAILED, reason="a")], [result(Verdict.FAILED, reason="b")]) == ()


def test_one_failure_outweighs_what_could_not_be_decided() -> None:
    """And nothing at all is no pass."""
    passed, undecided, failed = (result(verdict) for verdict in (Verdict.PASSED, Verdict.UNDECIDED, Verdict.FAILED))
    assert verdict_of([passed, undecided, failed]) is Verdict.FAILED
    assert verdict_of([passed, undecided]) is Verdict.UNDECIDED
    assert verdict_of([passed]) is Verdict.PASSED
    assert verdict_of([]) is Verdict.UNDECIDED
