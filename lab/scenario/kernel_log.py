"""What a guest's kernel said on its console to the lines that mean something broke. Pure."""

from __future__ import annotations

import re

_BROKEN = re.compile(
    r"BUG: (?!soft lockup|workqueue lockup)|Oops|general protection|kernel panic|"
    r"I/O error|Buffer I/O|Medium Error|critical \S+ error|rejecting I/O|"
    r"device offlined|Device not ready|task abort|timed out|hung_task|blocked for more than",
    re.IGNORECASE,
)
_STALL = re.compile(r"rcu: INFO: .*stall|soft lockup|workqueue lockup|clocksource: .*unstable", re.IGNORECASE)
"""A guest whose vCPUs do not run for seconds: seen where QEMU gets no CPU time, so it is no finding by itself.

Such a report ends with a "Call Trace:", as one of a bug does; so it is the head of a report that tells.
"""
_WARNING = re.compile(r"WARNING: CPU", re.IGNORECASE)
"""Something that a driver of the guest did not expect, after which it goes on. Seen of Linux 6.1's own virtio_scsi (in
virtscsi_remove, where a disk and its controller are unplugged one after the other), so it is no finding by itself."""
_MOST = 5


def broken_lines(console: str) -> tuple[str, ...]:
    """Return the lines that mean an error of the guest's disks or kernel, the first few.

    :param console: what was said from the beginning of the scenario on.
    """
    return _matching(console, _BROKEN)


def stall_lines(console: str) -> tuple[str, ...]:
    """Return the lines in which the guest says that its vCPUs did not run."""
    return _matching(console, _STALL)


def warning_lines(console: str) -> tuple[str, ...]:
    """Return the lines in which the guest's kernel warns of something and goes on."""
    return _matching(console, _WARNING)


def _matching(console: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    return tuple(line.strip() for line in console.splitlines() if pattern.search(line))[:_MOST]
