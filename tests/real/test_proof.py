"""The proof of real mappings in real guests: what holds is proved, what does not is refuted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.build.build import Build
from lab.experiment.proof import TRACE_LOG, prove, text_from_proof
from lab.host.accelerator_choice import AcceleratorChoice
from lab.image.guest_image import GuestImage
from lab.machine.capabilities_probe import capabilities_of
from lab.machine.guest import Guest, booted
from lab.machine.mapping import MAIN_LOOP, Device, Dialect, IOThreadMapping
from lab.machine.observe import ProofVerdict
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, NullBackend, iothread_ids
from lab.virtio.tmf.witness import Trace
from tests.real.conftest import boot_of

IDS = iothread_ids(2)
SLOW = NullBackend(latency_ns=10**6)


def disks(*names: str, backend: NullBackend | None = None) -> tuple[Disk, ...]:
    """Return disks."""
    return tuple(Disk(name, backend or NullBackend()) for name in names)


EXPLICIT = Controller(
    "scsi0",
    Device.VIRTIO_SCSI,
    4,
    disks("d0", "d1"),
    IOThreadMapping.from_short("iothread0:0-1,iothread1:2-3"),
)
FEWER_QUEUES = Controller("blk0", Device.VIRTIO_BLK, 3, disks("d2"), IOThreadMapping.round_robin(IDS))
MORE_QUEUES = Controller("scsi1", Device.VIRTIO_SCSI, 8, disks("d3"), iothread="iothread1")
IN_MAIN_LOOP = Controller("blk1", Device.VIRTIO_BLK, 2, disks("d4", backend=SLOW))


@pytest.fixture(scope="module")
def guest(
    tmp_path_factory: pytest.TempPathFactory,
    qemu_binary: Build,
    guest_image: GuestImage,
    accelerator: AcceleratorChoice,
) -> Iterator[Guest]:
    """One guest with every form of mapping, and a trace."""
    evidence = tmp_path_factory.mktemp("proof")
    controllers = (EXPLICIT, FEWER_QUEUES, MORE_QUEUES, IN_MAIN_LOOP)
    spec = MachineSpec(accelerator.accelerator, 4, 1024, tuple(IOThread(name) for name in IDS), controllers)
    words = ("-msg", "timestamp=on", "-D", str(evidence / TRACE_LOG))
    with booted(
        qemu_binary.qemu, qemu_binary.firmware, spec, boot_of(guest_image), evidence=evidence, words=words
    ) as running:
        yield running


def test_every_form_of_mapping_is_proved_by_both_witnesses(guest: Guest, qemu_binary: Build) -> None:
    """Explicit, round robin, iothread= and none; fewer and more queues than vCPUs; two disks; a slow one."""
    dialect = capabilities_of(qemu_binary.qemu).scsi_dialect
    assert dialect is Dialect.MERGED
    proof = prove(guest, dialect, Trace(guest.evidence / TRACE_LOG))
    text = text_from_proof(proof)
    assert proof.verdict is ProofVerdict.PROVED, text
    served = {(seen.controller, seen.queue): seen.by_trace for seen in proof.queues}
    assert [served["scsi0", str(queue)] for queue in range(4)] == ["iothread0", "iothread0", "iothread1", "iothread1"]
    assert [served["blk0", str(queue)] for queue in range(3)] == ["iothread0", "iothread1", "iothread0"]
    assert {served["scsi1", str(queue)] for queue in range(4)} == {"iothread1"}
    assert {served["blk1", str(queue)] for queue in range(2)} == {MAIN_LOOP}
    assert proof.unused == {"scsi0": (), "blk0": (), "scsi1": ("4", "5", "6", "7"), "blk1": ()}
    assert all(seen.virtqueue == seen.queue for seen in proof.queues), text
    assert all(seen.by_cpu_time in (seen.asked, None) for seen in proof.queues), text
    assert sum(seen.by_cpu_time is not None for seen in proof.queues) > len(proof.queues) / 2, text
    assert len({seen.disk for seen in proof.queues if seen.controller == "scsi0"}) == 2


def test_another_mapping_is_refuted_by_what_is_stored_and_by_what_is_seen(guest: Guest) -> None:
    """The same guest, asked for the opposite: each of the ways says so for each queue, without the trace as well."""
    swapped = replace(EXPLICIT, mapping=IOThreadMapping.from_short("iothread1:0-1,iothread0:2-3"))
    alone = replace(guest.spec, controllers=(swapped,))
    proof = prove(replace(guest, spec=alone), Dialect.MERGED, None)
    assert proof.verdict is ProofVerdict.REFUTED
    stored = [line for line in proof.objections if "QEMU stored" in line]
    seen = [line for line in proof.objections if "spent the CPU time" in line]
    assert len(stored) == 4 and len(seen) >= 2, text_from_proof(proof)


def test_a_mapping_that_was_dropped_is_refuted(guest: Guest) -> None:
    """What served in the main loop was not what a mapping would have given."""
    wanted = replace(IN_MAIN_LOOP, mapping=IOThreadMapping.round_robin(IDS))
    alone = replace(guest.spec, controllers=(wanted,))
    proof = prove(replace(guest, spec=alone), Dialect.MERGED, Trace(guest.evidence / TRACE_LOG))
    assert proof.verdict is ProofVerdict.REFUTED
    assert any("iothread0 was asked for, but QEMU stored main loop" in line for line in proof.objections)
    assert any("the trace shows main loop taking its requests, not iothread0" in line for line in proof.objections)


def test_the_evidence_is_there(guest: Guest) -> None:
    """Logs and trace lie in the folder."""
    assert {"command-line.txt", TRACE_LOG} <= {path.name for path in Path(guest.evidence).iterdir()}
