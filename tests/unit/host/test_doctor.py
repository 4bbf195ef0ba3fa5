from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.host.accelerator_choice import AcceleratorChoice, Tier
from lab.host.distribution import Distribution
from lab.host.doctor import Diagnosis, Finding, ProbeFailure, diagnose
from lab.host.facts import HostFacts, NumaNode
from lab.host.requirements import OPTIONAL, REQUIREMENTS
from lab.host.surroundings import CacheUse, LabProcess, Surroundings
from tests.unit.host.probes import ON_KVM, ON_TCG

IDEAL = HostFacts(
    host_id="0123456789abcdef",
    cpu_model="Xeon",
    cpus=tuple(range(16)),
    usable_cpus=16.0,
    physical_cores=16,
    smt_active=False,
    numa_nodes=(NumaNode(0, tuple(range(16)), 65536),),
    memory_mib=65536,
    memory_available_mib=60000,
    kernel_release="6.1.0",
    distribution="Debian GNU/Linux 12 (bookworm)",
    governors=("performance",),
    turbo=False,
    load=(0.1, 0.1, 0.1),
    hypervisor=False,
    clock_source="tsc",
    transparent_hugepages="madvise",
)
AROUND = Surroundings(
    missing=(),
    distribution=Distribution("debian", (), "Debian"),
    is_root=False,
    cache=CacheUse(Path("/cache"), used_mib=700, free_mib=50000),
    processes=(),
)


def finding(name: str, diagnosis: Diagnosis) -> Finding:
    """Return one finding."""
    return next(one for one in diagnosis.findings if one.name == name)


def found(name: str, *, facts: HostFacts = IDEAL, around: Surroundings = AROUND) -> Finding:
    """Return one finding about a host on which KVM works."""
    return finding(name, diagnose(facts, around, ON_KVM))


def test_on_an_ideal_host_there_is_nothing_to_do() -> None:
    """Every finding is fine and none has a remedy."""
    diagnosis = diagnose(IDEAL, AROUND, ON_KVM)
    assert all(one.ok and not one.remedy for one in diagnosis.findings)
    assert diagnosis.can_run
    assert (diagnosis.accelerator, diagnosis.reason) == ("kvm", "KVM booted")
    assert diagnosis.tiers == (Tier.QTEST, Tier.TCG, Tier.KVM)


def test_the_json_form_has_the_keys_of_the_contract() -> None:
    """Scripts rely on these keys; the names of the findings are unlike each other."""
    found_json = diagnose(IDEAL, AROUND, ON_TCG).to_json()
    assert {"accelerator", "reason", "tiers", "findings"} <= found_json.keys()
    assert found_json["accelerator"] == "tcg" and found_json["tiers"] == ["qtest", "tcg"]
    assert all({"name", "ok", "detail", "remedy"} <= one.keys() for one in found_json["findings"])
    names = [one["name"] for one in found_json["findings"]]
    assert len(set(names)) == len(names)


def test_tcg_is_a_note_that_says_what_its_numbers_mean() -> None:
    """The lab runs, and the limit of what it can say is told with the reason."""
    diagnosis = diagnose(IDEAL, AROUND, ON_TCG)
    note = finding("accelerator", diagnosis)
    assert not note.ok and not note.essential and diagnosis.can_run
    assert "KVM does not work here: no output" in note.detail and "compare two builds on this host" in note.detail
    assert "bare metal" in note.remedy


def test_before_the_first_boot_nothing_is_claimed() -> None:
    """Without anything to boot the accelerator is not known, which is no reason not to run."""
    diagnosis = diagnose(IDEAL, AROUND, None)
    assert (diagnosis.accelerator, diagnosis.tiers, diagnosis.can_run) == (None, (), True)
    assert "not probed yet" in diagnosis.reason
    assert "lab doctor --probe" in finding("accelerator", diagnosis).remedy


def test_where_nothing_boots_the_lab_cannot_run() -> None:
    """The failure of the probe is the reason, its remedy the remedy."""
    diagnosis = diagnose(IDEAL, AROUND, ProbeFailure("no accelerator boots", "look at the console"))
    assert (diagnosis.accelerator, diagnosis.reason, diagnosis.can_run) == (None, "no accelerator boots", False)
    assert finding("accelerator", diagnosis).remedy == "look at the console"


def test_missing_packages_keep_the_lab_from_running() -> None:
    """Each is named with its purpose; the remedy is the command."""
    around = replace(AROUND, missing=REQUIREMENTS[:1])
    diagnosis = diagnose(IDEAL, around, ON_KVM)
    packages = finding("packages", diagnosis)
    assert not diagnosis.can_run
    assert packages.detail == "missing: gcc (to compile QEMU)"
    assert packages.remedy == "sudo apt-get update && sudo apt-get install --no-install-recommends gcc"


def test_what_a_single_verb_lacks_keeps_nothing_else_from_running() -> None:
    """It is a note with its remedy."""
    diagnosis = diagnose(IDEAL, replace(AROUND, missing_optional=OPTIONAL), ON_KVM)
    more = finding("more packages", diagnosis)
    assert diagnosis.can_run and not more.ok
    assert more.detail == "missing: Valgrind (to count instructions, for 'lab cost')"
    assert more.remedy == "sudo apt-get update && sudo apt-get install --no-install-recommends valgrind"


def test_where_the_lab_can_install_it_offers_to() -> None:
    """Root on Debian is told of --fix, with what it does."""
    packages = found("packages", around=replace(AROUND, missing=REQUIREMENTS[:1], is_root=True))
    assert packages.remedy.startswith("lab doctor --fix, which runs: apt-get update")


