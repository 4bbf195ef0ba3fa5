"""A trace of completed requests and the moments of disturbances to how long service was bad. Pure.

A benchmark averages over a second; a disturbance is over in a tenth of one. So the trace has readings every 100 ms, and
each disturbance is held against the second before it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lab.units import LARGEST_VALUE

_Number = TypeVar("_Number", int, float)

INTERVAL_S = 0.1
BEFORE_S = 1.0
"""What a disturbance is compared with: the median of the second before it."""
RECOVERED = 0.95
"""Share of that at which service counts as back."""
_STEADY = 3
"""Readings in a row that must be back: one good reading between bad ones is no recovery."""
_FEWEST_BEFORE = 3
_LONGEST_WAIT_NS = 10**15
_LATEST_MS = 10**15
"""Far beyond any clock: what is larger has no room in a float."""


@dataclass(frozen=True)
class Reading:
    """Requests that completed in one interval.

    :param at_s: end of the interval on the guest's clock, Unix time in seconds.
    :param iops: requests per second.
    """

    at_s: float
    iops: float


@dataclass(frozen=True)
class Mark:
    """A disturbance.

    :param at_s: on the guest's clock, Unix time in seconds.
    """

    name: str
    at_s: float


@dataclass(frozen=True)
class ServiceGap:
    """What a disturbance did to the requests of the guest.

    :param before_iops: median of the second before.
    :param dip_iops: lowest reading until service was back.
    :param standstill_s: longest time without a completion: the least it can have been.
    :param recovery_s: from the disturbance until service was back; None where it was not, before the next one came or
        the trace ended.
    :param watched_s: from the disturbance to the next one or the end of the trace: what ``recovery_s`` is at least
        where it is None.
    :param longest_wait_s: longest time that a request took; None where no log says.
    """

    name: str
    at_s: float
    before_iops: float
    dip_iops: float
    standstill_s: float
    recovery_s: float | None
    watched_s: float = 0.0
    longest_wait_s: float | None = None

    @property
    def standstill_at_most_s(self) -> float:
        """The longest that the time without a completion can have been.

        The trace knows both ends of it to an interval each. And whatever was in flight when it began waited for all of
        it, so it is no longer than the longest wait, which is known to the microsecond.
        """
        by_trace_s = self.standstill_s + 2 * INTERVAL_S
        waited_s = by_trace_s if self.longest_wait_s is None else self.longest_wait_s
        return max(self.standstill_s, min(by_trace_s, waited_s))

    @property
    def depth(self) -> float:
        """The part of the throughput that was lost at the worst moment, 0 to 1."""
        return max(0.0, 1.0 - self.dip_iops / self.before_iops)

    def to_json(self) -> dict[str, Any]:
        """Return the gap as a JSON object."""
        return {
            "event": self.name,
            "at_s": round(self.at_s, 3),
            "before_iops": round(self.before_iops, 1),
            "dip_iops": round(self.dip_iops, 1),
            "depth": round(self.depth, 4),
            "standstill_s": round(self.standstill_s, 3),
            "standstill_at_most_s": round(self.standstill_at_most_s, 6),
            "recovery_s": None if self.recovery_s is None else round(self.recovery_s, 3),
        }


@dataclass(frozen=True)
class Wait:
    """The slowest request of an interval.

    :param at_s: end of the interval on the guest's clock.
    :param longest_s: time that it took.
    """

    at_s: float
    longest_s: float


def gaps_of(trace: Sequence[Reading], marks: Sequence[Mark], waits: Sequence[Wait] = ()) -> tuple[ServiceGap, ...]:
    """Return what each disturbance did; one whose second before has too few readings, or no requests, is left out.

    :param trace: in order of time; an interval in which nothing completed has no reading, or one of 0.
    :param marks: in order of time.
    :param waits: in order of time.
    """
    ends = [*(mark.at_s for mark in marks[1:]), float("inf")]
    found = (_gap(trace, waits, mark, end_s) for mark, end_s in zip(marks, ends, strict=False))
    return tuple(gap for gap in found if gap is not None)


def _gap(trace: Sequence[Reading], waits: Sequence[Wait], mark: Mark, end_s: float) -> ServiceGap | None:
    before = [reading.iops for reading in trace if mark.at_s - BEFORE_S <= reading.at_s <= mark.at_s]
    after = [reading for reading in trace if mark.at_s < reading.at_s <= end_s]
    if len(before) < _FEWEST_BEFORE or not after:
        return None
    usual = statistics.median(before)
    if usual <= 0:
        return None
    back = _first_steady(after, RECOVERED * usual)
    until = len(after) if back is None else back + 1
    bad_until_s = after[until - 1].at_s + INTERVAL_S  # the two logs do not end their intervals at one moment
    waited = [wait.longest_s for wait in waits if mark.at_s < wait.at_s <= bad_until_s]
    return ServiceGap(
        mark.name,
        mark.at_s,
        usual,
        min(reading.iops for reading in after[:until]),
        _standstill_s(mark.at_s, after[:until]),
        None if back is None else max(0.0, after[back].at_s - mark.at_s),
        after[-1].at_s - mark.at_s,
        max(waited, default=None),
    )


def _first_steady(readings: Sequence[Reading], least_iops: float) -> int | None:
    """Return the place of the first reading from which on several in a row are good."""
    good = [reading.iops >= least_iops for reading in readings]
    for place in range(len(good)):
        run = good[place : place + _STEADY]
        if len(run) == _STEADY and all(run):
            return place
    return None


def _standstill_s(start_s: float, readings: Sequence[Reading]) -> float:
    """Return the longest time without a completion.

    A reading says that something completed within its interval, not when, so a gap is known to an interval: what is
    returned is the least it can have been.
    """
    longest, last_s = 0.0, start_s
    for reading in readings:
        if reading.iops > 0:
            longest = max(longest, reading.at_s - INTERVAL_S - last_s)
            last_s = reading.at_s
    return max(longest, readings[-1].at_s - last_s, 0.0)


def trace_from_log(text: str) -> tuple[Reading, ...]:
    """Return the readings of fio's IOPS log that was written with ``log_unix_epoch=1``, all directions together.

    Lines that are none, such as one that was cut off when the guest was, are passed over: the trace is evidence, and
    what is left of it counts.
    """
    sums: dict[int, float] = {}
    for at_ms, iops in _values(text, float, LARGEST_VALUE):
        sums[at_ms] = sums.get(at_ms, 0.0) + iops
    return tuple(Reading(at_ms / 1000, iops) for at_ms, iops in sorted(sums.items()))


def waits_from_log(text: str) -> tuple[Wait, ...]:
    """Return the slowest requests of fio's latency log, written with ``log_max_value=1`` and ``log_unix_epoch=1``.

    Lines that are none are passed over, as those of the trace are.
    """
    longest: dict[int, int] = {}
    for at_ms, wait_ns in _values(text, int, _LONGEST_WAIT_NS):
        longest[at_ms] = max(longest.get(at_ms, 0), wait_ns)
    return tuple(Wait(at_ms / 1000, wait_ns / 1e9) for at_ms, wait_ns in sorted(longest.items()))


def _values(text: str, number: Callable[[str], _Number], below: float) -> Iterator[tuple[int, _Number]]:
    """Yield when, in milliseconds, and what a log of fio holds, passing over what cannot be: too large, or cut off."""
    for line in text.splitlines():
        fields = line.split(",")
        try:
            at_ms, value = int(fields[0]), number(fields[1])
        except (ValueError, IndexError):
            continue
        if 0 <= at_ms < _LATEST_MS and 0 <= value < below:
            yield at_ms, value
