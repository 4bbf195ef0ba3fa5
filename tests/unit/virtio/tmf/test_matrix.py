import pytest

from lab.virtio.tmf.judge import Verdict
from lab.virtio.tmf.matrix import Backtraces, TmfResult, verdict_of
from lab.virtio.tmf.observation import Observation
from lab.virtio.virtio_scsi import Tmf
from tests.unit.virtio.tmf.made_up import case_of, hang, result_of

PASSED = result_of(case_of())
FAILED = result_of(case_of(), hang(case_of()))
UNDECIDED = result_of(case_of(), Observation(trouble="x"))


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        ((), Verdict.PASSED),
        ((PASSED,), Verdict.PASSED),
        ((PASSED, UNDECIDED), Verdict.UNDECIDED),
        ((UNDECIDED, PASSED, FAILED), Verdict.FAILED),
    ],
)
def test_the_worst_case_is_the_verdict(results: tuple[TmfResult, ...], verdict: Verdict) -> None:
    """One failure fails a matrix; what could not be decided counts only where nothing failed."""
    assert verdict_of(results) is verdict


def test_one_backtrace_for_each_function() -> None:
    """They take seconds, and the second looks like the first."""
    backtraces = Backtraces()
    wanted = [backtraces.wanted(case_of(subtype, mapping=mapping)) for subtype in Tmf for mapping in ("none", "2")]
    assert wanted == [True, False] * 8
