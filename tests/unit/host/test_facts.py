from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.host.facts import HostFacts, NumaNode, cpus_from_list, fingerprint, host_facts
from tests.unit.host.trees import bare_metal


def facts_with(root: Path, path: str, text: str) -> HostFacts:
    """Return the facts of the bare-metal host with one file changed."""
    bare_metal(root)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
    return host_facts(root)


def test_the_facts_of_a_bare_metal_host(tmp_path: Path) -> None:
    """Everything is read from /proc and /sys below the root, and nothing is unknown."""
    facts = host_facts(bare_metal(tmp_path))
    assert facts.unknown == ()
    assert (facts.cpu_model, facts.cpus, facts.usable_cpus) == ("Xeon E5-2690 v4", tuple(range(8)), 8.0)
    assert (facts.physical_cores, facts.smt_active) == (4, True)
    assert facts.numa_nodes == (NumaNode(0, (0, 1, 4, 5), 32143), NumaNode(1, (2, 3, 6, 7), 32143))
    assert (facts.memory_mib, facts.memory_available_mib) == (64287, 58593)
    assert (facts.kernel_release, facts.distribution) == ("6.1.0-40-amd64", "Debian GNU/Linux 12 (bookworm)")
    assert (facts.governors, facts.turbo, facts.load) == (("powersave",), True, (0.25, 0.5, 0.75))
    assert (facts.hypervisor, facts.clock_source, facts.transparent_hugepages) == (False, "tsc", "madvise")


def test_an_empty_root_is_a_host_that_says_nothing(tmp_path: Path) -> None:
    """Each fact that cannot be read is None with a reason that names the file, and there is no crash."""
    facts = host_facts(tmp_path)
    named = dict(facts.unknown)
    assert (
        named.keys() == {name for name, value in vars(facts).items() if value is None}
        and facts.why_unknown("load") == "/proc/loadavg: No such file or directory"
    )
    assert facts.distribution == "unknown distribution"
    assert fingerprint(facts) == fingerprint(facts)
    assert facts.why_unknown("colour") == "not read"


