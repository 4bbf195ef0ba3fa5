"""A job and a host's CPUs to the plan of an experiment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import HostError, InputError
from lab.experiment.cells import checked_cells
from lab.experiment.job_host import HostTable, Pin
from lab.experiment.placement import narrowed_for, plan_for_job, plan_from_table, threads_of_all
from lab.host.cpu_plan import CpuPlan, Sharing, Threads
from lab.host.topology import BlockDevice, Topology
from lab.machine.backend import HostDeviceBackend
from lab.machine.mapping import Device
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, NullBackend, iothread_ids
from tests.unit.experiment.bed import EIGHT
from tests.unit.experiment.made_up import loaded_job
from tests.unit.experiment.test_job import GOOD
from tests.unit.host.trees import bare_metal

FIVE, TWO = Topology(EIGHT.cpus[:5]), Topology(EIGHT.cpus[:2])
GUEST = Threads(2, ("iothread0",))


def _machine(vcpus: int, iothreads: int, backend: Any = None) -> MachineSpec:
    threads = tuple(IOThread(name) for name in iothread_ids(iothreads))
    disk = Disk("disk0", backend or NullBackend())
    return MachineSpec("tcg", vcpus, 1024, threads, (Controller("scsi0", Device.VIRTIO_SCSI, 1, (disk,)),))


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Return 8 CPUs on 4 cores and 2 nodes, with a disk on the second node."""
    root = bare_metal(tmp_path / "host")
    disk = root / "sys/devices/pci0000:00/0000:00:02.0"
    (disk / "nvme/nvme0n1").mkdir(parents=True)
    (disk / "numa_node").write_text("1\n")
    (disk / "msi_irqs").mkdir()
    (disk / "msi_irqs/40").touch()
    (root / "sys/class/block").mkdir(parents=True)
    (root / "sys/class/block/nvme0n1").symlink_to(disk / "nvme/nvme0n1")
    (root / "dev/disk/by-id").mkdir(parents=True)
    (root / "dev/nvme0n1").touch()
    (root / "dev/disk/by-id/fast").symlink_to("../../nvme0n1")
    return root


def _plan(folder: Path, root: Path, table: str = "", pin: Pin | None = None) -> CpuPlan:
    loaded = loaded_job(folder, GOOD.replace("[judge]", f"[host]\n{table}\n[judge]"))
    cells, _ = checked_cells(loaded, loaded.job.profile["quick"])
    return plan_for_job(loaded, cells, pin=pin, root=root)


def test_the_largest_cell_is_planned_for() -> None:
    """Most vCPUs of any machine, and every IOThread that one has."""
    assert threads_of_all([_machine(4, 1), _machine(2, 3)]) == Threads(4, ("iothread0", "iothread1", "iothread2"))


def test_a_smaller_cell_keeps_its_places() -> None:
    """Points differ in what is varied, not in placement."""
    plan = plan_from_table(EIGHT, Threads(4, ("iothread0", "iothread1")), HostTable())
    small = narrowed_for(plan, _machine(2, 1))
    assert small.threads == GUEST and all(small.cpus[name] == plan.cpus[name] for name in small.cpus)


@pytest.mark.parametrize(
    ("topology", "pin", "sharing"),
    [
        (EIGHT, Pin.AUTO, Sharing.NONE),
        (Topology(EIGHT.cpus[:3]), Pin.AUTO, Sharing.MAIN_LOOP),
        (TWO, Pin.AUTO, Sharing.UNPLANNED),
        (TWO, Pin.SHARED, Sharing.VCPUS),
        (Topology(EIGHT.cpus[:1]), Pin.SHARED, Sharing.ALL),
        (EIGHT, Pin.STRICT, Sharing.NONE),
        (EIGHT, Pin.NONE, Sharing.UNPLANNED),
    ],
)
def test_a_word_makes_a_plan(topology: Topology, pin: Pin, sharing: Sharing) -> None:
    """auto pins where each vCPU and IOThread gets a CPU of its own, and nowhere else."""
    assert plan_from_table(topology, GUEST, HostTable(pin=pin)).sharing is sharing


def test_a_main_loop_that_serves_requests_needs_its_own_cpu() -> None:
    """Without IOThreads, auto does not let it share."""
    assert not plan_from_table(Topology(EIGHT.cpus[:2]), Threads(2), HostTable()).is_pinned
    assert plan_from_table(Topology(EIGHT.cpus[:3]), Threads(2), HostTable()).is_pinned


def test_strict_is_refused_on_a_small_host() -> None:
    """An error of the host, not a smaller plan."""
    with pytest.raises(HostError, match="want a CPU each"):
        plan_from_table(Topology(EIGHT.cpus[:3]), GUEST, HostTable(pin=Pin.STRICT))


def test_places_overlap_only_where_that_was_asked_for() -> None:
    """A vCPU and an IOThread on one CPU are the mistake of published results."""
    pins = ("vcpu0=0", "vcpu1=1", "iothread0=1", "main-loop=0")
    with pytest.raises(InputError, match="share CPU"):
        plan_from_table(TWO, GUEST, HostTable(pin=pins))
    assert plan_from_table(TWO, GUEST, HostTable(pin=pins, overlap=True)).sharing is Sharing.PINNED


def test_a_job_is_planned_for_this_host(tmp_path: Path, host: Path) -> None:
    """Five CPUs for vCPUs and IOThreads of the good job, and a sixth for the main loop, out of eight."""
    plan = _plan(tmp_path, host)
    assert plan.threads == Threads(4, ("iothread0", "iothread1")) and plan.sharing is Sharing.NONE


def test_the_command_line_overrides_the_job(tmp_path: Path, host: Path) -> None:
    """Its places, too; the device stays."""
    table = 'pin = ["vcpu0=0"]\ndevice = "nvme0n1"'
    assert not _plan(tmp_path, host, table, Pin.NONE).is_pinned
    plan = _plan(tmp_path, host, table, Pin.AUTO)
    assert plan.device == BlockDevice("nvme0n1", 1, (40,)) and plan.irq_cpus


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('device = "sdq"', "host: this host has no block device 'sdq'"),
        ('pin = ["vcpu0=99"]', "host: 'vcpu0=99' asks for a CPU that may not be used here"),
        ('pin = ["vcpu0=1"]', "host: 'vcpu1' has no CPU"),
    ],
)
def test_what_this_host_does_not_have_names_the_job(tmp_path: Path, host: Path, table: str, why: str) -> None:
    """The user has to find it in the file."""
    with pytest.raises(InputError) as caught:
        _plan(tmp_path, host, table)
    assert caught.value.message == f"{tmp_path / 'job.toml'}: {why}"


def test_a_block_device_of_a_machine_need_not_be_named_again(
    tmp_path: Path, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan knows its node and interrupts, whatever link leads to it."""
    machine = _machine(2, 1, HostDeviceBackend(Path("/dev/disk/by-id/fast")))
    monkeypatch.setattr("lab.experiment.placement.machine_from_cell", lambda *_: machine)
    loaded = loaded_job(tmp_path)
    plan = plan_for_job(loaded, cast("Any", [None]), root=host)
    assert plan.device == BlockDevice("nvme0n1", 1, (40,)) and plan.nodes == (1,)
    assert replace(plan, device=None).irq_cpus != frozenset()
