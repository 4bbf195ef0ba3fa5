"""Numbers to text and back, and which direction of a metric is better."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lab.errors import InputError


class Better(StrEnum):
    """The direction in which a metric improves."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Metric:
    """A named quantity with a unit and a better direction.

    :param name: key in a run record, with the unit in it where it has a dimension.
    :param unit: as printed, for example ``"ns"``; empty for a pure number.
    :param title: as printed at the head of a column or an axis.
    """

    name: str
    unit: str
    better: Better
    title: str


LARGEST_VALUE = 1e18
"""No metric, reading or level reaches this; ratios, sums and squares of what is smaller have room in a float."""

_SMALLEST_VALUE = 1e-18

COUNTED = "instructions_per_io"
"""The metric that valgrind counts, in runs of its own: under it no time is QEMU's (lab/experiment/counted.py)."""

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("iops", "1/s", Better.HIGHER, "IOPS"),
        Metric("bandwidth_mib_s", "MiB/s", Better.HIGHER, "bandwidth"),
        Metric("clat_mean_ns", "ns", Better.LOWER, "clat mean"),
        Metric("clat_p50_ns", "ns", Better.LOWER, "clat p50"),
        Metric("clat_p99_ns", "ns", Better.LOWER, "clat p99"),
        Metric("clat_p999_ns", "ns", Better.LOWER, "clat p99.9"),
        Metric("cpu_ns_per_io", "ns", Better.LOWER, "QEMU CPU time per I/O"),
        Metric("iothread_cpu_ns_per_io", "ns", Better.LOWER, "IOThread CPU time per I/O"),
        Metric("vcpu_cpu_ns_per_io", "ns", Better.LOWER, "vCPU CPU time per I/O"),
        Metric("main_loop_cpu_ns_per_io", "ns", Better.LOWER, "main loop CPU time per I/O"),
        Metric(COUNTED, "instructions", Better.LOWER, "instructions per I/O"),
        Metric("boot_s", "s", Better.LOWER, "boot time"),
        Metric("service_gap_ms", "ms", Better.LOWER, "service gap"),
        Metric("recovery_ms", "ms", Better.LOWER, "time until service is back"),
        Metric("dip_percent", "%", Better.HIGHER, "lowest throughput, of before"),
        Metric("downtime_ms", "ms", Better.LOWER, "time in which the guest was stopped"),
        Metric("scenario_ms", "ms", Better.LOWER, "time the scenario took"),
        Metric("queue_fairness", "", Better.HIGHER, "fairness across queues"),
    )
}
"""Every metric a run may carry. A name that is not here has no known direction and is never judged.

``service_gap_ms`` is the longest time without a completed request, and with the others below it what a scenario cost
(docs/scenarios.md); ``queue_fairness`` is Jain's index of the requests
per virtqueue, 1 where all are served alike, 1/n where one of n gets everything (Jain, Chiu, Hawe, DEC-TR-301, 1984).
"""


def metric_from_name(name: str) -> Metric:
    """Return the metric called ``name``.

    :raise InputError: no such metric; the message lists those there are.
    """
    try:
        return METRICS[name]
    except KeyError:
        known = ", ".join(sorted(METRICS))
        raise InputError(f"there is no metric '{name}'", remedy=f"metrics are: {known}") from None


_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|min)?\s*$")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds_from_text(text: str) -> float:
    """Return the seconds that ``"90"``, ``"90 s"``, ``"1.5m"`` or ``"2h"`` mean.

    :raise InputError: not a duration.
    """
    match = _DURATION.match(text)
    if match is None:
        raise InputError(f"'{text}' is not a duration", remedy="write for example 90, 90s, 1.5m or 2h")
    return float(match.group(1)) * _SECONDS[match.group(2)]


def text_from_seconds(seconds: float) -> str:
    """Return a duration as people say it: ``0.24 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def text_from_quantity(value: float, unit: str) -> str:
    """Return a value with its unit at three or four significant digits: ``10.2k``, ``1.34 ms``, ``92.1 us``."""
    if unit == "ns":
        for factor, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
            if abs(value) >= 0.9995 * factor:  # what would round to 1000 of a unit is 1 of the next
                return f"{_significant(value / factor, 3)} {name}"
        return f"{value:.0f} ns"
    if unit == "1/s":
        if abs(value) >= 0.99995e6:
            return f"{_significant(value / 1e6, 4)}M"
        return f"{_significant(value / 1e3, 4)}k" if abs(value) >= 9999.5 else f"{value:.0f}"
    if unit == "instructions":
        return f"{value:,.0f}"  # counted, so every digit means something
    return f"{_significant(value, 4)} {unit}".rstrip()


def _significant(value: float, digits: int) -> str:
    """Return a number with so many significant digits; up to 1e9 in full rather than as 1.234e+04."""
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text and abs(value) < 1e9 else text


def is_measurable(value: float) -> bool:
    """Tell whether a value can be a measured one: 0, or of a size that arithmetic has room for."""
    return value == 0 or _SMALLEST_VALUE <= abs(value) < LARGEST_VALUE


def text_from_percent(fraction: float, decimals: int = 1) -> str:
    """Return a signed percentage of a fraction: ``0.031`` gives ``+3.1 %``."""
    return f"{text_from_signed(100 * fraction, decimals)} %"


def text_from_signed(number: float, decimals: int = 1) -> str:
    """Return a number with its sign; an absurdly large one as a power of ten, so that tables fit."""
    if abs(number) >= 1e6:
        return f"{number:+.3g}"
    return f"{round(number, decimals) + 0.0:+.{decimals}f}"  # + 0.0: never "-0.0"


def text_from_cpus(cpus: Iterable[int]) -> str:
    """Return CPUs as the kernel and taskset write them: ``0-3,8``."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
