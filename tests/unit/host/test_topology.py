"""/proc and /sys to the CPUs that may be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import HostError, InputError
from lab.host.topology import BlockDevice, Cpu, read_block_device, read_topology
from lab.units import text_from_cpus
from tests.unit.host.trees import bare_metal

CPU = "sys/devices/system/cpu"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a host with 8 CPUs on 4 cores, CPU n beside n + 4, two cores on each of two NUMA nodes."""
    return bare_metal(tmp_path)


def _write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(f"{text}\n")


def _usable(root: Path) -> list[int]:
    return [cpu.id for cpu in read_topology(root).cpus]


def test_cores_and_nodes_are_read(root: Path) -> None:
    """Each CPU knows its core, by its first sibling, and its NUMA node."""
    topology = read_topology(root)
    assert topology.cpus[0] == Cpu(0, core=0, node=0) and topology.cpus[6] == Cpu(6, core=2, node=1)
    assert (len(topology.cpus), topology.cores, topology.nodes, topology.withheld) == (8, 4, (0, 1), ())
    assert topology.has_nodes


def test_host_without_numa_and_siblings_is_flat(tmp_path: Path) -> None:
    """A small virtual machine shows neither: one node, and a core per CPU."""
    _write(tmp_path, f"{CPU}/online", "0-1")
    _write(tmp_path, "proc/self/status", "Name: lab")
    topology = read_topology(tmp_path)
    assert topology.cpus == (Cpu(0, 0, 0), Cpu(1, 1, 0)) and not topology.has_nodes


def test_isolated_cpus_count_although_they_are_not_inherited(root: Path) -> None:
    """isolcpus= takes CPUs out of everybody's affinity without forbidding them."""
    _write(root, f"{CPU}/isolated", "2-3,6-7")
    _write(root, "proc/self/status", "Cpus_allowed_list:\t0-1,4-5")
    topology = read_topology(root)
    assert [cpu.id for cpu in topology.cpus if cpu.isolated] == [2, 3, 6, 7]
    assert topology.withheld == ()


def test_affinity_that_somebody_chose_is_kept_to(root: Path) -> None:
    """taskset leaves isolated CPUs out as well as others; then it is a choice."""
    _write(root, f"{CPU}/isolated", "2-3,6-7")
    _write(root, "proc/self/status", "Cpus_allowed_list:\t0,4")
    assert _usable(root) == [0, 4] and read_topology(root).withheld == (1, 2, 3, 5, 6, 7)


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/user.slice", "sys/fs/cgroup/user.slice/cpuset.cpus.effective"),
        ("0::/user.slice/session-1.scope", "sys/fs/cgroup/user.slice/cpuset.cpus.effective"),
        ("3:cpuset:/box", "sys/fs/cgroup/cpuset/box/cpuset.effective_cpus"),
    ],
    ids=["v2", "v2, granted further up", "v1"],
)
def test_cpuset_is_kept_to(root: Path, line: str, file: str) -> None:
    """A cgroup's cpuset withholds CPUs, also where the affinity has not been narrowed yet."""
    _write(root, "proc/self/cgroup", line)
    _write(root, file, "0-3")
    assert _usable(root) == [0, 1, 2, 3]


def test_cgroup_without_a_word_grants_everything(root: Path) -> None:
    """No cgroups, or none with a cpuset, is no limit."""
    (root / "proc/self/cgroup").unlink()
    assert len(_usable(root)) == 8


@pytest.mark.parametrize("break_it", ["online", "status"])
def test_host_that_shows_nothing_is_an_error(root: Path, break_it: str) -> None:
    """Without /sys or /proc there is no topology, and the message says what to do."""
    (root / {"online": f"{CPU}/online", "status": "proc/self/status"}[break_it]).unlink()
    with pytest.raises(HostError, match="CPUs of this host cannot be read") as caught:
        read_topology(root)
    assert caught.value.remedy


def test_process_without_a_cpu_is_an_error(root: Path) -> None:
    """An affinity to CPUs that went offline leaves nothing."""
    _write(root, "proc/self/status", "Cpus_allowed_list:\t12")
    with pytest.raises(HostError, match="none of the CPUs that are online"):
        read_topology(root)


def _disk(root: Path, name: str, below: str) -> Path:
    device = root / "sys/devices" / below / name
    device.mkdir(parents=True)
    link = root / "sys/class/block" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(device)
    return device


def test_disk_is_found_behind_its_controller(root: Path) -> None:
    """The PCI device above a disk has its NUMA node and interrupts; a partition has those of its disk."""
    _disk(root, "nvme0n1p1", "pci0000:00/0000:3b:00.0/nvme/nvme0/nvme0n1")
    _write(root, "sys/devices/pci0000:00/0000:3b:00.0/numa_node", "1")
    for irq in (101, 99):
        _write(root, f"sys/devices/pci0000:00/0000:3b:00.0/msi_irqs/{irq}", "msix")
    assert read_block_device("/dev/nvme0n1p1", root) == BlockDevice("nvme0n1p1", 1, (99, 101))


def test_disk_on_a_plain_interrupt(root: Path) -> None:
    """A controller without MSI has one interrupt, and firmware may not know its node."""
    _disk(root, "sda", "pci0000:00/0000:00:02.0/ata1")
    _write(root, "sys/devices/pci0000:00/0000:00:02.0/numa_node", "-1")
    _write(root, "sys/devices/pci0000:00/0000:00:02.0/irq", "16")
    assert read_block_device("sda", root) == BlockDevice("sda", None, (16,))


@pytest.mark.parametrize("text", ["0", None])
def test_disk_without_an_interrupt(root: Path, text: str | None) -> None:
    """Interrupt 0 means none."""
    _disk(root, "sda", "pci0000:00/0000:00:02.0")
    (root / "sys/devices/pci0000:00/0000:00:02.0/msi_irqs").mkdir()
    if text is not None:
        _write(root, "sys/devices/pci0000:00/0000:00:02.0/irq", text)
    assert read_block_device("sda", root) == BlockDevice("sda", None, ())


def test_virtual_disk_is_nowhere(root: Path) -> None:
    """A loop device or a RAID has no controller of its own."""
    _disk(root, "loop0", "virtual/block")
    assert read_block_device("loop0", root) == BlockDevice("loop0", None, ())


@pytest.mark.parametrize("name", ["sdz", "../../devices", "", "a b"])
def test_name_that_is_no_disk_is_refused(root: Path, name: str) -> None:
    """A name is looked up below /sys/class/block and nowhere else."""
    with pytest.raises(InputError, match="no block device"):
        read_block_device(name, root)


@pytest.mark.parametrize(("cpus", "text"), [((), ""), ((3,), "3"), ((8, 0, 1, 2, 2), "0-2,8")])
def test_cpus_are_written_as_the_kernel_does(cpus: tuple[int, ...], text: str) -> None:
    """Neighbours become a range, in order, each once."""
    assert text_from_cpus(cpus) == text
