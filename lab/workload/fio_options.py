"""Names and values of fio's options: which may be varied, which are refused and why, what a duration means.

Names and units are those of fio's HOWTO ("Parameter types" and "Job parameters").
"""

from __future__ import annotations

import difflib
import re

from lab.errors import InputError

ALIASES = {
    "readwrite": "rw",
    "blocksize": "bs",
    "timeout": "runtime",
    "iodepth_batch": "iodepth_batch_submit",
}
"""Other spellings that fio takes; the lab writes and compares one of them."""

VARIED = frozenset(
    {
        "bs",
        "bssplit",
        "buffer_compress_percentage",
        "cpus_allowed",
        "cpus_allowed_policy",
        "end_fsync",
        "fdatasync",
        "fixedbufs",
        "fsync",
        "hipri",
        "io_size",
        "iodepth",
        "iodepth_batch_complete_max",
        "iodepth_batch_complete_min",
        "iodepth_batch_submit",
        "iodepth_low",
        "ioengine",
        "max_latency",
        "nonvectored",
        "norandommap",
        "numjobs",
        "offset",
        "offset_increment",
        "percentage_random",
        "ramp_time",
        "random_distribution",
        "randrepeat",
        "randseed",
        "rate",
        "rate_iops",
        "refill_buffers",
        "registerfiles",
        "runtime",
        "rw",
        "rwmixread",
        "rwmixwrite",
        "sqthread_poll",
        "startdelay",
        "sync",
        "thinktime",
        "thinktime_blocks",
        "thread",
        "time_based",
        "zero_buffers",
    }
)
"""Options that may be a factor of an experiment or be set by it."""

OWNED = {
    "filename": "the disk of the guest",
    "size": "the whole disk of the guest",
    "write_iops_log": "the trace",
    "log_avg_msec": "the trace",
    "per_job_logs": "the trace",
    "group_reporting": "one result for all workers",
    "exitall_on_error": "an early end where a worker failed",
}
"""Options that the lab sets when the job goes into a guest, with what for; a file may hold them, a factor may not."""

REFUSED = {
    "exec_prerun": "it runs a command",
    "exec_postrun": "it runs a command",
    "include": "the file would not hold the whole job, and the record of a run must",
    "directory": "the lab decides what is read and written: the disk of the guest",
    "opendir": "the lab decides what is read and written: the disk of the guest",
}
"""Options that a job file may not hold, with the reason."""

REFUSED_ENGINES = {
    "exec": "it runs a program",
    "external": "it loads code from a file",
}

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|m|s|ms|msec|us|usec)?", re.IGNORECASE)
_SECONDS = {
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "us": 1e-6,
    "usec": 1e-6,
}


def canonical_name(name: str) -> str:
    """Return the spelling of an option that the lab uses."""
    return ALIASES.get(name, name)


def check_option_name(name: str) -> None:
    """Make sure that an option may be varied.

    :raise InputError: it is refused, set by the lab itself, or not among those the lab varies; the message has the
        nearest one.
    """
    canonical = canonical_name(name)
    if canonical in VARIED:
        return
    if canonical in REFUSED:
        raise InputError(f"fio option '{name}' is refused: {REFUSED[canonical]}")
    if canonical in OWNED:
        raise InputError(f"fio option '{name}' is set by the lab itself, for {OWNED[canonical]}")
    close = difflib.get_close_matches(name, sorted(VARIED | set(ALIASES)), n=1)
    hint = f" (did you mean '{close[0]}'?)" if close else ""
    raise InputError(
        f"'{name}' is not an option of fio that can be varied{hint}",
        remedy=f"options are: {', '.join(sorted(VARIED))}; others can be written into the job file",
    )


def check_engine(engine: str) -> None:
    """Make sure that an ioengine only does I/O.

    :raise InputError: it would run something else.
    """
    reason = REFUSED_ENGINES.get(engine.partition(":")[0].strip())
    if reason is not None:
        raise InputError(f"ioengine={engine} is refused: {reason}")


def seconds_from_fio_time(text: str) -> float:
    """Return the seconds that fio means by ``60``, ``60s``, ``1m`` or ``500ms``: m is a minute, no unit is a second.

    :raise InputError: not a duration of fio.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise InputError(f"'{text}' is not a duration of fio", remedy="write for example 60, 60s, 1m or 500ms")
    return float(match.group(1)) * _SECONDS[(match.group(2) or "s").lower()]
