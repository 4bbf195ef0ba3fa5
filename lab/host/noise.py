"""Two readings of the host's CPU time to how much of it went to somebody else while a run was on."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

FOREIGN_LIMIT = 0.10
"""Share of the host's CPU time that others may use before a run is flagged."""
STEAL_LIMIT = 0.02
"""Share of stolen time before a run is flagged: above it the host itself is a guest that does not get its CPUs."""


@dataclass(frozen=True)
class CpuTimes:
    """CPU time of the whole host since boot, in nanoseconds, and of this process with its finished children."""

    busy_ns: int
    steal_ns: int
    total_ns: int
    own_ns: int


@dataclass(frozen=True)
class HostNoise:
    """What was not ours during a run, as shares of all CPU time of the host (0 to 1)."""

    foreign_share: float
    steal_share: float

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each limit that was passed: the same for every run, so that a report can count them."""
        found = []
        if self.foreign_share > FOREIGN_LIMIT:
            found.append(f"other processes used more than {100 * FOREIGN_LIMIT:.0f} % of this host's CPU time")
        if self.steal_share > STEAL_LIMIT:
            found.append(f"more than {100 * STEAL_LIMIT:.0f} % of this host's CPU time was stolen by its hypervisor")
        return tuple(found)


def read_cpu_times() -> CpuTimes:
    """Read the host's and our own CPU times (``/proc/stat``, user time includes guest time)."""
    host = psutil.cpu_times()
    own = psutil.Process().cpu_times()
    busy = host.user + host.nice + host.system + host.irq + host.softirq
    total = busy + host.idle + host.iowait + host.steal
    mine = own.user + own.system + own.children_user + own.children_system
    return CpuTimes(_ns(busy), _ns(host.steal), _ns(total), _ns(mine))


def noise_between(before: CpuTimes, after: CpuTimes) -> HostNoise:
    """Return the share of others between two readings.

    The second reading is taken after QEMU has been waited for, so that its time counts as ours.
    """
    total = after.total_ns - before.total_ns
    if total <= 0:
        return HostNoise(0.0, 0.0)
    own = after.own_ns - before.own_ns
    foreign = max(0, after.busy_ns - before.busy_ns - own)
    return HostNoise(foreign / total, (after.steal_ns - before.steal_ns) / total)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
