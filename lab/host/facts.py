"""/proc and /sys to the facts of this host that belong beside every number measured on it.

Nothing here raises for a file that is missing: a fact that cannot be read is None, and ``unknown`` says why.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from lab.host.distribution import read_distribution

T = TypeVar("T")

_CPU = Path("sys/devices/system/cpu")
_LARGEST_CPU = 1 << 16
"""Far above what Linux can have (CONFIG_NR_CPUS, 8192 on x86); a larger number is damage and would fill the memory."""

_HOST_ID_SALT = b"qemu-patch-lab host "


@dataclass(frozen=True)
class NumaNode:
    """A NUMA node with its online CPUs and its memory."""

    id: int
    cpus: tuple[int, ...]
    memory_mib: int


@dataclass(frozen=True)
class HostFacts:
    """What this host is.

    :param host_id: 16 hex digits made from machine-id, which itself must not be shown (machine-id(5)).
    :param cpus: online CPUs.
    :param usable_cpus: how many of them this process may use, and for how much of the time (affinity, cgroup quota).
    :param turbo: the CPUs may run above their nominal frequency.
    :param load: runnable processes, averaged over 1, 5 and 15 minutes.
    :param hypervisor: the host is itself a virtual machine.
    :param transparent_hugepages: ``always``, ``madvise`` or ``never``.
    :param unknown: (fact, reason) for each that is None.
    """

    host_id: str | None
    cpu_model: str | None
    cpus: tuple[int, ...] | None
    usable_cpus: float | None
    physical_cores: int | None
    smt_active: bool | None
    numa_nodes: tuple[NumaNode, ...] | None
    memory_mib: int | None
    memory_available_mib: int | None
    kernel_release: str | None
    distribution: str
    governors: tuple[str, ...] | None
    turbo: bool | None
    load: tuple[float, float, float] | None
    hypervisor: bool | None
    clock_source: str | None
    transparent_hugepages: str | None
    unknown: tuple[tuple[str, str], ...] = ()

    def why_unknown(self, fact: str) -> str:
        """Return why a fact is None."""
        return dict(self.unknown).get(fact, "not read")

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON has them, with the fingerprint."""
        return {"fingerprint": fingerprint(self), **asdict(self), "unknown": dict(self.unknown)}


def host_facts(root: Path = Path("/")) -> HostFacts:
    """Read the facts below ``root``."""
    unknown: list[tuple[str, str]] = []

    def known(fact: str, read: Callable[[Path], T]) -> T | None:
        try:
            return read(root)
        except OSError as err:
            where = f"/{Path(err.filename).relative_to(root)}" if err.filename else "the file"
            unknown.append((fact, f"{where}: {err.strerror}"))
        except ValueError as err:
            unknown.append((fact, str(err)))
        return None

    return HostFacts(
        host_id=known("host_id", _host_id),
        cpu_model=known("cpu_model", _cpu_model),
        cpus=known("cpus", _online_cpus),
        usable_cpus=known("usable_cpus", _usable_cpus),
        physical_cores=known("physical_cores", _physical_cores),
        smt_active=known("smt_active", _smt_active),
        numa_nodes=known("numa_nodes", _numa_nodes),
        memory_mib=known("memory_mib", lambda tree: _meminfo_mib(tree / "proc/meminfo", "MemTotal")),
        memory_available_mib=known(
            "memory_available_mib", lambda tree: _meminfo_mib(tree / "proc/meminfo", "MemAvailable")
        ),
        kernel_release=known("kernel_release", lambda tree: _line(tree / "proc/sys/kernel/osrelease")),
        distribution=read_distribution(root).name,
        governors=known("governors", _governors),
        turbo=known("turbo", _turbo),
        load=known("load", _load),
        hypervisor=known("hypervisor", _hypervisor),
        clock_source=known(
            "clock_source", lambda tree: _line(tree / "sys/devices/system/clocksource/clocksource0/current_clocksource")
        ),
        transparent_hugepages=known("transparent_hugepages", _transparent_hugepages),
        unknown=tuple(unknown),
    )


def fingerprint(facts: HostFacts) -> str:
    """Return 16 hex digits over what must be equal for runs to be pooled.

    Memory counts in whole GiB: the kernel reserves a little more or less from boot to boot.
    """
    memory_gib = None if facts.memory_mib is None else round(facts.memory_mib / 1024)
    identity = [facts.host_id, facts.cpu_model, facts.cpus, facts.smt_active, memory_gib, facts.kernel_release]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


