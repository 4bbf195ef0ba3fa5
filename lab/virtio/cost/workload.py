"""A machine of a job under callgrind, and its workload, to the cost of one of its commands.

The machine is the one that a job of tier ``qtest`` loads, with polling off: QEMU polls for as long as nothing happens,
which is no work of a command. Its virtqueues get bursts in turn, as in :mod:`lab.virtio.cost.measure`, through the
rings of the load, so that a command has the size and the addresses that the workload says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from lab.deadline import Deadline
from lab.errors import InputError
from lab.machine.spec import MachineSpec
from lab.scratch import scratch_folder
from lab.virtio.cost.callgrind import Profiles, wrapper
from lab.virtio.cost.measure import CaseCost, cost_from_bursts, count_bursts
from lab.virtio.cost.operation import COMMAND_BURSTS
from lab.virtio.load.machine import LoadMachine, load_machine
from lab.virtio.load.ring import Ring
from lab.virtio.load.workload import Workload
from lab.virtio.qtest_client import QtestClient
from lab.virtio.scsi import BLOCK_BYTES

_BURST_S = 60.0
_LOOK_S = 0.0005
_SEED = 1
"""Of the addresses. Every count of a job does the same work, so this is no choice of the schedule's."""


def counted_workload(workload: Workload, queue_size: int) -> Workload:
    """Return a workload with as many commands in flight as the largest burst has.

    :param queue_size: descriptors of a virtqueue.
    :raise InputError: they do not fit into it.
    """
    most = COMMAND_BURSTS.large
    if queue_size < most:
        raise InputError(
            f"bursts of {most} commands do not fit into a virtqueue of {queue_size}", remedy="raise queue_size"
        )
    return replace(workload, depths=tuple((queue, most) for queue, _ in workload.depths))


@contextmanager
def counting_machine(
    qemu: Path, spec: MachineSpec, workload: Workload, evidence: Path
) -> Iterator[tuple[LoadMachine, Path]]:
    """Start the machine of a cell under callgrind; QEMU ends with the block.

    :param workload: of :func:`counted_workload`.
    :param evidence: an existing folder; gets command-line.txt, qemu.log and qmp.log.
    :return: the machine, and the folder of its profiles.
    :raise InputError: the machine cannot be driven without a guest.
    :raise BootError: QEMU did not start, or its controller did not come up.
    """
    silent = tuple(replace(iothread, poll_max_ns=0) for iothread in spec.iothreads)
    with scratch_folder() as folder:
        counting = load_machine(qemu, replace(spec, iothreads=silent), workload, evidence, wrapper=wrapper(folder))
        with counting as machine:
            yield machine, folder


def count_workload(
    machine: LoadMachine,
    workload: Workload,
    folder: Path,
    *,
    make_deadline: Callable[[float], Deadline] = Deadline,
) -> CaseCost:
    """Count the instructions that one command of a workload costs QEMU, on average over its virtqueues.

    :param folder: where the profiles of its callgrind come.
    :raise InputError: the binary has no symbols.
    :raise DeadlineError: commands did not come back.
    :raise StageError: one failed, or QEMU went away.
    """
    registers = QtestClient(machine.qtest, timeout_s=_BURST_S)
    rings = {layout.index: Ring(machine.memory, layout) for layout in machine.layouts}
    blocks = workload.request_bytes // BLOCK_BYTES
    places = max(1, machine.disk_bytes // workload.request_bytes)
    steps = np.arange(COMMAND_BURSTS.large)
    drawn = np.random.default_rng(_SEED).integers(0, places, len(steps)) if workload.random else steps % places
    lbas = (drawn * blocks).astype(np.uint32)

    def burst(count: int) -> None:
        for index, ring in rings.items():
            ring.give(steps[:count], lbas[:count])
            registers.post_write(machine.doorbells[index], index, 2)
            _wait_for(ring, count, make_deadline(_BURST_S))

    counted = count_bursts(burst, COMMAND_BURSTS, Profiles(registers, folder), make_deadline=make_deadline)
    more = (COMMAND_BURSTS.large - COMMAND_BURSTS.small) * len(rings)
    return cost_from_bursts(workload.direction.name, str(len(machine.spec.iothreads) or "none"), counted, more)


def _wait_for(ring: Ring, count: int, deadline: Deadline) -> None:
    """Take so many commands back.

    :raise DeadlineError: fewer came back.
    :raise StageError: one failed.
    """
    deadline.wait_for(f"{count} commands to come back", lambda: ring.returned() >= count or None, interval_s=_LOOK_S)
    ring.take()
