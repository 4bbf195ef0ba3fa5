"""The host's time stamp counter to its frequency.

QEMU without KVM hands the host's counter to its guests (system/cpu-timers.c, cpu_get_ticks), but not its frequency, so
Linux measures it while it boots: wrong by 11 % and by a factor of 7.7 on busy hosts (seen). The host knows better, and
nobody in user space is told: the kernel prints it into a log that only root may read. So it is measured here, where a
late reading can be thrown away.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import time
from collections.abc import Callable
from functools import cache

from lab.deadline import Deadline

_RDTSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")
"""rdtsc; shl $32, %rdx; or %rdx, %rax; ret: the function ``uint64_t rdtsc(void)`` of x86-64's System V ABI."""
_LONG_S = 0.05
_TRIES = 20
_ROUND_KHZ = 100
"""0.004 % of a usual frequency: measured again, it is the same number, and so is the guest's command line."""

Counter = Callable[[], int]


@cache
def tsc_khz() -> int | None:
    """Return the frequency of the host's time stamp counter in kHz; None where it cannot be measured.

    That is so on other processors than x86-64, and where a process may not make code executable.
    """
    if platform.machine() != "x86_64":
        return None
    try:
        with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
            page.write(_RDTSC)
            anchor = ctypes.c_char.from_buffer(page)
            read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(anchor))
            khz = frequency_khz(read)
            del read, anchor  # the page cannot be closed before
            return khz
    except OSError:
        return None


def frequency_khz(
    counter: Counter,
    *,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    rest: Callable[[], None] | None = None,
) -> int:
    """Return the frequency of a counter in kHz, rounded to 100.

    Of several readings the one during which least time passed is taken, so that being interrupted does no harm.

    :param rest: lets some time pass between the readings.
    """
    first_ns, first = _reading(counter, clock_ns)
    (rest or Deadline(_LONG_S).rest)()
    last_ns, last = _reading(counter, clock_ns)
    khz = (last - first) / (last_ns - first_ns) * 1e6
    return round(khz / _ROUND_KHZ) * _ROUND_KHZ


def _reading(counter: Counter, clock_ns: Callable[[], int]) -> tuple[float, int]:
    """Return the time in the middle of the quickest of some readings, and the reading."""
    best: tuple[int, float, int] | None = None
    for _ in range(_TRIES):
        before_ns, value, after_ns = clock_ns(), counter(), clock_ns()
        if best is None or after_ns - before_ns < best[0]:
            best = (after_ns - before_ns, (before_ns + after_ns) / 2, value)
    assert best is not None
    return best[1], best[2]
