"""Two readings of the host's CPU time to how much went to somebody else."""

import pytest

from lab.host.noise import CpuTimes, noise_between, read_cpu_times

S = 10**9


def test_what_others_used_is_what_was_busy_and_not_ours() -> None:
    """Of 20 s of CPU time 12 were busy and 9 ours: 3 of 20 went to others, and 1 of 20 was stolen."""
    before = CpuTimes(busy_ns=100 * S, steal_ns=5 * S, total_ns=1000 * S, own_ns=50 * S)
    after = CpuTimes(busy_ns=112 * S, steal_ns=6 * S, total_ns=1020 * S, own_ns=59 * S)
    noise = noise_between(before, after)
    assert (noise.foreign_share, noise.steal_share) == (0.15, 0.05)
    assert noise.warnings() == (
        "other processes used more than 10 % of this host's CPU time",
        "more than 2 % of this host's CPU time was stolen by its hypervisor",
    )


def test_a_quiet_host_gets_no_warning() -> None:
    """Below the limits nothing is said."""
    before = CpuTimes(0, 0, 0, 0)
    assert noise_between(before, CpuTimes(10 * S, 0, 20 * S, 9 * S)).warnings() == ()


@pytest.mark.parametrize("after", [CpuTimes(0, 0, 0, 0), CpuTimes(5 * S, 0, 20 * S, 9 * S)])
def test_coarse_clocks_never_give_a_negative_share(after: CpuTimes) -> None:
    """Ticks of 10 ms and readings at slightly different moments may make ours more than all."""
    assert noise_between(CpuTimes(0, 0, 0, 0), after).foreign_share == 0


def test_the_host_s_times_only_grow() -> None:
    """Two real readings are in order, and ours are part of all."""
    one, other = read_cpu_times(), read_cpu_times()
    assert 0 <= one.total_ns <= other.total_ns
    assert 0 < one.own_ns <= other.own_ns <= other.total_ns
