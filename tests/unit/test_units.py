from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import units
from lab.errors import InputError
from lab.units import Better


def test_metric_is_found_by_name() -> None:
    """A metric knows its unit and which direction is better."""
    assert (units.metric_from_name("iops").unit, units.metric_from_name("iops").better) == ("1/s", Better.HIGHER)
    assert units.metric_from_name("clat_p99_ns").better is Better.LOWER


def test_unknown_metric_lists_the_known_ones() -> None:
    """A mistyped metric is refused with the names there are."""
    with pytest.raises(InputError, match="no metric 'ipos'") as caught:
        units.metric_from_name("ipos")
    assert "iops" in caught.value.remedy and "clat_p99_ns" in caught.value.remedy


@pytest.mark.parametrize("metric", units.METRICS.values(), ids=lambda metric: metric.name)
def test_metric_name_ends_in_its_unit(metric: units.Metric) -> None:
    """A metric with a dimension carries its unit in its name, and no two metrics share a title."""
    suffixes = {"ns": ("_ns", "_ns_per_io"), "ms": ("_ms",), "s": ("_s",), "MiB/s": ("_mib_s",), "1/s": ("iops",)}
    assert metric.name.endswith(suffixes.get(metric.unit, ("",)))
    assert [other.title for other in units.METRICS.values()].count(metric.title) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("90 s", 90), ("250ms", 0.25), ("1.5m", 90), ("2 min", 120), ("2h", 7200), (" 0 ", 0)],
)
def test_duration_is_read(text: str, seconds: float) -> None:
    """Durations are read with and without a unit; seconds where none is given."""
    assert units.seconds_from_text(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-3s", "1e3", "3 weeks", "1.s", "inf"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Anything else is refused with examples of what is accepted."""
    with pytest.raises(InputError, match="is not a duration") as caught:
        units.seconds_from_text(text)
    assert "1.5m" in caught.value.remedy


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.244, "0.24 s"),
        (9.96, "10 s"),
        (12.4, "12 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_duration_is_said(seconds: float, text: str) -> None:
    """Durations read as people say them, also where rounding reaches the next unit."""
    assert units.text_from_seconds(seconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "ns", "0 ns"),
        (999.4, "ns", "999 ns"),
        (999.6, "ns", "1 us"),
        (92_100, "ns", "92.1 us"),
        (999_499, "ns", "999 us"),
        (999_500, "ns", "1 ms"),
        (1_340_000, "ns", "1.34 ms"),
        (999_999_999, "ns", "1 s"),
        (2.5e12, "ns", "2500 s"),
        (-92_100, "ns", "-92.1 us"),
        (9_999, "1/s", "9999"),
        (9_999.6, "1/s", "10k"),
        (10_240, "1/s", "10.24k"),
        (189_576, "1/s", "189.6k"),
        (999_949, "1/s", "999.9k"),
        (999_950, "1/s", "1M"),
        (1_234_567, "1/s", "1.235M"),
        (12_345, "MiB/s", "12340 MiB/s"),
        (1.5, "s", "1.5 s"),
        (13_193.5, "instructions", "13,194"),
        (987.4, "instructions", "987"),
    ],
)
def test_quantity_is_said(value: float, unit: str, text: str) -> None:
    """Quantities have three or four significant digits, never an exponent, and the next unit from where they round."""
    assert units.text_from_quantity(value, unit) == text


@given(st.floats(min_value=1, max_value=1e13), st.sampled_from(["ns", "1/s", "s", "MiB/s"]))
def test_quantity_is_near_what_is_said(value: float, unit: str) -> None:
    """What is printed, read back, is within a rounding error of the value."""
    text = units.text_from_quantity(value, unit)
    number, suffix = text.rstrip("kM"), text[-1] if text[-1] in "kM" else ""
    scale = {"k": 1e3, "M": 1e6, "": 1.0}[suffix]
    if unit == "ns":
        number, name = number.split()
        scale = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}[name]
    assert math.isclose(float(number.split()[0]) * scale, value, rel_tol=0.006, abs_tol=0.5)


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.031, "+3.1 %"), (-0.5, "-50.0 %"), (0, "+0.0 %"), (-0.0001, "+0.0 %"), (0.1234, "+12.3 %")],
)
def test_percentage_is_signed(fraction: float, text: str) -> None:
    """A change always has a sign, and nothing is never negative."""
    assert units.text_from_percent(fraction) == text


def test_a_pure_number_has_no_unit_behind_it() -> None:
    """A fairness is printed as a number alone."""
    fairness = units.METRICS["queue_fairness"]
    assert units.text_from_quantity(0.98, fairness.unit) == "0.98"
    assert units.text_from_quantity(12.5, units.METRICS["service_gap_ms"].unit) == "12.5 ms"
