"""A cell of a job to a machine and a fio job."""

from pathlib import Path

import pytest

from lab.errors import InputError
from lab.experiment.job import LoadedJob
from lab.experiment.job_tables import BackendTable, ProfileTable
from lab.experiment.machines import fio_from_cell, machine_from_cell, mapping_warnings
from lab.machine.backend import Aio, Cache, FileBackend, ImageFormat
from lab.machine.mapping import Device
from lab.machine.spec import TCG_CPU_MODEL, GuestMemory, IOThread, MemoryPolicy, Topology
from lab.record import Arm, Cell, Level, Point
from tests.unit.experiment.test_job import FIO, GOOD, load

PROFILE = ProfileTable(blocks=6, runtime_s=5, ramp_time_s=1)


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedJob:
    """The good job."""
    (tmp_path / "fio").mkdir()
    (tmp_path / "fio" / "j.fio").write_text(FIO)
    return load(tmp_path, GOOD)


def cell(**levels: Level) -> Cell:
    """A baseline cell with these levels."""
    return Cell(Arm.BASELINE, Point.from_levels(levels))


def test_a_level_replaces_the_job_s_value(loaded: LoadedJob) -> None:
    """Two IOThreads, round robin over as many queues as vCPUs."""
    spec = machine_from_cell(loaded, cell(iothreads=2), "tcg")
    assert [thread.id for thread in spec.iothreads] == ["iothread0", "iothread1"]
    assert spec.controllers[0].num_queues == 4
    assert spec.controllers[0].mapping is not None
    assert spec.controllers[0].mapping.to_json() == [{"iothread": "iothread0"}, {"iothread": "iothread1"}]


def test_without_iothreads_the_main_loop_serves(loaded: LoadedJob) -> None:
    """No IOThread, no mapping: an empty list would mean the same and hide it."""
    controller = machine_from_cell(loaded, cell(iothreads=0), "tcg").controllers[0]
    assert (controller.mapping, controller.iothread) == (None, None)


@pytest.mark.parametrize(
    ("mapping", "iothread", "short"),
    [("none", None, None), ("iothread", "iothread0", None), ("iothread1:0-1,iothread0:2-3", None, "explicit")],
)
def test_every_form_of_mapping(loaded: LoadedJob, mapping: str, iothread: str | None, short: str | None) -> None:
    """The main loop, the iothread property, and the short form."""
    controller = machine_from_cell(loaded, cell(iothreads=2, mapping=mapping), "tcg").controllers[0]
    assert controller.iothread == iothread
    assert (controller.mapping is not None) == (short is not None)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ({"iothreads": 1, "mapping": "iothread9"}, 'IOThread "iothread9" object does not exist'),
        ({"iothreads": 2, "mapping": "iothread0:0-1"}, "missing vq 2 IOThread assignment"),
        ({"iothreads": 1, "mapping": "iothread0:0-9"}, "must be less than num_queues 4"),
        ({"iothreads": 0, "mapping": "iothread0"}, 'IOThread "iothread0" object does not exist'),
        ({"iothreads": 1, "mapping": "[]"}, "an empty mapping serves nothing"),
        ({"iothreads": 1, "queue_size": 100}, "queue_size 100 is not a power of two above 2"),
        ({"iothreads": 1, "queue_size": 2}, "queue_size 2 is not a power of two above 2"),
    ],
)
def test_what_qemu_would_refuse_is_refused_before_the_builds(
    loaded: LoadedJob, levels: dict[str, Level], message: str
) -> None:
    """QEMU's own words, in the first second instead of the first block."""
    with pytest.raises(InputError, match=message):
        mapping_warnings(machine_from_cell(loaded, cell(**levels), "tcg"))


def test_what_qemu_takes_in_silence_is_a_warning(loaded: LoadedJob) -> None:
    """More IOThreads than queues: the rest idle, and a reader should know."""
    found = mapping_warnings(machine_from_cell(loaded, cell(iothreads=6), "tcg"))
    assert any("iothread5" in warning for warning in found)
    assert mapping_warnings(machine_from_cell(loaded, cell(iothreads=2), "tcg")) == ()


def test_virtio_blk_gets_an_id_of_its_own(loaded: LoadedJob) -> None:
    """The device model decides the names."""
    table = loaded.job.machine.model_copy(update={"device": Device.VIRTIO_BLK})
    blk = LoadedJob(loaded.path, loaded.text, loaded.job.model_copy(update={"machine": table}), loaded.fio)
    spec = machine_from_cell(blk, cell(iothreads=1), "tcg")
    assert (spec.controllers[0].id, spec.controllers[0].model) == ("blk0", Device.VIRTIO_BLK)


def test_the_cpu_model_follows_the_accelerator_unless_it_is_named(loaded: LoadedJob) -> None:
    """The host's own CPU with KVM, a quick one without, and whatever a job names."""
    assert machine_from_cell(loaded, cell(iothreads=1), "kvm").cpu_model == "host"
    assert machine_from_cell(loaded, cell(iothreads=1), "tcg").cpu_model == TCG_CPU_MODEL
    assert machine_from_cell(loaded, cell(iothreads=1, cpu_model="max"), "kvm").cpu_model == "max"


