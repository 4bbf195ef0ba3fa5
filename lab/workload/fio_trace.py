"""fio's IOPS log to the IOPS of each second, and to those of each worker. Seconds of one boot are never observations.

fio writes a file per worker and in it a line per interval (HOWTO, "Log File Formats")::

    time (ms), value, data direction, block size, offset[, priority]

Here they are one text, in the order of the workers, an empty line after each.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from lab.errors import WorkloadError
from lab.units import LARGEST_VALUE

TRACE_INTERVAL_MS = 1000
"""``log_avg_msec`` of every job."""
_LATEST_MS = 30 * 86_400_000
"""No job runs for a month; a log that says so would fill the memory with standstills."""


@dataclass(frozen=True)
class _Reading:
    """A line of a log.

    :param worker: counted from 0, as is the interval.
    """

    worker: int
    interval: int
    iops: float


def parse_iops_log(text: str) -> tuple[float, ...]:
    """Return the IOPS of all workers and directions together, an interval each, in order.

    The intervals begin when fio does, not at a full second, so they are counted from the first line. An interval
    without a line is a standstill: 0. The last interval is left out where some workers did not report it any more, and
    so is a line that was cut off.

    :raise WorkloadError: a line is not one of such a log.
    """
    sums: dict[int, float] = defaultdict(float)
    for reading in _readings(text):
        sums[reading.interval] += reading.iops
    return tuple(sums[interval] for interval in range(max(sums, default=-1) + 1))


def iops_by_worker(text: str, workers: int) -> tuple[float, ...]:
    """Return the mean IOPS of each worker over the intervals of :func:`parse_iops_log`.

    :param workers: how many there are, one without a line among them.
    :raise WorkloadError: a line is not one of such a log, or there are more workers in it.
    """
    readings = _readings(text)
    intervals = max((reading.interval for reading in readings), default=0) + 1
    sums = [0.0] * workers
    for reading in readings:
        if reading.worker >= workers:
            raise WorkloadError(f"fio's IOPS log holds more than the {workers} workers there are")
        sums[reading.worker] += reading.iops
    return tuple(total / intervals for total in sums)


def _readings(text: str) -> list[_Reading]:
    """Return the lines, without the last interval where not everybody reported it: they end a moment apart.

    An earlier interval that lacks a worker is one in which that worker stood still.
    """
    lines: list[tuple[int, int, float]] = []
    worker = 0
    for line in text[: text.rfind("\n") + 1].splitlines():
        if line.strip():
            lines.append((worker, *_time_and_iops(line)))
        else:
            worker += 1
    start_ms = min((time_ms for _, time_ms, _ in lines), default=0)
    readings = [
        _Reading(worker, round((time_ms - start_ms) / TRACE_INTERVAL_MS), iops) for worker, time_ms, iops in lines
    ]
    reports = Counter(reading.interval for reading in readings)
    last = max(reports, default=0)
    if reports[last] < max(reports.values(), default=0):
        return [reading for reading in readings if reading.interval < last]
    return readings


def _time_and_iops(line: str) -> tuple[int, float]:
    fields = line.split(",")
    try:
        time_ms, iops = int(fields[0]), float(fields[1])
        int(fields[2]), int(fields[3])
    except (ValueError, IndexError):
        raise WorkloadError(f"fio's IOPS log holds a line that is none: {line[:80]!r}") from None
    if not 0 <= time_ms <= _LATEST_MS or not 0 <= iops < LARGEST_VALUE:
        raise WorkloadError(f"fio's IOPS log holds impossible numbers: {line[:80]!r}")
    return time_ms, iops
