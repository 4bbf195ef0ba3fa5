"""Readings of a host to a noise passport."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.host.passport import CpuTicks, Limits, NoiseReading, Passport, passport_from_readings

S = 1_000_000_000
QUIET = Passport(seconds=10.0, steal_share=0.0, foreign_share=0.0)


def _reading(at_s: float, busy_s: tuple[float, ...], *, children_s: float = 0.0, own_s: float = 0.0) -> NoiseReading:
    """Return a reading of CPUs that have existed for ``at_s`` seconds."""
    cpus = {number: CpuTicks(int(s * S), 0, int(at_s * S)) for number, s in enumerate(busy_s)}
    return NoiseReading(at_s, cpus, int(own_s * S), int(children_s * S))


def test_foreign_time_is_what_is_neither_ours_nor_our_guests() -> None:
    """Of 40 s of CPU time 12 s were busy; 8 s of them were the guest's and 1 s the lab's."""
    first, last = _reading(100, (50, 50, 50, 50)), _reading(110, (56, 54, 52, 50), children_s=8, own_s=1)
    passport = passport_from_readings([first, last])
    assert passport.seconds == 10 and passport.foreign_share == pytest.approx(3 / 40)
    assert passport.planned_foreign_share is None and passport.neighbour_share is None


def test_planned_cpus_are_looked_at_by_themselves() -> None:
    """On the planned CPUs only the guest is at home: the lab's own time there counts as foreign."""
    first, last = _reading(100, (50, 50, 50, 50)), _reading(110, (56, 54, 52, 50), children_s=8, own_s=2)
    passport = passport_from_readings([first, last], planned=frozenset({0, 1}), neighbours=frozenset({2}))
    assert passport.planned_foreign_share == pytest.approx(2 / 20)
    assert passport.neighbour_share == pytest.approx(2 / 10)


def test_steal_is_a_share_of_all_time() -> None:
    """Stolen time is read from the same table."""
    first = replace(_reading(0, (0,)), cpus={0: CpuTicks(0, 0, 0)})
    last = replace(_reading(10, (0,)), cpus={0: CpuTicks(4 * S, 1 * S, 10 * S)})
    assert passport_from_readings([first, last]).steal_share == pytest.approx(0.1)


def test_shares_stay_between_nothing_and_everything() -> None:
    """Ticks are coarser than nanoseconds, a CPU may go offline, and a host may show no table at all."""
    first, last = _reading(100, (50,)), _reading(110, (51,), children_s=3)
    assert passport_from_readings([first, last]).foreign_share == 0
    assert passport_from_readings([last, first]).foreign_share == 0
    empty = NoiseReading(0, {}, 0, 0)
    assert passport_from_readings([empty, empty], planned=frozenset({0})).planned_foreign_share == 0


def test_a_moment_counts_while_the_guest_runs() -> None:
    """Frequency and temperature come from the readings between, of the CPUs the guest was on."""
    ends = replace(_reading(0, (0, 0)), frequencies_mhz={0: 800.0, 1: 800.0}, temperature_c=30.0)
    between = [replace(ends, frequencies_mhz={0: mhz, 1: 1200.0}, temperature_c=mhz / 50) for mhz in (3000.0, 3400.0)]
    passport = passport_from_readings([ends, *between, ends], planned=frozenset({0}))
    assert passport.frequency_mhz == (3000.0, 3400.0) and passport.temperature_c == 68.0
    assert passport_from_readings([ends, ends]).frequency_mhz == (800.0, 800.0)


def test_counters_count_what_was_added() -> None:
    """Throttling and interrupts are counted since boot, by CPU."""
    first = replace(_reading(0, (0, 0)), throttled={0: 5, 1: 7}, interrupts={0: 100, 1: 1000}, load=0.5)
    last = replace(_reading(10, (0, 0)), throttled={0: 8, 1: 9}, interrupts={0: 150, 1: 3000}, load=4.0)
    passport = passport_from_readings([first, last], planned=frozenset({0}))
    assert (passport.throttled, passport.interrupts_per_s, passport.load) == (3, 5.0, 0.5)
    without = passport_from_readings([_reading(0, (0,)), _reading(10, (0,))])
    assert without.throttled is None and without.interrupts_per_s is None
    assert passport_from_readings([first, first]).interrupts_per_s is None


