"""One smallest effect for all metrics, or one for each."""

from typing import Any

import pytest

from lab.experiment.smallest_effect import checked_effect


def test_a_fraction_or_a_table() -> None:
    """A number stands for all metrics, a table for those it names."""
    assert checked_effect(0.02) == 0.02
    assert checked_effect({"iops": 0.05, "clat_p99_ns": 0.2}) == {"iops": 0.05, "clat_p99_ns": 0.2}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "not a fraction"),
        (1, "not a fraction"),
        (True, "not a fraction"),
        ("2%", "not a fraction"),
        (float("nan"), "not a fraction"),
        ({"iops": 2}, "not a fraction"),
        ({"iop": 0.1}, "there is no metric 'iop' .did you mean 'iops'"),
    ],
)
def test_what_is_no_effect(value: Any, said: str) -> None:
    """Anything else is a mistake that says what it is."""
    with pytest.raises(ValueError, match=said):
        checked_effect(value)