@pytest.mark.parametrize(
    ("path", "text", "fact", "reason"),
    [
        ("proc/cpuinfo", "CPU implementer : 0x41\n", "cpu_model", "no 'model name'"),
        ("proc/cpuinfo", "CPU implementer : 0x41\n", "hypervisor", "no 'flags'"),
        ("proc/loadavg", "busy\n", "load", "could not convert"),
        ("proc/loadavg", "\n", "load", "loadavg is empty"),
        ("proc/meminfo", "MemTotal: lots\n", "memory_mib", "meminfo has no MemTotal"),
        ("proc/self/status", "Name: lab\n", "usable_cpus", "no Cpus_allowed_list"),
        ("sys/devices/system/cpu/online", "all\n", "cpus", "'all' is not a list of CPUs"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always never\n", "transparent_hugepages", "marks no setting"),
    ],
)
def test_a_file_that_says_something_else_makes_one_fact_unknown(
    tmp_path: Path, path: str, text: str, fact: str, reason: str
) -> None:
    """A strange file costs its own fact and no other."""
    facts = facts_with(tmp_path, path, text)
    assert getattr(facts, fact) is None
    assert reason in facts.why_unknown(fact)


def test_a_host_without_frequency_scaling_says_so(tmp_path: Path) -> None:
    """No governor is what virtual machines have; the reason says that."""
    bare_metal(tmp_path)
    for file in (tmp_path / "sys/devices/system/cpu/cpufreq").rglob("scaling_governor"):
        file.unlink()
    facts = host_facts(tmp_path)
    assert facts.governors is None and "virtual machine" in facts.why_unknown("governors")


def test_turbo_is_also_found_on_amd(tmp_path: Path) -> None:
    """Without intel_pstate the boost file counts, which means the opposite."""
    bare_metal(tmp_path)
    (tmp_path / "sys/devices/system/cpu/intel_pstate/no_turbo").unlink()
    assert "no switch for it" in host_facts(tmp_path).why_unknown("turbo")
    boost = tmp_path / "sys/devices/system/cpu/cpufreq/boost"
    for text, on in (("1\n", True), ("0\n", False)):
        boost.write_text(text)
        assert host_facts(tmp_path).turbo is on


def test_smt_is_also_found_on_old_kernels(tmp_path: Path) -> None:
    """Without smt/active, fewer cores than CPUs means SMT."""
    bare_metal(tmp_path)
    (tmp_path / "sys/devices/system/cpu/smt/active").unlink()
    assert host_facts(tmp_path).smt_active is True


def test_a_virtual_machine_is_recognised(tmp_path: Path) -> None:
    """The CPU flag that hypervisors set tells."""
    assert facts_with(tmp_path, "proc/cpuinfo", "model name : QEMU\nflags : fpu hypervisor avx\n").hypervisor is True


def test_affinity_limits_what_is_usable(tmp_path: Path) -> None:
    """CPUs that this process may not use do not count, nor do allowed ones that are offline."""
    assert facts_with(tmp_path, "proc/self/status", "Cpus_allowed_list:\t2-3,64-127\n").usable_cpus == 2.0


@pytest.mark.parametrize(("text", "usable"), [("150000 100000\n", 1.5), ("max 100000\n", 8.0), ("odd\n", 8.0)])
def test_a_cgroup_quota_limits_what_is_usable(tmp_path: Path, text: str, usable: float) -> None:
    """A container with a quota of one and a half CPUs has no more, whatever it sees."""
    path = "sys/fs/cgroup/user.slice/session-1.scope/cpu.max"
    assert facts_with(tmp_path, path, text).usable_cpus == usable


def test_cgroup_v1_is_no_limit_that_we_know_of(tmp_path: Path) -> None:
    """Without a v2 group the quota is not looked for."""
    assert facts_with(tmp_path, "proc/self/cgroup", "4:cpu:/docker\n").usable_cpus == 8.0


@pytest.mark.parametrize(
    ("text", "cpus"), [("0-3,8", (0, 1, 2, 3, 8)), ("5", (5,)), ("", ()), ("1,0", (0, 1)), ("0-1\n", (0, 1))]
)
def test_lists_of_cpus(text: str, cpus: tuple[int, ...]) -> None:
    """The kernel's lists of ranges are understood."""
    assert cpus_from_list(text) == cpus


@pytest.mark.parametrize("text", ["a", "1-", "1-b", "-1", "1;2"])
def test_what_is_no_list_of_cpus(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="is not a list of CPUs"):
        cpus_from_list(text)


@pytest.mark.parametrize("text", ["0-99999999999", "99999999999", "5-" + "9" * 5000])
def test_a_list_of_more_cpus_than_there_can_be(text: str) -> None:
    """A damaged or hostile list does not fill the memory."""
    with pytest.raises(ValueError, match=r"more than any host|digits"):
        cpus_from_list(text)


def test_the_same_host_has_the_same_fingerprint(tmp_path: Path) -> None:
    """Load, free memory and tuning change between runs of one host, and a little memory from boot to boot."""
    facts = host_facts(bare_metal(tmp_path))
    later = replace(facts, load=(9.0, 9.0, 9.0), memory_available_mib=1, governors=("performance",), memory_mib=64307)
    assert fingerprint(later) == fingerprint(facts)
    assert len(fingerprint(facts)) == 16 and int(fingerprint(facts), 16) >= 0


@pytest.mark.parametrize(
    "change",
    [
        {"host_id": "other"},
        {"cpu_model": "other"},
        {"cpus": (0, 1)},
        {"smt_active": False},
        {"memory_mib": 16000},
        {"kernel_release": "6.12"},
    ],
)
def test_another_host_has_another_fingerprint(tmp_path: Path, change: dict[str, object]) -> None:
    """What changes the meaning of a number changes the fingerprint."""
    facts = host_facts(bare_metal(tmp_path))
    assert fingerprint(replace(facts, **change)) != fingerprint(facts)  # type: ignore[arg-type]


def test_the_machine_id_is_not_shown(tmp_path: Path) -> None:
    """machine-id(5) asks not to pass it on: only a hash of it is in the facts."""
    text = json.dumps(host_facts(bare_metal(tmp_path)).to_json())
    assert "0123456789abcdef" not in text


@pytest.mark.parametrize("machine_id", [None, ""])
def test_without_a_machine_id_the_host_name_counts(tmp_path: Path, machine_id: str | None) -> None:
    """A chroot has no machine-id, an image one that is empty."""
    bare_metal(tmp_path)
    path = tmp_path / "etc/machine-id"
    path.unlink()
    if machine_id is not None:
        path.write_text(machine_id)
    named = host_facts(tmp_path)
    (tmp_path / "proc/sys/kernel/hostname").write_text("bench2\n")
    assert named.host_id is not None and host_facts(tmp_path).host_id != named.host_id


def test_the_json_form_has_everything(tmp_path: Path) -> None:
    """Every fact is in the JSON form, with the fingerprint and the reasons."""
    (tmp_path / "proc").mkdir()
    facts = host_facts(tmp_path)
    found = json.loads(json.dumps(facts.to_json()))
    assert found.keys() == vars(facts).keys() | {"fingerprint"}
    assert found["fingerprint"] == fingerprint(facts) and "load" in found["unknown"]


def test_this_host_can_be_read() -> None:
    """On the host of the test the facts that every Linux has are there."""
    facts = host_facts()
    assert facts.cpus and facts.memory_mib and facts.kernel_release and facts.usable_cpus
