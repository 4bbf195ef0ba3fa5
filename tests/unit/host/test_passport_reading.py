"""/proc and /sys to one reading, and readings collected over a run."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lab.host.passport import CpuTicks, NoiseReading
from lab.host.passport_reading import NoiseWatch, read_noise

STAT = """cpu  30 0 0 0 0 0 0 0 0 0
cpu0 100 20 30 400 50 6 7 8 90 0
cpu2 1 1 1 1 1 1 1 1 0 0
intr 12345
"""
INTERRUPTS = """           CPU0       CPU2
  9:         10         20   IO-APIC   9-fasteoi   acpi
120:          1          2   PCI-MSI 1-edge   nvme0q0
LOC:      99999      88888   Local timer interrupts
ERR:          5
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a host whose CPU 1 is offline."""
    files = {
        "proc/stat": STAT,
        "proc/interrupts": INTERRUPTS,
        "proc/loadavg": "0.75 0.50 0.25 1/100 4242\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2900123\n",
        "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3\n",
        "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "4\n",
        "sys/class/hwmon/hwmon0/name": "coretemp\n",
        "sys/class/hwmon/hwmon0/temp1_input": "48000\n",
        "sys/class/hwmon/hwmon0/temp2_input": "51000\n",
        "sys/class/hwmon/hwmon1/name": "nvme\n",
        "sys/class/hwmon/hwmon1/temp1_input": "80000\n",
        "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp\n",
        "sys/class/thermal/thermal_zone0/temp": "50000\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_everything_is_read(root: Path) -> None:
    """Times are in nanoseconds, frequencies in MHz, and CPUs keep their numbers where one is offline."""
    reading = read_noise(root, clock=lambda: 12.5)
    tick_ns = 10_000_000
    assert reading.cpus[0] == CpuTicks(163 * tick_ns, 8 * tick_ns, 621 * tick_ns)
    assert sorted(reading.cpus) == [0, 2] and reading.at_s == 12.5
    assert reading.frequencies_mhz == {0: 2900.123}
    assert reading.throttled == {0: 7}
    assert reading.interrupts == {0: 11, 2: 22}
    assert reading.load == 0.75
    assert reading.temperature_c == 51.0


def test_own_time_is_read() -> None:
    """This process has used some CPU time by now."""
    assert read_noise().own_ns > 0


def test_host_that_shows_nothing_gives_an_empty_reading(tmp_path: Path) -> None:
    """What cannot be read is left out; a reading never fails."""
    reading = read_noise(tmp_path)
    assert not reading.cpus and not reading.interrupts and reading.load is None and reading.temperature_c is None


def test_watch_reads_at_both_ends_and_when_told() -> None:
    """The first reading is taken at once, the last for the passport."""
    readings = [
        NoiseReading(float(at), {0: CpuTicks(0, 0, at)}, 0, 0, frequencies_mhz={0: 1000.0 * at}) for at in range(4)
    ]
    waiting = iter(readings)
    watch = NoiseWatch(frozenset({0}), read=lambda: next(waiting))
    watch.sample()
    watch.sample()
    passport = watch.passport()
    assert passport.seconds == 3 and passport.frequency_mhz == (1000.0, 2000.0)
    assert next(waiting, None) is None


def test_watch_samples_while_the_guest_is_under_load() -> None:
    """At least once, however short the load is, and not any more when it has ended."""
    taken: list[float] = []

    def read() -> NoiseReading:
        taken.append(0.0)
        return NoiseReading(float(len(taken)), {0: CpuTicks(0, 0, len(taken))}, 0, 0)

    watch = NoiseWatch(read=read)
    with watch.during(interval_s=0):
        pass
    assert len(taken) >= 2
    ended = len(taken)
    watch.passport()
    assert len(taken) == ended + 1


def test_watch_ends_with_a_load_that_fails() -> None:
    """Its thread is gone when the error goes on."""
    watch = NoiseWatch(read=lambda: NoiseReading(0.0, {}, 0, 0))
    with pytest.raises(ZeroDivisionError), watch.during():
        raise ZeroDivisionError
    assert not [thread for thread in threading.enumerate() if thread.name == "noise"]
