"""A load without a guest on a real QEMU: it is served by whom it should be, all of it comes back, and cost is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.build.arms import Arms
from lab.build.build import Build
from lab.errors import WorkloadError
from lab.machine.mapping import Device, IOThreadMapping, MappingItem
from lab.machine.spec import Controller, Disk, MachineSpec, NullBackend, iothread_ids
from lab.machine.spec import IOThread as IOThreadObject
from lab.virtio.load.machine import load_machine
from lab.virtio.load.measure import Load, Span, put_under_load
from lab.virtio.load.workload import Workload, workload_from_fio

SPAN = Span(ramp_s=0.1, runtime_s=0.5)


def machine(iothreads: int, *, disks: int = 1, backend: NullBackend | None = None) -> MachineSpec:
    """Return a controller of two queues that go round robin over the IOThreads."""
    ids = iothread_ids(iothreads)
    units = tuple(Disk(f"disk{number}", backend or NullBackend()) for number in range(disks))
    mapping = IOThreadMapping(tuple(MappingItem(name) for name in ids)) if ids else None
    controller = Controller("scsi0", Device.VIRTIO_SCSI, 2, units, mapping=mapping)
    return MachineSpec("qtest", 1, 256, tuple(IOThreadObject(name) for name in ids), (controller,))


def workload(rw: str = "randread", iodepth: int = 32, numjobs: int = 2) -> Workload:
    """Return what two workers ask for."""
    return workload_from_fio(rw=rw, bs="4k", iodepth=iodepth, numjobs=numjobs, num_queues=2)


def loaded(build: Build, spec: MachineSpec, wanted: Workload, evidence: Path) -> Load:
    """Put a machine under load for half a second."""
    evidence.mkdir(exist_ok=True)
    with load_machine(build.qemu, spec, wanted, evidence) as started:
        result = put_under_load(started, wanted, SPAN, seed=1, evidence=evidence)
        counted = started.monitor.execute("query-blockstats")
    operations = sum(disk["stats"]["rd_operations"] + disk["stats"]["wr_operations"] for disk in counted)
    # What the lab reads to see that a disk answers is counted, too; a rejected try is not.
    assert operations == result.completed + len(spec.disks)
    return result


def test_the_iothreads_of_the_mapping_do_the_work(qemu_binary: Build, tmp_path: Path) -> None:
    """Two queues on two IOThreads: each is paid for by its own, and the main loop has little to do with it."""
    result = loaded(qemu_binary, machine(2), workload(), tmp_path)
    cost = result.metrics(4096)
    assert result.cost.requests > 1000
    assert 200 < cost["cpu_ns_per_io"] < 30_000
    spent = result.cost.cpu.by_name_ns
    for queue, count in result.by_queue.items():
        assert 200 < spent[f"iothread{queue}"] / count < 30_000
    assert cost["iothread_cpu_ns_per_io"] > cost["main_loop_cpu_ns_per_io"]


def test_a_queue_without_a_load_leaves_its_iothread_idle(qemu_binary: Build, tmp_path: Path) -> None:
    """One worker fills queue 0, which is iothread0's, with writes to both disks in turn."""
    result = loaded(qemu_binary, machine(2, disks=2), workload("write", numjobs=1), tmp_path)
    spent = result.cost.cpu.by_name_ns
    assert list(result.by_queue) == [0]
    assert spent["iothread1"] < 0.05 * spent["iothread0"]


def test_a_planted_cost_is_seen(arms: Arms, tmp_path: Path) -> None:
    """The demonstration spends 50 us of CPU time in each command; without IOThreads it is the main loop that does."""
    costs = {}
    for name, build in (("baseline", arms.baseline), ("candidate", arms.candidate)):
        costs[name] = loaded(build, machine(0), workload(), tmp_path / name).metrics(4096)
    added_ns = costs["candidate"]["main_loop_cpu_ns_per_io"] - costs["baseline"]["main_loop_cpu_ns_per_io"]
    assert 45_000 < added_ns < 90_000
    assert costs["candidate"]["iops"] < 0.5 * costs["baseline"]["iops"]


def test_a_backend_that_answers_late_shows_in_the_rate(qemu_binary: Build, tmp_path: Path) -> None:
    """Two commands in flight, each held for 10 ms: no more than 200 per second, and not many fewer."""
    slow = NullBackend(latency_ns=10_000_000)
    result = loaded(qemu_binary, machine(1, backend=slow), workload(iodepth=1), tmp_path)
    assert 20 < result.metrics(4096)["iops"] <= 205


def test_a_disk_that_fails_ends_the_load(qemu_binary: Build, tmp_path: Path) -> None:
    """Addresses beyond its end are refused by the disk, and the driver's log says so."""
    with load_machine(qemu_binary.qemu, machine(1), workload(), tmp_path) as started:
        beyond = type(started)(**(vars(started) | {"disk_bytes": 1 << 44}))
        with pytest.raises(WorkloadError, match=r"gave up: the command in slot \d+ failed: CHECK_CONDITION"):
            put_under_load(beyond, workload(), SPAN, seed=1, evidence=tmp_path)
