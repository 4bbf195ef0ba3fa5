"""/proc and /sys to one reading of the host's noise, and a watch that collects them over a run.

Formats: proc_stat(5), Documentation/filesystems/proc.rst (``interrupts``), ABI/testing/sysfs-devices-system-cpu
(``thermal_throttle``), Documentation/hwmon/sysfs-interface.rst of the Linux kernel.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.host.passport import CpuTicks, NoiseReading, Passport, passport_from_readings

_CPU = Path("sys/devices/system/cpu")
_INTERVAL_S = 2.0
"""A reading takes 13 ms of CPU time for 128 CPUs and 300 interrupts (files of that size): under 1 % of one CPU."""
_HWMON_OF_CPUS = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal"})
_ZONES_OF_CPUS = frozenset({"x86_pkg_temp", "cpu-thermal", "cpu_thermal"})


def read_noise(root: Path = Path("/"), *, clock: Callable[[], float] = time.monotonic) -> NoiseReading:
    """Take a reading below ``root``; CPU time of our own comes from this process. What cannot be read is left out."""
    cpus = _cpu_ticks(_text(root / "proc/stat"), os.sysconf("SC_CLK_TCK"))
    return NoiseReading(
        at_s=clock(),
        cpus=cpus,
        own_ns=_spent_ns(resource.RUSAGE_SELF),
        children_ns=_spent_ns(resource.RUSAGE_CHILDREN),
        frequencies_mhz={
            number: khz / 1000
            for number in cpus
            if (khz := _number(root / _CPU / f"cpu{number}/cpufreq/scaling_cur_freq")) is not None
        },
        throttled={number: count for number in cpus if (count := _throttled(root, number)) is not None},
        interrupts=_device_interrupts(_text(root / "proc/interrupts")),
        load=next((float(word) for word in _text(root / "proc/loadavg").split()[:1]), None),
        temperature_c=max(_temperatures_c(root), default=None),
    )


class NoiseWatch:
    """Watches the host from the moment it is made.

    :param planned: CPUs of the plan (``plan.planned``); none where nothing is pinned.
    :param neighbours: ``plan.neighbours``.
    :param read: takes a reading.
    """

    def __init__(
        self,
        planned: frozenset[int] = frozenset(),
        neighbours: frozenset[int] = frozenset(),
        *,
        read: Callable[[], NoiseReading] = read_noise,
    ) -> None:
        self._planned, self._neighbours, self._read = planned, neighbours, read
        self._readings = [read()]

    def sample(self) -> None:
        """Take a reading while the guest is under load: frequency and temperature come from these."""
        self._readings.append(self._read())

    @contextmanager
    def during(self, *, interval_s: float = _INTERVAL_S) -> Iterator[None]:
        """Sample in a thread while the block, which loads the guest, is under way; at least once."""
        done = threading.Event()

        def sample() -> None:
            self.sample()
            while not done.wait(interval_s):
                self.sample()

        sampler = threading.Thread(target=sample, name="noise", daemon=True)
        sampler.start()
        try:
            yield
        finally:
            done.set()
            sampler.join()

    def passport(self) -> Passport:
        """Take the last reading, after QEMU has been waited for, and sum up."""
        readings = [*self._readings, self._read()]
        return passport_from_readings(readings, planned=self._planned, neighbours=self._neighbours)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None


def _spent_ns(who: int) -> int:
    """Return CPU time, getrusage(2); children count when they have been waited for."""
    usage = resource.getrusage(who)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


def _cpu_ticks(text: str, ticks_per_s: int) -> dict[int, CpuTicks]:
    """Read the lines ``cpuN user nice system idle iowait irq softirq steal ...``; user includes guests."""
    cpus = {}
    for line in text.splitlines():
        name, *words = line.split() or [""]
        number = name.removeprefix("cpu")
        if not name.startswith("cpu") or not number.isdigit() or len(words) < 8:
            continue
        user, nice, system, idle, iowait, irq, softirq, steal = (
            int(word) * 1_000_000_000 // ticks_per_s for word in words[:8]
        )
        busy = user + nice + system + irq + softirq
        cpus[int(number)] = CpuTicks(busy, steal, busy + idle + iowait + steal)
    return cpus


def _throttled(root: Path, number: int) -> int | None:
    folder = root / _CPU / f"cpu{number}/thermal_throttle"
    counts = [_number(folder / f"{what}_throttle_count") for what in ("core", "package")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _device_interrupts(text: str) -> dict[int, int]:
    """Sum the numbered lines, which are devices: timers and calls between CPUs have names, and come of our own work.

    The head of the table names the CPUs that are online, which need not be 0 to N.
    """
    head, _, body = text.partition("\n")
    cpus = [int(word.removeprefix("CPU")) for word in head.split() if word.removeprefix("CPU").isdigit()]
    sums = dict.fromkeys(cpus, 0)
    for line in body.splitlines():
        name, _, rest = line.partition(":")
        if name.strip().isdigit():
            for cpu, word in zip(cpus, rest.split(), strict=False):
                sums[cpu] += int(word) if word.isdigit() else 0
    return sums


def _temperatures_c(root: Path) -> Iterator[float]:
    """Yield what the sensors of the CPUs say; the kernel counts in thousandths of a degree."""
    for kind, key, pattern in ((_HWMON_OF_CPUS, "name", "temp*_input"), (_ZONES_OF_CPUS, "type", "temp")):
        folder = root / "sys/class" / ("hwmon" if key == "name" else "thermal")
        for device in folder.glob("*"):
            if _text(device / key).strip() in kind:
                values = (_number(file) for file in device.glob(pattern))
                yield from (value / 1000 for value in values if value is not None)
