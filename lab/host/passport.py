"""Readings of a host during a run to its noise passport: what was not ours, and whether the run still counts. Pure.

lab/host/passport_reading.py takes the readings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CpuTicks:
    """Time of one CPU since boot, in nanoseconds, from a line of /proc/stat (proc_stat(5)).

    :param busy_ns: user (guests included), nice, system, irq and softirq.
    :param steal_ns: the hypervisor below gave it to somebody else.
    :param total_ns: all of it, idle included.
    """

    busy_ns: int
    steal_ns: int
    total_ns: int


@dataclass(frozen=True)
class NoiseReading:
    """One moment. What this host does not show is missing or None.

    :param at_s: monotonic clock, seconds.
    :param own_ns: CPU time of this process, children not included.
    :param children_ns: CPU time of its children that have ended and were waited for.
    :param frequencies_mhz: by CPU.
    :param throttled: times that a CPU or package was throttled since boot, by CPU.
    :param interrupts: of devices, since boot, by CPU.
    :param load: runnable processes, averaged over a minute.
    :param temperature_c: of the hottest sensor of the CPUs.
    """

    at_s: float
    cpus: Mapping[int, CpuTicks]
    own_ns: int
    children_ns: int
    frequencies_mhz: Mapping[int, float] = field(default_factory=dict)
    throttled: Mapping[int, int] = field(default_factory=dict)
    interrupts: Mapping[int, int] = field(default_factory=dict)
    load: float | None = None
    temperature_c: float | None = None


@dataclass(frozen=True)
class Limits:
    """From where on noise flags a run, and from where on it makes it void. None is no limit.

    Shares are of CPU time, 0 to 1. A run is made void only for what is certain and large: a rule that drops what looks
    odd would choose the result. The same limits hold for both arms.

    :param foreign: of the whole host.
    :param planned_foreign: of the planned CPUs.
    :param neighbour: of their SMT siblings, which the guest does not use.
    :param frequency: lowest over highest frequency of the planned CPUs.
    """

    steal: float = 0.02
    foreign: float = 0.10
    planned_foreign: float = 0.02
    neighbour: float = 0.05
    frequency: float = 0.90
    void_steal: float | None = None
    void_planned_foreign: float | None = None

    @classmethod
    def for_plan(cls, *, exclusive: bool) -> Limits:
        """Return the limits of a plan: where the guest has CPUs of its own, a quarter of them lost voids a run."""
        return cls(void_planned_foreign=0.25 if exclusive else None)


@dataclass(frozen=True)
class Passport:
    """What happened on the host during a run. Shares are of CPU time, 0 to 1; None is unknown or does not apply.

    :param seconds: between the first reading and the last.
    :param foreign_share: of the whole host, used by neither the lab nor its guest.
    :param planned_foreign_share: of the planned CPUs, not used by the guest; the guest is known only as a whole, so
        this is the least it can have been. None where nothing was planned.
    :param neighbour_share: of the SMT siblings of planned CPUs, by whomever.
    :param frequency_mhz: lowest and highest that was seen on the CPUs the guest was on.
    :param throttled: how often a CPU the guest was on was throttled.
    :param interrupts_per_s: of devices, on the CPUs the guest was on.
    :param load: before the run, averaged over a minute.
    :param temperature_c: the highest seen.
    """

    seconds: float
    steal_share: float
    foreign_share: float
    planned_foreign_share: float | None = None
    neighbour_share: float | None = None
    frequency_mhz: tuple[float, float] | None = None
    throttled: int | None = None
    interrupts_per_s: float | None = None
    load: float | None = None
    temperature_c: float | None = None

    def warnings(self, limits: Limits | None = None) -> tuple[str, ...]:
        """Return a sentence for each limit that was passed: the same for every run, so that a report can count them."""
        limit = limits or Limits()
        found = []
        if self.planned_foreign_share is not None and self.planned_foreign_share > limit.planned_foreign:
            found.append(f"others used more than {_percent(limit.planned_foreign)} of the CPUs planned for the guest")
        if self.foreign_share > limit.foreign and self.planned_foreign_share is None:
            found.append(f"other processes used more than {_percent(limit.foreign)} of this host's CPU time")
        if self.neighbour_share is not None and self.neighbour_share > limit.neighbour:
            found.append(
                f"SMT siblings of the guest's CPUs were busy for more than {_percent(limit.neighbour)} of the time"
            )
        if self.steal_share > limit.steal:
            found.append(f"more than {_percent(limit.steal)} of this host's CPU time was stolen by its hypervisor")
        if self.frequency_mhz is not None and self.frequency_mhz[0] < limit.frequency * self.frequency_mhz[1]:
            found.append(f"frequencies of the guest's CPUs were more than {_percent(1 - limit.frequency)} apart")
        if self.throttled:
            found.append("the guest's CPUs were throttled for heat or power")
        return tuple(found)

    def void_reason(self, limits: Limits | None = None) -> str | None:
        """Return why the run does not count, None where it does."""
        limit = limits or Limits()
        if _beyond(self.planned_foreign_share, limit.void_planned_foreign):
            share = _percent(self.planned_foreign_share or 0.0)
            return f"others used {share} of the CPUs that were planned for the guest"
        if _beyond(self.steal_share, limit.void_steal):
            return f"{_percent(self.steal_share)} of this host's CPU time was stolen by its hypervisor"
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the passport for the facts of a run record; what is unknown is left out."""
        frequency = self.frequency_mhz
        values: dict[str, float | int | None] = {
            "watched_s": round(self.seconds, 3),
            "steal_share": round(self.steal_share, 4),
            "foreign_cpu_share": round(self.foreign_share, 4),
            "planned_foreign_share": _rounded(self.planned_foreign_share, 4),
            "neighbour_share": _rounded(self.neighbour_share, 4),
            "frequency_min_mhz": None if frequency is None else round(frequency[0], 1),
            "frequency_max_mhz": None if frequency is None else round(frequency[1], 1),
            "throttled": self.throttled,
            "interrupts_per_s": _rounded(self.interrupts_per_s, 1),
            "load": self.load,
            "temperature_c": _rounded(self.temperature_c, 1),
        }
        return {name: value for name, value in values.items() if value is not None}


