"""A machine of a job to a running QEMU without a guest, its virtio-scsi controller up and its virtqueues placed.

IOThreads, controller, disks and what is behind them are written as for a guest; the rest of the machine is as small as
it gets. The controller is brought up over qtest, once, by the lab; from then on the queues belong to the drivers.
"""

from __future__ import annotations

import json
import mmap
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab.command import text_from_argv
from lab.deadline import Deadline
from lab.errors import BootError, InputError, StageError
from lab.machine.blockdev import blockdev_from_backend, throttle_groups
from lab.machine.command_line import devices_from_controller, object_from_iothread
from lab.machine.mapping import Device
from lab.machine.monitor import Monitor
from lab.machine.process import QemuProcess
from lab.machine.spec import Controller, MachineSpec
from lab.machine.threads import ThreadMap, thread_map
from lab.virtio.bare_machine import Wiring, bare_machine, slowdown, write_halting_firmware
from lab.virtio.guest_memory import GuestMemory
from lab.virtio.load.layout import QueueLayout, memory_mib_for, place_queue
from lab.virtio.load.ring import Ring
from lab.virtio.load.workload import Direction, Workload
from lab.virtio.qtest_client import QtestClient
from lab.virtio.scsi import SenseKey
from lab.virtio.virtio_pci import DeviceStatus, VirtioPciDevice, find_virtio_device
from lab.virtio.virtio_scsi import FIRST_COMMAND_QUEUE, Lun, command_response
from lab.virtio.virtqueue import Virtqueue

QEMU_LOG = "qemu.log"
_FEATURE_INDIRECT = 1 << 28
_START_S = 20.0
_ENDING_S = 1.0
_ANSWER_S = 5.0
_ATTENTIONS = 4
"""A LUN may have several things to say before it answers; after a reset QEMU has one."""
_OTHER_MIB = 8


@dataclass(frozen=True)
class LoadMachine:
    """A QEMU whose virtqueues wait for their drivers.

    :param memory: the guest's, mapped.
    :param memory_fd: the same, for drivers to map.
    :param qtest: the connection that kicks go through.
    :param layouts: of the virtqueues that get a driver.
    :param doorbells: address of the notification register, by virtqueue.
    :param disk_bytes: of the smallest disk.
    """

    spec: MachineSpec
    process: QemuProcess
    monitor: Monitor
    threads: ThreadMap
    memory: mmap.mmap
    memory_fd: int
    qtest: socket.socket
    layouts: tuple[QueueLayout, ...]
    doorbells: Mapping[int, int]
    disk_bytes: int


def the_controller(spec: MachineSpec) -> Controller:
    """Return the controller of a machine that the drivers can drive.

    :raise InputError: there is another number than one, or it is no virtio-scsi controller.
    """
    if len(spec.controllers) != 1 or spec.controllers[0].model is not Device.VIRTIO_SCSI:
        raise InputError(
            "without a guest there is one virtio-scsi controller",
            remedy="leave out tier, or write device = 'virtio-scsi-pci' and controllers = 1",
        )
    return spec.controllers[0]