def test_a_backend_level_reaches_the_disk(loaded: LoadedJob) -> None:
    """latency_ns is a factor of the backend."""
    backend = machine_from_cell(loaded, cell(iothreads=1, latency_ns=7), "tcg").controllers[0].disks[0].backend
    assert getattr(backend, "latency_ns") == 7  # noqa: B009 - a union, of which this member is meant


def test_the_fio_job_carries_profile_levels_and_seed(loaded: LoadedJob) -> None:
    """Times come from the profile, iodepth from the cell, and machine factors stay out."""
    text = fio_from_cell(loaded, PROFILE, cell(iothreads=2, iodepth=64), 123).to_text()
    assert {"runtime=5s", "ramp_time=1s", "iodepth=64", "randseed=123"} <= set(text.splitlines())
    assert "iothreads" not in text


def test_everything_of_the_machine_table_reaches_the_machine(loaded: LoadedJob) -> None:
    """Topology, memory, polling, scheduler, haltpoll: all of them may be levels."""
    spec = machine_from_cell(
        loaded,
        cell(
            iothreads=1,
            machine_type="pc",
            sockets=1,
            cores=2,
            threads=2,
            hugepages="2M",
            memory_prealloc=True,
            memory_share=True,
            numa_nodes="0-1,3",
            numa_policy="interleave",
            poll_max_ns=1,
            poll_grow=2,
            poll_shrink=3,
            aio_max_batch=4,
            scheduler="none",
            haltpoll=True,
        ),
        "tcg",
    )
    assert (spec.machine_type, spec.topology) == ("pc", Topology(1, 2, 2))
    policy = MemoryPolicy.INTERLEAVE
    assert spec.memory == GuestMemory(2048, prealloc=True, share=True, host_nodes=(0, 1, 3), policy=policy)
    assert spec.iothreads == (IOThread("iothread0", 1, 2, 3, 4),)
    assert (spec.scheduler, spec.haltpoll) == ("none", True)
    folder = machine_from_cell(loaded, cell(memory_folder="/dev/shm"), "tcg").memory.folder
    assert folder == Path("/dev/shm")


@pytest.mark.parametrize("nodes", ["3-1", "1024"])
def test_nodes_that_cannot_be_are_refused(loaded: LoadedJob, nodes: str) -> None:
    """A range goes up, and Linux has no more than 1024."""
    with pytest.raises(InputError, match="is not a range of nodes"):
        machine_from_cell(loaded, cell(numa_nodes=nodes, numa_policy="bind"), "tcg")


@pytest.mark.parametrize(
    ("rw", "writes"),
    [("read", False), ("randread:8", False), ("randwrite", True), ("rw", True), ("randrw", True), ("trim", True)],
)
def test_a_workload_that_is_not_known_to_read_only_writes(
    loaded: LoadedJob, tmp_path: Path, rw: str, writes: bool
) -> None:
    """The level of the cell decides, not the file's own word."""
    (tmp_path / "own.raw").write_bytes(b"")
    table = loaded.job.machine.model_copy(update={"backend": BackendTable(driver="raw", path="own.raw")})
    own = LoadedJob(loaded.path, loaded.text, loaded.job.model_copy(update={"machine": table}), loaded.fio)
    if writes:
        with pytest.raises(InputError, match=r"the workload writes to own\.raw"):
            machine_from_cell(own, cell(rw=rw), "tcg")
    else:
        backend = machine_from_cell(own, cell(rw=rw), "tcg").disks[0].backend
        assert backend == FileBackend(tmp_path / "own.raw", read_only=True)


def test_a_file_of_the_job_stays_below_its_folder(loaded: LoadedJob) -> None:
    """As every path of a job."""
    table = loaded.job.machine.model_copy(update={"backend": BackendTable(driver="raw", path="../../etc/passwd")})
    own = LoadedJob(loaded.path, loaded.text, loaded.job.model_copy(update={"machine": table}), loaded.fio)
    with pytest.raises(InputError, match="leaves the folder of the job file"):
        machine_from_cell(own, cell(), "tcg")


def test_a_disk_of_the_lab_lies_in_its_cache(
    loaded: LoadedJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Levels of the backend are factors like all others."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    backend = machine_from_cell(loaded, cell(driver="qcow2", aio="native", cache="directsync"), "tcg").disks[0].backend
    expected = tmp_path / "cache" / "disks" / "disk0-8g-64k.qcow2"
    assert backend == FileBackend(
        expected, ImageFormat.QCOW2, Aio.NATIVE, Cache.DIRECTSYNC, made_by_lab=True, size_bytes=8 << 30
    )


def test_an_iothread_of_another_controller_is_not_called_idle(loaded: LoadedJob) -> None:
    """Each of two controllers has one of two IOThreads; nothing idles."""
    spec = machine_from_cell(loaded, cell(iothreads=2, mapping="iothread", controllers=2), "tcg")
    assert mapping_warnings(spec) == ()