@pytest.mark.parametrize(
    ("usable", "ok", "text"),
    [
        (9.0, True, "want 9"),
        (8.9, False, "scaling beyond 3 IOThreads cannot be judged here"),
        (7.0, False, "scaling beyond 2 IOThreads cannot be judged here"),
        (6.0, False, "IOThread scaling cannot be judged here"),
        (2.0, False, "2 usable; 4 vCPUs, 4 IOThreads and the main loop want 9: IOThread scaling cannot be judged here"),
        (1.5, False, "1.5 usable"),
    ],
)
def test_too_few_cpus_limit_what_can_be_judged(usable: float, ok: bool, text: str) -> None:
    """A vCPU, an IOThread and the main loop each need a CPU; what cannot be judged without is said."""
    cpus = found("cpus", facts=replace(IDEAL, usable_cpus=usable))
    assert cpus.ok is ok and text in cpus.detail and bool(cpus.remedy) is not ok
    assert not cpus.essential


@pytest.mark.parametrize(("mib", "ok", "essential"), [(3072, True, True), (3071, False, False), (1535, False, True)])
def test_memory_for_a_guest_is_essential(mib: int, ok: bool, essential: bool) -> None:
    """Little memory is a note, too little for a guest keeps the lab from running."""
    memory = found("memory", facts=replace(IDEAL, memory_available_mib=mib))
    assert (memory.ok, memory.essential) == (ok, essential)
    assert bool(memory.remedy) is not ok


@pytest.mark.parametrize(("mib", "ok", "essential"), [(5120, True, True), (5119, False, False), (1023, False, True)])
def test_disk_space_is_essential(mib: int, ok: bool, essential: bool) -> None:
    """Little room for sources and builds is a note, none at all keeps the lab from running."""
    disk = found("disk", around=replace(AROUND, cache=CacheUse(Path("/cache"), 0, mib)))
    assert (disk.ok, disk.essential) == (ok, essential)
    assert ok or "LAB_CACHE" in disk.remedy


def test_other_machines_of_the_lab_are_named() -> None:
    """A QEMU that runs disturbs the measurement; it may be another experiment's, or left behind."""
    around = replace(AROUND, processes=(LabProcess(7, 125.0), LabProcess(9, 1.0)))
    other = found("other runs", around=around)
    assert not other.ok and not other.essential
    assert "pid 7 for 2 min 05 s, pid 9 for 1 s" in other.detail and other.remedy.endswith("kill 7 9")


@pytest.mark.parametrize(
    ("name", "change", "detail"),
    [
        ("load", {"load": (4.01, 0.0, 0.0)}, "4.01 processes wanted a CPU"),
        ("hypervisor", {"hypervisor": True}, "itself a virtual machine"),
        ("numa", {"numa_nodes": (NumaNode(0, (0, 1), 1), NumaNode(1, (2,), 1))}, "2 node(s) with 2 CPUs, 1 CPUs"),
        ("clock", {"clock_source": "hpet"}, "hpet"),
        ("governor", {"governors": ("performance", "powersave")}, "performance, powersave"),
        ("turbo", {"turbo": True}, "on"),
        ("smt", {"smt_active": True, "physical_cores": 8}, "on, 8 cores for 16 CPUs"),
        ("huge pages", {"transparent_hugepages": "never"}, "never"),
    ],
)
def test_what_makes_numbers_vary_is_a_note_with_a_remedy(name: str, change: dict[str, object], detail: str) -> None:
    """None of it keeps the lab from running; each says what to do."""
    diagnosis = diagnose(replace(IDEAL, **change), AROUND, ON_KVM)  # type: ignore[arg-type]
    note = finding(name, diagnosis)
    assert not note.ok and note.remedy and detail in note.detail
    assert diagnosis.can_run and sum(not one.ok for one in diagnosis.findings) == 1


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("cpus", "usable_cpus"),
        ("memory", "memory_available_mib"),
        ("load", "load"),
        ("hypervisor", "hypervisor"),
        ("numa", "numa_nodes"),
        ("clock", "clock_source"),
        ("governor", "governors"),
        ("turbo", "turbo"),
        ("smt", "smt_active"),
        ("huge pages", "transparent_hugepages"),
    ],
)
def test_what_is_unknown_is_said_to_be(name: str, fact: str) -> None:
    """A fact that could not be read is nothing to do about, and its reason is shown."""
    facts = replace(IDEAL, **{fact: None}, unknown=((fact, "/sys/x: Permission denied"),))  # type: ignore[arg-type]
    unknown = found(name, facts=facts)
    assert unknown.ok and unknown.detail == "unknown: /sys/x: Permission denied"


def test_the_cache_is_shown() -> None:
    """People who look for the space find it, and how to move it."""
    assert found("cache").detail == "/cache, 700 MiB; LAB_CACHE moves it"


@pytest.mark.parametrize("probed", [ON_KVM, ON_TCG, None, ProbeFailure("x", "y")])
def test_what_is_not_ok_has_a_remedy(probed: AcceleratorChoice | ProbeFailure | None) -> None:
    """No finding leaves the reader alone."""
    facts = replace(IDEAL, usable_cpus=1.0, memory_available_mib=1, load=(99.0, 0.0, 0.0), turbo=True)
    around = replace(AROUND, missing=REQUIREMENTS, cache=CacheUse(Path("/c"), 1, 1), processes=(LabProcess(1, 1.0),))
    assert all(one.ok or one.remedy for one in diagnose(facts, around, probed).findings)