def passport_from_readings(
    readings: Sequence[NoiseReading],
    *,
    planned: frozenset[int] = frozenset(),
    neighbours: frozenset[int] = frozenset(),
) -> Passport:
    """Return what happened between the first reading and the last.

    Those between count for frequency and temperature, which are only true of a moment; where there are any, the first
    and the last are left out of these, because the guest did not run then.

    :param readings: at least two; the last one after QEMU has been waited for, so that its time is known.
    :param planned: the CPUs of the plan; none where nothing was pinned.
    :param neighbours: SMT siblings of planned CPUs.
    :raise ValueError: fewer than two readings.
    """
    if len(readings) < 2:
        raise ValueError("a noise passport takes two readings at least")
    first, last, during = readings[0], readings[-1], readings[1:-1] or readings
    spent = {number: _between(first.cpus[number], ticks) for number, ticks in last.cpus.items() if number in first.cpus}
    children = last.children_ns - first.children_ns
    ours = children + last.own_ns - first.own_ns
    host = _sum(spent.values())
    watched = planned or frozenset(spent)
    on_plan = _sum(ticks for number, ticks in spent.items() if number in planned)
    beside = _sum(ticks for number, ticks in spent.items() if number in neighbours)
    frequencies = [mhz for one in during for number, mhz in one.frequencies_mhz.items() if number in watched]
    temperatures = [one.temperature_c for one in during if one.temperature_c is not None]
    seconds = last.at_s - first.at_s
    interrupts = _growth(first.interrupts, last.interrupts, watched)
    return Passport(
        seconds=seconds,
        steal_share=_share(host.steal_ns, host.total_ns),
        foreign_share=_share(host.busy_ns - ours, host.total_ns),
        planned_foreign_share=_share(on_plan.busy_ns - children, on_plan.total_ns) if planned else None,
        neighbour_share=_share(beside.busy_ns, beside.total_ns) if neighbours else None,
        frequency_mhz=(min(frequencies), max(frequencies)) if frequencies else None,
        throttled=_growth(first.throttled, last.throttled, watched),
        interrupts_per_s=None if interrupts is None or seconds <= 0 else interrupts / seconds,
        load=first.load,
        temperature_c=max(temperatures) if temperatures else None,
    )


def _between(before: CpuTicks, after: CpuTicks) -> CpuTicks:
    """Return the time that passed; counters of a CPU that was offline meanwhile may run backwards."""
    return CpuTicks(
        max(0, after.busy_ns - before.busy_ns),
        max(0, after.steal_ns - before.steal_ns),
        max(0, after.total_ns - before.total_ns),
    )


def _sum(times: Iterable[CpuTicks]) -> CpuTicks:
    busy = steal = total = 0
    for ticks in times:
        busy, steal, total = busy + ticks.busy_ns, steal + ticks.steal_ns, total + ticks.total_ns
    return CpuTicks(busy, steal, total)


def _share(part: int, whole: int) -> float:
    return min(1.0, max(0, part) / whole) if whole > 0 else 0.0


def _growth(before: Mapping[int, int], after: Mapping[int, int], cpus: frozenset[int]) -> int | None:
    """Return by how much the counters of these CPUs grew, None where there are none."""
    both = cpus & before.keys() & after.keys()
    return sum(max(0, after[number] - before[number]) for number in both) if both else None


def _beyond(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
