"""The proof of a made-up guest's mapping."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import CrashError, MonitorError
from lab.experiment import proof as module
from lab.experiment.proof import Proof, prove, prove_machine, text_from_proof
from lab.machine.cost import Reading
from lab.machine.guest import Guest
from lab.machine.guest_disks import GuestDisk
from lab.machine.mapping import MAIN_LOOP, Device, Dialect, IOThreadMapping
from lab.machine.observe import ProofVerdict
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, NullBackend
from lab.machine.threads import ThreadMap
from lab.testing import FakeMonitor, FakeProcess, FakeShell
from lab.virtio.tmf.witness import Trace
from tests.unit.experiment.made_up import BASELINE, IMAGE
from tests.unit.machine.made_up_qemu import OLD

MAIN, T0, T1 = 100, 101, 102
THREADS = ThreadMap(MAIN, {MAIN: "main-loop", T0: "t0", T1: "t1"}, frozenset(), frozenset({T0, T1}))
MAPPING = IOThreadMapping.from_short("t0:0,t1:1")
SCSI = Controller("scsi0", Device.VIRTIO_SCSI, 2, (Disk("d", NullBackend()),), MAPPING)
BLK = Controller("blk0", Device.VIRTIO_BLK, 2, (Disk("d", NullBackend()),), MAPPING)
LINES = {
    Device.VIRTIO_SCSI: (
        "virtio_queue_notify vdev 0x5 n {device} vq 0x6",
        "virtio_scsi_cmd_req lun=0 tag=0x1 cmd=0x28",
    ),
    Device.VIRTIO_BLK: (
        "virtio_queue_notify vdev 0x5 n {queue} vq 0x6",
        "virtio_blk_handle_read vdev 0x5 req 0x7 nsectors 8",
    ),
}


class Machine:
    """A guest of two vCPUs and the QEMU below it, in which ``served_by`` names the thread of each queue.

    :param controller: its only one.
    :param served_by: queue to thread id.
    :param traced: what serves is in the trace, too.
    """

    def __init__(
        self,
        folder: Path,
        controller: Controller = SCSI,
        served_by: tuple[int, ...] = (T0, T1),
        *,
        stored: Any = None,
        traced: bool = True,
        disks: int = 1,
    ) -> None:
        self.folder = folder
        self.controller = controller
        self.served_by = served_by
        self.traced = traced
        self.requests = 0
        self.cpu_ns = {MAIN: 0, T0: 0, T1: 0}
        self.trace = Trace(folder / "trace.log")
        self.disks = tuple(GuestDisk(f"sd{'ab'[n]}", "x", n, {0: (0,), 1: (1,)}) for n in range(disks))
        items = stored if stored is not None else (controller.mapping or IOThreadMapping()).to_json()
        self.qom: dict[str, Any] = {"iothread": f"/objects/{controller.iothread}" if controller.iothread else ""}
        self.qom["iothread-vq-mapping"] = items
        spec = MachineSpec("tcg", 2, 1024, (IOThread("t0"), IOThread("t1")), (controller,))
        process = FakeProcess(log=folder / "qemu.log")
        self.monitor = AskedMonitor(self.qom)
        shell = FakeShell({"dd if=": self.load})
        self.loads = shell.commands
        self.guest = Guest(spec, process, self.monitor, shell, THREADS, 1.0, folder)

    def load(self) -> str:
        """Serve 512 requests of the vCPU that the last command names."""
        queue = int(self.loads[-1].split("taskset -c ")[1].split()[0])
        thread = self.served_by[queue]
        self.requests += 512
        self.cpu_ns[MAIN] += 512 * 40_000
        self.cpu_ns[thread] += 512 * 20_000
        if self.traced:
            places = {"device": queue + 2, "queue": queue}
            lines = [line.format(**places) for line in LINES[self.controller.model]]
            with self.trace._path.open("a") as log:
                log.writelines(f"{thread}@1.5:{line}\n" for line in lines * 512)
        return ""

    def reading(self, guest: Guest) -> Reading:
        """Return what has been done so far."""
        return Reading(0.0, self.requests, dict(self.cpu_ns))


class AskedMonitor(FakeMonitor):
    """A monitor that knows the properties of one device."""

    def __init__(self, properties: dict[str, Any]) -> None:
        super().__init__({"trace-event-set-state": {}})
        self.properties = properties

    def execute(self, command: str, arguments: Any = None, *, timeout_s: float = 15.0) -> Any:
        """Answer qom-get."""
        if command != "qom-get":
            return super().execute(command, arguments)
        value = self.properties[arguments["property"]]
        if isinstance(value, Exception):
            raise value
        return value


def proved(machine: Machine, monkeypatch: pytest.MonkeyPatch, dialect: Dialect = Dialect.MERGED) -> Proof:
    """Prove a made-up machine."""
    monkeypatch.setattr(module, "disks_of", lambda guest: {machine.controller.id: machine.disks})
    monkeypatch.setattr(module, "read_now", machine.reading)
    return prove(machine.guest, dialect, machine.trace)


@pytest.mark.parametrize("controller", [SCSI, BLK])
@pytest.mark.parametrize("traced", [True, False])
def test_a_mapping_that_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, controller: Controller, traced: bool
) -> None:
    """Both devices; with a trace, which also shows the queue, and by CPU time alone."""
    machine = Machine(tmp_path, controller, traced=traced)
    proof = proved(machine, monkeypatch)
    assert proof.verdict is ProofVerdict.PROVED
    assert [(seen.queue, seen.asked, seen.stored, seen.observed) for seen in proof.queues] == [
        ("0", "t0", "t0", "t0"),
        ("1", "t1", "t1", "t1"),
    ]
    assert [seen.virtqueue for seen in proof.queues] == (["0", "1"] if traced else [None, None])
    assert [seen.taken for seen in proof.queues] == ([{"t0": 512}, {"t1": 512}] if traced else [None, None])
    assert proof.queues[0].cpu_ns == {MAIN_LOOP: 512 * 40_000, "t0": 512 * 20_000, "t1": 0}


def test_only_one_queue_is_loaded_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first vCPU of each queue; the disks of a controller take turns; the trace is switched off again."""
    machine = Machine(tmp_path, disks=2)
    proved(machine, monkeypatch)
    assert [("sda" in line, "taskset -c 0" in line) for line in machine.loads] == [(True, True), (False, False)]
    switched = [arguments for _, arguments in machine.monitor.executed]
    assert [arguments["enable"] for arguments in switched if arguments] == [True, True, False, False]