def argv_from_machine(
    qemu: Path, spec: MachineSpec, memory_mib: int, wiring: Wiring, wrapper: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the words that start the machine; they are those for a guest where storage is concerned.

    :raise InputError: there is another number of controllers than one, or it is no virtio-scsi controller.
    """
    argv = bare_machine(qemu, "qtest", memory_mib, wiring, wrapper)
    controller = the_controller(spec)
    for iothread in spec.iothreads:
        argv += ["-object", json.dumps(object_from_iothread(iothread))]
    for disk in controller.disks:
        for group in throttle_groups(disk.id, disk.filters):
            argv += ["-object", json.dumps(group)]
        argv += ["-blockdev", json.dumps(blockdev_from_backend(disk.id, disk.backend, disk.filters))]
    head, *disks = devices_from_controller(controller)
    for device in ({**head, "disable-legacy": "on"}, *disks):
        argv += ["-device", json.dumps(device)]
    return tuple(argv)


@contextmanager
def load_machine(
    qemu: Path, spec: MachineSpec, workload: Workload, evidence: Path, *, wrapper: Sequence[str] = ()
) -> Iterator[LoadMachine]:
    """Start a machine, bring its controller up and place its virtqueues; QEMU ends with the block.

    :param evidence: an existing folder; gets command-line.txt, qemu.log and qmp.log.
    :param wrapper: words before the command: a program that runs QEMU under its eyes, such as valgrind.
    :raise InputError: the machine cannot be driven without a guest, or the load does not fit into its virtqueues.
    :raise BootError: QEMU did not start, or its controller did not come up.
    """
    queues = the_controller(spec).num_queues + FIRST_COMMAND_QUEUE
    memory_mib = _OTHER_MIB + memory_mib_for(queues, workload.in_flight, workload.request_bytes)
    with ExitStack() as stack:
        ram = GuestMemory(memory_mib)
        stack.callback(ram.close)
        process, monitor, qtest = _started(qemu, spec, ram, evidence, stack, wrapper)
        try:
            registers = QtestClient(qtest, timeout_s=slowdown(wrapper) * _ANSWER_S)
            device = find_virtio_device(registers)
            layouts, doorbells = _bring_up(device, ram, workload)
            memory = mmap.mmap(ram.fd, ram.size)
            _prepare(memory, layouts, registers, doorbells, spec, workload.direction)
            threads = thread_map(process.pid, monitor)
            disk_bytes = _smallest_disk_bytes(monitor, spec)
        except StageError as err:
            if process.ended_within(_ENDING_S) is not None:
                raise process.failure("bringing the controller up") from err
            raise BootError(f"the controller did not come up: {err.message}", evidence=process.log) from err
        yield LoadMachine(
            spec, process, monitor, threads, memory, ram.fd, qtest, layouts, doorbells, disk_bytes=disk_bytes
        )


def _started(
    qemu: Path, spec: MachineSpec, ram: GuestMemory, evidence: Path, stack: ExitStack, wrapper: Sequence[str]
) -> tuple[QemuProcess, Monitor, socket.socket]:
    """Start QEMU up to an answering monitor."""
    (our_qtest, qemu_qtest), (our_monitor, qemu_monitor) = socket.socketpair(), socket.socketpair()
    stack.callback(our_qtest.close)
    with qemu_qtest, qemu_monitor:
        firmware = evidence / "halt.bin"
        write_halting_firmware(firmware)
        wiring = Wiring(ram.fd, qemu_qtest.fileno(), qemu_monitor.fileno(), firmware)
        argv = argv_from_machine(qemu, spec, ram.size >> 20, wiring, wrapper)
        text = text_from_argv(argv) + "\n"
        (evidence / "command-line.txt").write_text(text, encoding="utf-8", errors="surrogateescape")
        process = QemuProcess(argv, log=evidence / QEMU_LOG, pass_fds=(wiring.memory, wiring.qtest, wiring.monitor))
    stack.callback(process.stop)
    try:
        monitor = Monitor(our_monitor, log=evidence / "qmp.log", timeout_s=slowdown(wrapper) * _START_S)
    except StageError as err:
        raise process.start_failure("starting QEMU without a guest", err) from err
    stack.callback(monitor.close)
    return process, monitor, our_qtest


def _bring_up(
    device: VirtioPciDevice, ram: GuestMemory, workload: Workload
) -> tuple[tuple[QueueLayout, ...], dict[int, int]]:
    """Initialise the device (VIRTIO 1.2, section 3.1.1) and return where the loaded queues and their doorbells are."""
    depths = {FIRST_COMMAND_QUEUE + queue: depth for queue, depth in workload.depths}
    layouts: list[QueueLayout] = []
    doorbells: dict[int, int] = {}
    device.reset()
    device.negotiate(_FEATURE_INDIRECT)
    for index in range(device.num_queues):
        size = device.queue_max_size(index)
        place: QueueLayout | Virtqueue
        if index in depths:
            place = place_queue(ram, index, size, depths[index], workload.request_bytes)
            layouts.append(place)
        else:  # nothing is ever put into it, but a device may look at all of its queues
            place = Virtqueue(ram, size, lambda: None)
        doorbells[index] = device.enable_queue(index, size, place.descriptors, place.available, place.used)
    device.add_status(DeviceStatus.DRIVER_OK)
    return tuple(layouts), doorbells


def _prepare(
    memory: mmap.mmap,
    layouts: Sequence[QueueLayout],
    registers: QtestClient,
    doorbells: Mapping[int, int],
    spec: MachineSpec,
    direction: Direction,
) -> None:
    """Write all commands, and read from each disk until it answers: after a reset it first says that there was one.

    The kicks wait for their answers, so that no answer is left on the socket that is handed over.
    """
    luns = [Lun(0, number) for number in range(len(the_controller(spec).disks))]
    first = layouts[0]
    ring = Ring(memory, first)
    for lun in luns:
        ring.prepare(Direction.READ, (lun,))
        for left in reversed(range(_ATTENTIONS)):
            ring.give(np.zeros(1, np.intp), np.zeros(1, np.uint32))
            registers.write(doorbells[first.index], first.index, 2)
            Deadline(_ANSWER_S).wait_for(f"an answer of LUN {lun}", lambda: ring.returned() or None, interval_s=0.0005)
            try:
                ring.take()
                break
            except StageError:
                sense = command_response(ring.answer(0)).sense
                if not left or sense is None or sense.key != SenseKey.UNIT_ATTENTION:
                    raise
    for layout in layouts:
        Ring(memory, layout).prepare(direction, luns)


def _smallest_disk_bytes(monitor: Monitor, spec: MachineSpec) -> int:
    """Ask QEMU how large the disks are.

    :raise BootError: it does not say.
    """
    sizes = {
        node.get("node-name"): node["image"]["virtual-size"] for node in monitor.execute("query-named-block-nodes")
    }
    try:
        return min(int(sizes[disk.id]) for disk in the_controller(spec).disks)
    except (KeyError, TypeError, ValueError) as err:
        raise BootError(f"QEMU does not say how large its disks are: {err}") from err
