"""What came out of several cases."""

import pytest

from lab.virtio.verdict import Verdict


@pytest.mark.parametrize(
    ("verdicts", "worst", "code"),
    [
        ((), Verdict.PASSED, 0),
        ((Verdict.PASSED,), Verdict.PASSED, 0),
        ((Verdict.PASSED, Verdict.UNDECIDED), Verdict.UNDECIDED, 4),
        ((Verdict.UNDECIDED, Verdict.PASSED, Verdict.FAILED), Verdict.FAILED, 1),
    ],
)
def test_the_worst_of_several_is_the_verdict(verdicts: tuple[Verdict, ...], worst: Verdict, code: int) -> None:
    """One failure fails all; what could not be decided counts only where nothing failed."""
    assert Verdict.of_all(verdicts) is worst and worst.exit_code == code
