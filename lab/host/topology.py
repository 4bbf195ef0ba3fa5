"""/proc and /sys to the CPUs that a guest's threads may be put on: cores, NUMA nodes, isolation; and where a disk is.

File formats: Documentation/ABI/stable/sysfs-devices-system-cpu and -node, Documentation/admin-guide/cgroup-v2.rst,
Documentation/ABI/testing/sysfs-bus-pci (``msi_irqs``, ``numa_node``) of the Linux kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import HostError, InputError
from lab.host.facts import cpus_from_list

_CPU = Path("sys/devices/system/cpu")
_NODE = Path("sys/devices/system/node")
_BLOCK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9!._-]*")


@dataclass(frozen=True)
class Cpu:
    """An online CPU that this process may use.

    :param core: the lowest CPU number of its core; SMT siblings have it in common.
    :param node: its NUMA node, 0 where the host has none.
    :param isolated: the scheduler puts nothing there by itself (``isolcpus=`` or an isolated cpuset partition).
    """

    id: int
    core: int
    node: int
    isolated: bool = False


@dataclass(frozen=True)
class Topology:
    """The CPUs of a host.

    :param cpus: those that may be used, by number.
    :param withheld: online, but kept from this process by its affinity or its cgroup.
    :param has_nodes: the kernel shows its NUMA nodes; else each CPU counts as on node 0.
    """

    cpus: tuple[Cpu, ...]
    withheld: tuple[int, ...] = ()
    has_nodes: bool = True

    @property
    def nodes(self) -> tuple[int, ...]:
        """The NUMA nodes that have a usable CPU."""
        return tuple(sorted({cpu.node for cpu in self.cpus}))

    @property
    def cores(self) -> int:
        """The number of cores that have a usable CPU."""
        return len({cpu.core for cpu in self.cpus})


@dataclass(frozen=True)
class BlockDevice:
    """Where a block device of the host is attached.

    :param node: NUMA node of its PCI device, None where there is none or the firmware does not say.
    :param irqs: interrupts of that PCI device.
    """

    name: str
    node: int | None
    irqs: tuple[int, ...]


def read_topology(root: Path = Path("/")) -> Topology:
    """Read the CPUs below ``root``.

    :raise HostError: the kernel does not show its CPUs in /sys, or this process may use none of them.
    """
    try:
        online = set(_list(root / _CPU / "online"))
        cores = {number: _core(root, number) for number in online}
        isolated = _isolated(root)
        usable = _usable(root, online, isolated)
    except (OSError, ValueError) as err:
        raise HostError(
            f"the CPUs of this host cannot be read: {err}", remedy="mount sysfs at /sys, or use another host"
        ) from err
    if not usable:
        raise HostError(
            "this process may use none of the CPUs that are online",
            remedy="look at Cpus_allowed_list in /proc/self/status and at the cpuset of its cgroup",
        )
    nodes = _nodes(root)
    cpus = tuple(Cpu(number, cores[number], nodes.get(number, 0), number in isolated) for number in sorted(usable))
    return Topology(cpus, tuple(sorted(online - usable)), has_nodes=bool(nodes))


def read_block_device(name: str, root: Path = Path("/")) -> BlockDevice:
    """Find the PCI device behind a block device.

    :param name: as in /sys/class/block, ``/dev/`` in front of it does no harm; a partition stands for its disk.
    :raise InputError: the host has no such block device.
    """
    name = name.removeprefix("/dev/").replace("/", "!")  # sysfs writes cciss!c0d0 for cciss/c0d0
    link = root / "sys/class/block" / name
    if not _BLOCK_NAME.fullmatch(name) or not link.exists():
        raise InputError(f"this host has no block device '{name}'", remedy="lsblk --nodeps shows those there are")
    devices = (root / "sys/devices").resolve()
    for folder in link.resolve().parents:
        if not folder.is_relative_to(devices):
            break
        if (folder / "msi_irqs").is_dir() or (folder / "numa_node").exists():
            return BlockDevice(name, _device_node(folder), tuple(sorted(_irqs(folder))))
    return BlockDevice(name, None, ())


def cpus_by_core(cpus: Iterable[Cpu]) -> dict[int, list[Cpu]]:
    """Return the CPUs of each core, in the order they came in."""
    cores: dict[int, list[Cpu]] = {}
    for cpu in cpus:
        cores.setdefault(cpu.core, []).append(cpu)
    return cores


def _list(path: Path) -> tuple[int, ...]:
    return cpus_from_list(path.read_text(encoding="utf-8"))


def _core(root: Path, number: int) -> int:
    """Return the lowest CPU of the core; a CPU whose siblings are not shown has a core to itself."""
    try:
        return min(_list(root / _CPU / f"cpu{number}" / "topology/thread_siblings_list"))
    except (FileNotFoundError, ValueError):
        return number


def _isolated(root: Path) -> set[int]:
    try:
        return set(_list(root / _CPU / "isolated"))
    except OSError:
        return set()


def _nodes(root: Path) -> dict[int, int]:
    """Return the node of each CPU; nothing on a kernel without NUMA."""
    nodes: dict[int, int] = {}
    for folder in (root / _NODE).glob("node[0-9]*"):
        nodes.update(dict.fromkeys(_list(folder / "cpulist"), int(folder.name.removeprefix("node"))))
    return nodes


def _usable(root: Path, online: set[int], isolated: set[int]) -> set[int]:
    """Return the CPUs this process may be put on.

    ``isolcpus=`` takes CPUs out of the affinity that every process inherits from init (housekeeping_cpumask() in
    kernel/sched/isolation.c) without forbidding them. So an affinity that lacks exactly these is nobody's choice;
    one that lacks others (taskset) is, and is kept to.
    """
    permitted = online & _cpuset(root, online)
    status = (root / "proc/self/status").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^Cpus_allowed_list:\s*(\S+)$", status, re.MULTILINE)
    affinity = set(cpus_from_list(found.group(1))) & online if found else permitted
    return permitted if affinity == permitted - isolated else permitted & affinity


def _cpuset(root: Path, online: set[int]) -> set[int]:
    """Return the CPUs that the cgroup grants, in version 1 or 2; all of them where it has no word in this."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return online
    granted = online
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if "cpuset" in controllers.split(","):
            granted = granted & _granted(root / "sys/fs/cgroup/cpuset", group, "cpuset.effective_cpus", online)
        elif not controllers:
            granted = granted & _granted(root / "sys/fs/cgroup", group, "cpuset.cpus.effective", online)
    return granted


def _granted(mount: Path, group: str, file: str, online: set[int]) -> set[int]:
    """Read a cpuset, or that of the nearest group above that has one: the controller may not be enabled here."""
    folder = mount / group.lstrip("/")
    for place in (folder, *folder.parents):
        if not place.is_relative_to(mount):
            break
        try:
            return set(_list(place / file))
        except (OSError, ValueError):
            continue
    return online


def _device_node(folder: Path) -> int | None:
    try:
        node = int((folder / "numa_node").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None  # -1: the firmware does not say


def _irqs(folder: Path) -> Iterator[int]:
    """Yield the message-signalled interrupts of a PCI device, or its only one."""
    numbers = [int(file.name) for file in (folder / "msi_irqs").glob("[0-9]*")]
    if numbers:
        yield from numbers
        return
    try:
        number = int((folder / "irq").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if number > 0:
        yield number