def test_one_reading_is_no_passport() -> None:
    """There is nothing between one reading."""
    with pytest.raises(ValueError, match="two readings"):
        passport_from_readings([_reading(0, (0,))])


@pytest.mark.parametrize(
    ("passport", "warning"),
    [
        (replace(QUIET, foreign_share=0.11), "other processes used more than 10 % of this host's CPU time"),
        (replace(QUIET, steal_share=0.03), "more than 2 % of this host's CPU time was stolen by its hypervisor"),
        (replace(QUIET, planned_foreign_share=0.03), "others used more than 2 % of the CPUs planned for the guest"),
        (
            replace(QUIET, neighbour_share=0.06),
            "SMT siblings of the guest's CPUs were busy for more than 5 % of the time",
        ),
        (replace(QUIET, frequency_mhz=(2000.0, 3000.0)), "frequencies of the guest's CPUs were more than 10 % apart"),
        (replace(QUIET, throttled=2), "the guest's CPUs were throttled for heat or power"),
    ],
)
def test_each_limit_has_a_sentence(passport: Passport, warning: str) -> None:
    """What passes a limit flags the run; it does not make it void."""
    assert passport.warnings() == (warning,)
    assert passport.void_reason() is None


def test_runs_that_passed_a_limit_say_the_same() -> None:
    """A report counts runs by their sentences; how far a limit was passed is a fact beside it."""
    some, more = replace(QUIET, foreign_share=0.11, throttled=1), replace(QUIET, foreign_share=0.91, throttled=77)
    assert some.warnings() == more.warnings() and len(some.warnings()) == 2
    assert some.to_json() != more.to_json()


def test_quiet_host_has_nothing_to_say() -> None:
    """Values at the limits are within them."""
    at_limits = replace(
        QUIET,
        foreign_share=0.10,
        steal_share=0.02,
        planned_foreign_share=0.02,
        neighbour_share=0.05,
        frequency_mhz=(2700.0, 3000.0),
        throttled=0,
    )
    assert at_limits.warnings() == () and QUIET.warnings() == ()


def test_others_on_other_cpus_do_no_harm() -> None:
    """With planned CPUs, what others use elsewhere is no reason for a warning."""
    assert replace(QUIET, foreign_share=0.5, planned_foreign_share=0.01).warnings() == ()


@pytest.mark.parametrize(("exclusive", "void"), [(True, True), (False, False)])
def test_large_loss_of_own_cpus_voids_a_run(exclusive: bool, void: bool) -> None:
    """Only where the guest was promised CPUs of its own does losing a quarter of them make the run void."""
    noisy = replace(QUIET, planned_foreign_share=0.3)
    reason = noisy.void_reason(Limits.for_plan(exclusive=exclusive))
    assert reason == ("others used 30 % of the CPUs that were planned for the guest" if void else None)


def test_limits_can_be_set() -> None:
    """A job may be stricter."""
    noisy = replace(QUIET, steal_share=0.015)
    assert noisy.warnings(Limits(steal=0.01)) and "stolen" in (noisy.void_reason(Limits(void_steal=0.01)) or "")


def test_passport_becomes_facts() -> None:
    """A run record gets plain numbers under fixed names, without those that are unknown."""
    full = replace(
        QUIET, frequency_mhz=(2000.04, 3000.0), temperature_c=61.23, planned_foreign_share=0.123456, load=1.5
    )
    assert full.to_json() == {
        "watched_s": 10.0,
        "steal_share": 0.0,
        "foreign_cpu_share": 0.0,
        "planned_foreign_share": 0.1235,
        "frequency_min_mhz": 2000.0,
        "frequency_max_mhz": 3000.0,
        "load": 1.5,
        "temperature_c": 61.2,
    }
