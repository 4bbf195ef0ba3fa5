"""The facts of a host to what the lab can do on it: a finding for each, with its remedy. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from lab.host.accelerator_choice import AcceleratorChoice, Tier
from lab.host.facts import HostFacts
from lab.host.packages import can_install, install_command
from lab.host.requirements import Requirement
from lab.host.surroundings import CacheUse, LabProcess, Surroundings
from lab.units import text_from_seconds

T = TypeVar("T")

VCPUS = 4
"""The guest of the main job."""
IOTHREADS = 4
"""The largest level of the factor of the main job."""
_CPUS_NEEDED = VCPUS + IOTHREADS + 1  # and QEMU's main loop
_MEMORY_ESSENTIAL_MIB, _MEMORY_WANTED_MIB = 1536, 3072  # a guest of 1 GiB; two compilers beside it
_DISK_ESSENTIAL_MIB, _DISK_WANTED_MIB = 1024, 5120  # QEMU's source is 0.4 GiB, a build 0.3 GiB; two of each
_IDLE_LOAD_PER_CPU = 0.25
_GOOD_CLOCKS = frozenset({"tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"})


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    :param ok: nothing to do about it.
    :param remedy: what to do where it is not ok.
    :param essential: the lab cannot run here while it is not ok; otherwise it only makes numbers mean less.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    essential: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """What this host can do.

    :param accelerator: what guests are started with, None where it has not been probed or nothing works.
    :param tiers: those that work, empty where nothing has been probed.
    """

    accelerator: str | None
    reason: str
    tiers: tuple[Tier, ...]
    findings: tuple[Finding, ...]

    @property
    def can_run(self) -> bool:
        """Tell whether everything essential is there."""
        return all(finding.ok for finding in self.findings if finding.essential)

    def to_json(self) -> dict[str, Any]:
        """Return the keys that scripts rely on."""
        return {
            "accelerator": self.accelerator,
            "reason": self.reason,
            "tiers": [str(tier) for tier in self.tiers],
            "findings": [vars(finding) for finding in self.findings],
            "can_run": self.can_run,
        }


@dataclass(frozen=True)
class ProbeFailure:
    """Nothing boots a guest on this host."""

    message: str
    remedy: str


def diagnose(
    facts: HostFacts, surroundings: Surroundings, probed: AcceleratorChoice | ProbeFailure | None
) -> Diagnosis:
    """Judge a host.

    :param probed: None where there is no QEMU or no guest image yet to try it with.
    """
    accelerator = _accelerator(probed)
    findings = (
        _packages(surroundings),
        accelerator,
        _optional_packages(surroundings),
        _cpus(facts),
        _memory(facts),
        _disk(surroundings.cache),
        _processes(surroundings.processes),
        *_steadiness(facts),
        Finding(
            "cache", ok=True, detail=f"{surroundings.cache.path}, {surroundings.cache.used_mib} MiB; LAB_CACHE moves it"
        ),
    )
    if isinstance(probed, AcceleratorChoice):
        return Diagnosis(probed.accelerator, probed.reason, probed.tiers, findings)
    return Diagnosis(None, accelerator.detail, (), findings)


def _packages(surroundings: Surroundings) -> Finding:
    if not surroundings.missing:
        return Finding("packages", ok=True, detail="everything the lab needs is installed", essential=True)
    return _missing("packages", surroundings.missing, surroundings, essential=True)


def _optional_packages(surroundings: Surroundings) -> Finding:
    if not surroundings.missing_optional:
        return Finding("more packages", ok=True, detail="what single verbs need is installed, too")
    return _missing("more packages", surroundings.missing_optional, surroundings, essential=False)


def _missing(name: str, missing: Sequence[Requirement], surroundings: Surroundings, *, essential: bool) -> Finding:
    detail = "missing: " + ", ".join(f"{one.name} (to {one.purpose})" for one in missing)
    remedy = install_command(missing, surroundings.distribution, is_root=surroundings.is_root)
    if can_install(surroundings.distribution, is_root=surroundings.is_root):
        remedy = f"lab doctor --fix, which runs: {remedy}"
    return Finding(name, ok=False, detail=detail, remedy=remedy, essential=essential)


def _accelerator(probed: AcceleratorChoice | ProbeFailure | None) -> Finding:
    match probed:
        case None:
            return Finding(
                "accelerator",
                ok=False,
                detail="not probed yet: only booting a guest proves an accelerator, and none has been booted here",
                remedy="the first 'lab run' probes it, or do it now: lab doctor --probe",
            )
        case ProbeFailure(message, remedy):
            return Finding("accelerator", ok=False, detail=message, remedy=remedy, essential=True)
        case AcceleratorChoice(accelerator="kvm", reason=reason):
            return Finding("accelerator", ok=True, detail=reason, essential=True)
        case _:
            return Finding(
                "accelerator",
                ok=False,
                detail=f"{probed.reason}; numbers of the tier tcg compare two builds on this host, no more",
                remedy="for absolute IOPS and IOThread scaling run on bare metal with /dev/kvm open to this user (group"
                " kvm); after a change on the host: lab doctor --probe",
            )


def _cpus(facts: HostFacts) -> Finding:
    if facts.usable_cpus is None:
        return Finding("cpus", ok=True, detail=f"unknown: {facts.why_unknown('usable_cpus')}")
    usable = facts.usable_cpus
    detail = f"{usable:g} usable; {VCPUS} vCPUs, {IOTHREADS} IOThreads and the main loop want {_CPUS_NEEDED}"
    if usable >= _CPUS_NEEDED:
        return Finding("cpus", ok=True, detail=detail)
    judged = int(usable) - VCPUS - 1
    limit = "IOThread scaling" if judged < 2 else f"scaling beyond {judged} IOThreads"
    return Finding(
        "cpus",
        ok=False,
        detail=f"{detail}: {limit} cannot be judged here",
        remedy="compare the two arms at each number of IOThreads, and measure scaling on a larger host",
    )


def _memory(facts: HostFacts) -> Finding:
    free = facts.memory_available_mib
    if free is None:
        return Finding("memory", ok=True, detail=f"unknown: {facts.why_unknown('memory_available_mib')}")
    detail = f"{free} MiB available of {facts.memory_mib} MiB"
    if free >= _MEMORY_WANTED_MIB:
        return Finding("memory", ok=True, detail=detail, essential=True)
    remedy = f"free some: a build and a guest want {_MEMORY_WANTED_MIB} MiB"
    return Finding("memory", ok=False, detail=detail, remedy=remedy, essential=free < _MEMORY_ESSENTIAL_MIB)


def _disk(cache: CacheUse) -> Finding:
    detail = f"{cache.free_mib} MiB free for the cache"
    if cache.free_mib >= _DISK_WANTED_MIB:
        return Finding("disk", ok=True, detail=detail, essential=True)
    remedy = f"free some ({_DISK_WANTED_MIB} MiB are wanted), or set LAB_CACHE to a folder on a larger disk"
    return Finding("disk", ok=False, detail=detail, remedy=remedy, essential=cache.free_mib < _DISK_ESSENTIAL_MIB)


def _processes(processes: tuple[LabProcess, ...]) -> Finding:
    if not processes:
        return Finding("other runs", ok=True, detail="no QEMU of the lab is running")
    listed = ", ".join(f"pid {one.pid} for {text_from_seconds(one.age_s)}" for one in processes)
    pids = " ".join(str(one.pid) for one in processes)
    return Finding(
        "other runs",
        ok=False,
        detail=f"QEMU of the lab is running: {listed}",
        remedy=f"wait for the other experiment; if there is none, end what it left: kill {pids}",
    )


def _steadiness(facts: HostFacts) -> Iterator[Finding]:
    """Yield what makes numbers of this host vary; none of it keeps the lab from running."""
    judged = partial(_judged, facts)
    yield judged(
        "load",
        facts.load,
        lambda load: load[0] <= _IDLE_LOAD_PER_CPU * len(facts.cpus or (0,)),
        lambda load: f"{load[0]:.2f} processes wanted a CPU over the last minute",
        "stop other work before measuring: it is measured too",
    )
    yield judged(
        "hypervisor",
        facts.hypervisor,
        lambda hypervisor: not hypervisor,
        lambda hypervisor: "this host is itself a virtual machine" if hypervisor else "bare metal",
        "its neighbours disturb every measurement unseen: use bare metal for numbers to publish",
    )
    yield judged(
        "numa",
        facts.numa_nodes,
        lambda nodes: len(nodes) == 1,
        lambda nodes: f"{len(nodes)} node(s) with " + ", ".join(f"{len(node.cpus)} CPUs" for node in nodes),
        "bind QEMU to one node: numactl --cpunodebind=0 --membind=0 lab run ...",
        fact="numa_nodes",
    )
    yield judged(
        "clock",
        facts.clock_source,
        lambda clock: clock in _GOOD_CLOCKS,
        str,
        "reading this clock is slow and costs every request; see dmesg for why tsc was given up",
        fact="clock_source",
    )
    yield from _tuning(facts)


def _tuning(facts: HostFacts) -> Iterator[Finding]:
    """Yield what an administrator can set; the lab does not change it."""
    judged = partial(_judged, facts)
    yield judged(
        "governor",
        facts.governors,
        lambda governors: governors == ("performance",),
        ", ".join,
        "cpupower frequency-set --governor performance",
        fact="governors",
    )
    yield judged(
        "turbo",
        facts.turbo,
        lambda turbo: not turbo,
        lambda turbo: "on" if turbo else "off",
        "the frequency depends on temperature and neighbours; off: echo 1 > "
        "/sys/devices/system/cpu/intel_pstate/no_turbo, or echo 0 > /sys/devices/system/cpu/cpufreq/boost",
    )
    yield judged(
        "smt",
        facts.smt_active,
        lambda active: not active,
        lambda active: f"{'on' if active else 'off'}, {facts.physical_cores} cores for {len(facts.cpus or ())} CPUs",
        "two threads of a core slow each other down; off: echo off > /sys/devices/system/cpu/smt/control",
        fact="smt_active",
    )
    yield judged(
        "huge pages",
        facts.transparent_hugepages,
        lambda setting: setting != "never",
        str,
        "QEMU asks for huge pages: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        fact="transparent_hugepages",
    )


def _judged(
    facts: HostFacts,
    name: str,
    value: T | None,
    is_good: Callable[[T], bool],
    text: Callable[[T], str],
    remedy: str,
    *,
    fact: str = "",
) -> Finding:
    """Return a finding about a fact; about one that could not be read there is nothing to do."""
    if value is None:
        return Finding(name, ok=True, detail=f"unknown: {facts.why_unknown(fact or name)}")
    ok = is_good(value)
    return Finding(name, ok=ok, detail=text(value), remedy="" if ok else remedy)