def cpus_from_list(text: str) -> tuple[int, ...]:
    """Return the CPUs of a kernel list such as ``0-3,8``; an empty list is no CPU.

    :raise ValueError: it is not such a list.
    """
    cpus: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"'{text.strip()}' is not a list of CPUs")
        if int(last or first) > _LARGEST_CPU:
            raise ValueError(f"CPU {last or first} is more than any host has")
        cpus.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(cpus))


def _line(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    if not text:
        raise ValueError(f"{path.name} is empty")
    return text


def _host_id(root: Path) -> str:
    """Hash the machine-id, or the host name where a container or chroot has none."""
    try:
        name = _line(root / "etc/machine-id")
    except (OSError, ValueError):
        name = _line(root / "proc/sys/kernel/hostname")
    return hashlib.sha256(_HOST_ID_SALT + name.encode()).hexdigest()[:16]


def _cpuinfo(root: Path, key: str) -> str:
    text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    found = re.search(rf"^{re.escape(key)}\s*:\s*(.+)$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"/proc/cpuinfo has no '{key}' (not an x86 host?)")
    return found.group(1).strip()


def _cpu_model(root: Path) -> str:
    return _cpuinfo(root, "model name")


def _hypervisor(root: Path) -> bool:
    return "hypervisor" in _cpuinfo(root, "flags").split()


def _online_cpus(root: Path) -> tuple[int, ...]:
    return cpus_from_list(_line(root / _CPU / "online"))


def _usable_cpus(root: Path) -> float:
    status = (root / "proc/self/status").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^Cpus_allowed_list:\s*(\S+)$", status, re.MULTILINE)
    if found is None:
        raise ValueError("/proc/self/status has no Cpus_allowed_list")
    allowed = len(set(cpus_from_list(found.group(1))) & set(_online_cpus(root)))
    return min(float(allowed), _cgroup_quota_cpus(root))


def _cgroup_quota_cpus(root: Path) -> float:
    """Return the CPUs' worth of time that cgroup v2 grants, infinity where there is no limit.

    Only this process's own group is asked; inside a container that is the one with the limit.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8")
        path = next(line[3:] for line in groups.splitlines() if line.startswith("0::"))
        quota, period = _line(root / "sys/fs/cgroup" / path.lstrip("/") / "cpu.max").split()
        return float(quota) / float(period)
    except (OSError, StopIteration, ValueError):  # ValueError: "max", which is no limit
        return float("inf")


def _physical_cores(root: Path) -> int:
    """Count the distinct sets of threads that share a core."""
    siblings = {_line(root / _CPU / f"cpu{number}" / "topology/thread_siblings_list") for number in _online_cpus(root)}
    return len(siblings)


def _smt_active(root: Path) -> bool:
    try:
        return _line(root / _CPU / "smt/active") == "1"
    except OSError:
        return _physical_cores(root) < len(_online_cpus(root))


def _numa_nodes(root: Path) -> tuple[NumaNode, ...]:
    folder = root / "sys/devices/system/node"
    nodes = []
    for number in cpus_from_list(_line(folder / "online")):
        node = folder / f"node{number}"
        cpus = cpus_from_list((node / "cpulist").read_text(encoding="utf-8"))
        nodes.append(NumaNode(number, cpus, _meminfo_mib(node / "meminfo", "MemTotal")))
    return tuple(nodes)


def _meminfo_mib(path: Path, key: str) -> int:
    text = path.read_text(encoding="utf-8", errors="replace")
    found = re.search(rf"\b{key}:\s*(\d+) kB", text)
    if found is None:
        raise ValueError(f"{path.name} has no {key}")
    return int(found.group(1)) // 1024


def _governors(root: Path) -> tuple[str, ...]:
    files = sorted((root / _CPU / "cpufreq").glob("policy*/scaling_governor"))
    if not files:
        raise ValueError("this kernel does not scale the CPU's frequency (a virtual machine, or the firmware does it)")
    return tuple(sorted({_line(file) for file in files}))


def _turbo(root: Path) -> bool:
    no_turbo, boost = root / _CPU / "intel_pstate/no_turbo", root / _CPU / "cpufreq/boost"
    if no_turbo.exists():
        return _line(no_turbo) == "0"
    if boost.exists():
        return _line(boost) == "1"
    raise ValueError("this kernel has no switch for it (a virtual machine, or the firmware decides)")


def _load(root: Path) -> tuple[float, float, float]:
    one, five, fifteen = (float(word) for word in _line(root / "proc/loadavg").split()[:3])
    return one, five, fifteen


def _transparent_hugepages(root: Path) -> str:
    text = _line(root / "sys/kernel/mm/transparent_hugepage/enabled")
    found = re.search(r"\[(\w+)\]", text)
    if found is None:
        raise ValueError(f"'{text}' marks no setting of transparent huge pages")
    return found.group(1)