def test_another_thread_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the trace and by CPU time, and the mapping is refuted."""
    proof = proved(Machine(tmp_path, served_by=(T0, T0)), monkeypatch)
    assert proof.verdict is ProofVerdict.REFUTED
    assert [seen.verdict for seen in proof.queues] == [ProofVerdict.PROVED, ProofVerdict.REFUTED]
    assert len(proof.objections) == 2 and all("queue 1" in line and "not t1" in line for line in proof.objections)


@pytest.mark.parametrize(
    ("stored", "is_now"),
    [([], MAIN_LOOP), ([{"iothread": "t1"}, {"iothread": "t0"}], "t1"), ("a mapping of another kind", "nobody")],
)
def test_another_mapping_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: object, is_now: str
) -> None:
    """Dropped, changed, or of a kind that nobody knows."""
    proof = proved(Machine(tmp_path, stored=stored), monkeypatch)
    assert f"t0 was asked for, but QEMU stored {is_now}" in proof.objections[0]


@pytest.mark.parametrize(("iothread", "served_by", "name"), [("t1", (T1, T1), "t1"), (None, (MAIN, MAIN), MAIN_LOOP)])
def test_one_iothread_and_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, iothread: str | None, served_by: tuple[int, ...], name: str
) -> None:
    """The iothread property, the main loop, and a QEMU that does not know the mapping at all."""
    machine = Machine(tmp_path, replace(SCSI, mapping=None, iothread=iothread), served_by)
    machine.qom["iothread-vq-mapping"] = MonitorError("Property 'virtio-scsi-device.iothread-vq-mapping' not found")
    proof = proved(machine, monkeypatch)
    assert proof.verdict is ProofVerdict.PROVED and {seen.asked for seen in proof.queues} == {name}


def test_the_dialect_decides_who_is_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where 0 is ctrl, index 2 is the first command queue."""
    every = IOThreadMapping.explicit({"t0": (0, 3), "t1": (1, 2)})
    machine = Machine(tmp_path, replace(SCSI, mapping=every), (T1, T0))
    assert proved(machine, monkeypatch, Dialect.ALL_QUEUES).verdict is ProofVerdict.PROVED
    commands = IOThreadMapping.explicit({"t0": (0,), "t1": (1,)})
    (tmp_path / "trace.log").unlink()
    machine = Machine(tmp_path, replace(SCSI, mapping=commands), (T1, T0))
    assert proved(machine, monkeypatch, Dialect.MERGED).verdict is ProofVerdict.REFUTED


