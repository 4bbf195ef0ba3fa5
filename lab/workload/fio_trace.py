"""fio's IOPS log to the IOPS of each second of a run. Diagnostics: seconds of one boot are never observations.

fio writes a line per worker and interval (HOWTO, "Log File Formats")::

    time (ms), value, data direction, block size, offset[, priority]

With ``per_job_logs=0`` the workers' lines follow one another in one file, without a name.
"""

from __future__ import annotations

from collections import defaultdict

from lab.errors import WorkloadError

_FEWEST_FIELDS = 4


def parse_iops_log(text: str, *, interval_ms: int = 1000) -> tuple[float, ...]:
    """Return the IOPS of all workers and directions together, an interval each, in order.

    The intervals begin when fio does, not at a full second, so they are counted from the first line. An interval
    without a line is a standstill: 0. At the end, intervals that some workers did not report any more are left out,
    and so is a line that was cut off.

    :param interval_ms: ``log_avg_msec`` of the job.
    :raise WorkloadError: a line is not one of such a log.
    """
    whole = text[: text.rfind("\n") + 1]
    lines = [_reading(line) for line in whole.splitlines() if line.strip()]
    if not lines:
        return ()
    start_ms = min(time_ms for time_ms, _iops in lines)
    sums: dict[int, float] = defaultdict(float)
    reports: dict[int, int] = defaultdict(int)
    for time_ms, iops in lines:
        interval = round((time_ms - start_ms) / interval_ms)
        sums[interval] += iops
        reports[interval] += 1
    everybody = max(reports.values())
    last = max(interval for interval, count in reports.items() if count == everybody)
    return tuple(sums[interval] for interval in range(last + 1))


def _reading(line: str) -> tuple[int, float]:
    fields = line.split(",")
    try:
        time_ms, iops = int(fields[0]), float(fields[1])
        int(fields[2]), int(fields[3])
    except (ValueError, IndexError):
        raise WorkloadError(f"fio's IOPS log holds a line that is none: {line[:80]!r}") from None
    if time_ms < 0 or not 0 <= iops < float("inf"):
        raise WorkloadError(f"fio's IOPS log holds impossible numbers: {line[:80]!r}")
    return time_ms, iops