def test_a_queue_that_the_guest_does_not_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and no doubt about the others."""
    machine = Machine(tmp_path, replace(SCSI, num_queues=4, mapping=IOThreadMapping.round_robin(("t0", "t1"))))
    proof = proved(machine, monkeypatch)
    assert proof.verdict is ProofVerdict.PROVED and proof.unused == {"scsi0": ("2", "3")}
    assert "scsi0: the guest makes no use of queue 2, 3" in text_from_proof(proof)


def test_a_binary_that_cannot_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU time alone decides, and nothing is switched off that was not on."""
    machine = Machine(tmp_path, traced=False)
    machine.monitor._answers["trace-event-set-state"] = MonitorError("unknown event")
    proof = proved(machine, monkeypatch)
    assert proof.verdict is ProofVerdict.PROVED and proof.queues[0].taken is None
    assert len(machine.monitor.executed) == 1


def test_a_fallback_refutes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU's own word counts."""
    (tmp_path / "qemu.log").write_text("virtio-scsi: Failed to set guest notifiers (-22), ensure -accel kvm is set.\n")
    proof = proved(Machine(tmp_path), monkeypatch)
    assert proof.verdict is ProofVerdict.REFUTED and "runs on without IOThreads" in proof.objections[0]


def test_a_crash_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU died under the last load."""
    machine = Machine(tmp_path)
    monkeypatch.setattr(machine.guest.process, "exited", -6)
    with pytest.raises(CrashError):
        proved(machine, monkeypatch)


def test_nothing_seen_is_undecided() -> None:
    """A guest without a disk to load proves nothing."""
    assert Proof((), {}).verdict is ProofVerdict.UNDECIDED


def test_the_matrix_for_people_and_for_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Microseconds per request below each thread; JSON has everything."""
    proof = proved(Machine(tmp_path, served_by=(T0, T0)), monkeypatch)
    lines = text_from_proof(proof).splitlines()
    assert lines[0].split()[-4:] == ["main", "loop", "t0", "t1"]
    assert lines[1].split() == ["scsi0", "0", "sda", "0", "t0", "t0", "t0", "proved", "40.0", "20.0", "0.0"]
    assert lines[2].split()[6:8] == ["t0", "refuted"]
    assert lines[-1] == "The mapping is refuted."
    stored = json.loads(json.dumps(proof.to_json()))
    assert stored["verdict"] == "refuted" and stored["format"] == 1 and len(stored["objections"]) == 2
    assert stored["queues"][1] == {
        "controller": "scsi0",
        "disk": "sda",
        "queue": "1",
        "vcpu": 1,
        "asked": "t1",
        "stored": "t1",
        "observed": "t0",
        "verdict": "refuted",
        "requests": 512,
        "cpu_ns": {"main loop": 20_480_000, "t0": 10_240_000, "t1": 0},
        "taken": {"t0": 512},
        "virtqueue": "1",
    }


@pytest.mark.parametrize(("name", "traced"), [("plain", True), ("100%", False)])
def test_a_machine_is_booted_with_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, traced: bool
) -> None:
    """Unless the folder's name is one that QEMU would take for a template."""
    folder = tmp_path / name
    folder.mkdir()
    machine = Machine(folder, traced=False)
    seen: dict[str, Any] = {}

    @contextmanager
    def booted(*words: object, **options: Any) -> Iterator[Guest]:
        seen.update(options)
        yield machine.guest

    monkeypatch.setattr(module, "booted", booted)
    monkeypatch.setattr(module, "capabilities_of", lambda qemu: OLD)
    monkeypatch.setattr(module, "disks_of", lambda guest: {"scsi0": machine.disks})
    monkeypatch.setattr(module, "read_now", machine.reading)
    assert prove_machine(BASELINE, IMAGE, machine.guest.spec, folder).verdict is ProofVerdict.PROVED
    assert seen["evidence"] == folder
    assert seen["words"] == (("-msg", "timestamp=on", "-D", str(folder / "trace.log")) if traced else ())
    assert bool(machine.monitor.executed) is traced


def test_kicks_of_another_device_are_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network card's kicks in the main loop are few beside those of the loaded disk."""
    machine = Machine(tmp_path, replace(SCSI, mapping=None), (MAIN, MAIN))
    with (tmp_path / "trace.log").open("w") as log:
        log.writelines(f"{MAIN}@1.5:virtio_queue_notify vdev 0x9 n {n} vq 0x1\n" for n in itertools.repeat(7, 9))
    assert [seen.virtqueue for seen in proved(machine, monkeypatch).queues] == ["0", "1"]
