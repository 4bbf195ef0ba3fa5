"""A specification to a QEMU that runs no guest: its devices are ours to drive over qtest.

QEMU's qtest accelerator leaves the vCPU idle and yet honours ioeventfd, so IOThreads really serve the virtqueues. A
binary without that accelerator (a distribution's) runs the same under TCG with a firmware of three instructions that
halts. ``-accel help`` never lists qtest, so the only way to find out is to start it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from lab.errors import BootError, DeadlineError, LabError, MonitorError
from lab.machine.monitor import Monitor
from lab.machine.process import QemuProcess
from lab.virtio.backing import Backing, copy_name, node_from_backing, with_throttle
from lab.virtio.bare_machine import Wiring, bare_machine, slowdown, write_halting_firmware
from lab.virtio.guest_memory import GuestMemory
from lab.virtio.hold_server import HoldServer
from lab.virtio.qtest_client import QtestClient
from lab.virtio.virtio_pci import find_virtio_device
from lab.virtio.virtio_scsi import Lun
from lab.virtio.virtio_scsi_driver import VirtioScsi

CONTROLLER_ID = "scsi0"
_NO_SUCH_ACCELERATOR = "invalid accelerator"
_START_S = 20.0
_ACCESS_S = 5.0


class Accelerator(StrEnum):
    """What runs the vCPU that nobody uses."""

    QTEST = "qtest"
    TCG = "tcg"


@dataclass(frozen=True)
class LogicalUnit:
    """A disk behind the controller, on the hold server's export of the same name.

    :param name: of the export and the block node; the device is called ``disk-NAME``.
    """

    name: str
    lun: Lun

    @property
    def device_id(self) -> str:
        """The id for ``device_del``."""
        return f"disk-{self.name}"

    def device_json(self) -> dict[str, object]:
        """Return the device as ``-device`` and ``device_add`` take it."""
        return {
            "driver": "scsi-hd",
            "id": self.device_id,
            "bus": f"{CONTROLLER_ID}.0",
            "drive": self.name,
            "scsi-id": self.lun.target,
            "lun": self.lun.lun,
        }


@dataclass(frozen=True)
class QtestSpec:
    """One virtio-scsi controller and its disks.

    :param iothreads: ids of the IOThreads to make.
    :param controller: further properties of the controller: ``iothread`` or ``iothread-vq-mapping``.
    :param trace: patterns of trace events that go to ``trace.log``.
    :param backing: what is behind the disks.
    :param throttle_groups: ids of throttle groups; with any, each disk is behind a throttle filter in the first, and
        has a second node that it can be mirrored to.
    :param disk_mib: size of each disk.
    :param wrapper: words before the command: a program that runs QEMU under its eyes, such as valgrind.
    """

    qemu: Path
    units: tuple[LogicalUnit, ...]
    num_queues: int = 4
    iothreads: tuple[str, ...] = ()
    controller: Mapping[str, object] = field(default_factory=dict)
    trace: tuple[str, ...] = ()
    memory_mib: int = 16
    accelerator: Accelerator = Accelerator.QTEST
    backing: Backing = Backing.HELD
    throttle_groups: tuple[str, ...] = ()
    disk_mib: int = 64
    wrapper: tuple[str, ...] = ()


@dataclass(frozen=True)
class InheritedFiles(Wiring):
    """What a QEMU of a spec is started with beside that."""

    disk_socket: Path
    trace_log: Path


def argv_from_spec(spec: QtestSpec, files: InheritedFiles) -> tuple[str, ...]:
    """Return the command. All devices are in JSON, because QEMU makes those of ``key=value`` form first."""
    argv = [*bare_machine(spec.qemu, spec.accelerator, spec.memory_mib, files, spec.wrapper), "-msg", "timestamp=on"]
    if spec.trace:
        argv += ["-D", str(files.trace_log), *(word for event in spec.trace for word in ("-trace", event))]
    for name in spec.iothreads:
        argv += ["-object", json.dumps({"qom-type": "iothread", "id": name})]
    for group in spec.throttle_groups:
        argv += ["-object", json.dumps({"qom-type": "throttle-group", "id": group})]
    for node in _nodes(spec, files):
        argv += ["-blockdev", json.dumps(node)]
    for device in (controller_json(spec), *(unit.device_json() for unit in spec.units)):
        argv += ["-device", json.dumps(device)]
    return tuple(argv)


def controller_json(spec: QtestSpec) -> dict[str, object]:
    """Return the controller as ``-device`` and ``device_add`` take it."""
    fixed = {"driver": "virtio-scsi-pci", "id": CONTROLLER_ID, "disable-legacy": "on", "num_queues": spec.num_queues}
    return {**fixed, **spec.controller}


def _nodes(spec: QtestSpec, files: InheritedFiles) -> Iterator[dict[str, object]]:
    folder, socket_path = files.disk_socket.parent, files.disk_socket
    for unit in spec.units:
        if not spec.throttle_groups:
            yield node_from_backing(spec.backing, unit.name, folder, socket_path, spec.disk_mib)
            continue
        below = node_from_backing(spec.backing, f"{unit.name}-disk", folder, socket_path, spec.disk_mib)
        yield with_throttle(below, unit.name, spec.throttle_groups[0])
        yield node_from_backing(spec.backing, copy_name(unit.name), folder, socket_path, spec.disk_mib)


class BackgroundCommand:
    """A QMP command under way in a thread of its own.

    :param action: sends the command and waits for its answer.
    """

    def __init__(self, action: Callable[[], object]) -> None:
        self.error = ""
        """What went wrong; empty while it is under way and when it went well."""
        self._action = action
        self._thread = threading.Thread(target=self._run, name="qmp-command", daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether it was answered or given up."""
        return not self._thread.is_alive()

    def wait(self, timeout_s: float = 10.0) -> None:
        """Wait until it was answered or given up, at most that long."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._action()
        except LabError as err:
            self.error = err.message


class QtestMachine:
    """A running QEMU, the disk behind it and the driver in front of it; a context manager that leaves nothing behind.

    Start it from the thread that uses it: QEMU dies with that thread (lab.machine.process).

    :param folder: gets the logs; exists, and its path is short enough for a Unix socket in it.
    :raise HostError: it is not.
    :raise BootError: QEMU did not start.
    :raise StageError: it started, and its controller cannot be driven.
    """

    def __init__(self, spec: QtestSpec, folder: Path) -> None:
        self.spec = spec
        self.folder = folder
        self.trace_log = folder / "trace.log"
        self._commands: list[BackgroundCommand] = []
        self._stack = ExitStack()
        try:
            self.memory = GuestMemory(spec.memory_mib)
            self._stack.callback(self.memory.close)
            self.disk = self._stack.enter_context(HoldServer(folder / "nbd", size_mib=spec.disk_mib))
            self.process, self.monitor, self.qtest = self._start()
            self.driver = VirtioScsi(find_virtio_device(self.qtest), self.memory)
        except BaseException:
            self._stack.close()
            raise

    def start_command(self, command: str, arguments: Mapping[str, object], *, timeout_s: float) -> BackgroundCommand:
        """Send a QMP command that may block for as long as we hold something back, and go on."""
        started = BackgroundCommand(lambda: self.monitor.execute(command, arguments, timeout_s=timeout_s))
        self._commands.append(started)
        return started

    def kill(self) -> None:
        """End QEMU at once; a QEMU that hangs cannot be asked. Afterwards nothing uses the folder any more."""
        self._stack.close()
        for command in self._commands:
            command.wait()

    def __enter__(self) -> QtestMachine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _start(self) -> tuple[QemuProcess, Monitor, QtestClient]:
        firmware = self.folder / "halt.bin"
        write_halting_firmware(firmware)
        our_qtest, qemu_qtest = socket.socketpair()
        our_monitor, qemu_monitor = socket.socketpair()
        with qemu_qtest, qemu_monitor:
            files = InheritedFiles(
                memory=self.memory.fd,
                qtest=qemu_qtest.fileno(),
                monitor=qemu_monitor.fileno(),
                firmware=firmware,
                disk_socket=self.disk.socket_path,
                trace_log=self.trace_log,
            )
            process = QemuProcess(
                argv_from_spec(self.spec, files),
                log=self.folder / "qemu.log",
                pass_fds=(files.memory, files.qtest, files.monitor),
            )
        self._stack.callback(_kill, process)
        slower = slowdown(self.spec.wrapper)
        qtest = QtestClient(our_qtest, timeout_s=slower * _ACCESS_S)
        self._stack.callback(qtest.close)
        try:
            monitor = Monitor(our_monitor, log=self.folder / "qmp.log", timeout_s=slower * _START_S)
        except (MonitorError, DeadlineError) as err:
            told = process.start_failure("starting QEMU for qtest", err).message
            raise BootError(told) from err  # which holds what the log does; that goes with its folder
        self._stack.callback(monitor.close)
        return process, monitor, qtest


def start_machine(spec: QtestSpec, folder: Path) -> QtestMachine:
    """Start a machine with the qtest accelerator, or with TCG where the binary has none.

    :raise HostError: no Unix socket can be made in the folder.
    :raise BootError: QEMU did not start with either.
    :raise StageError: it started, and its controller cannot be driven.
    """
    try:
        return QtestMachine(spec, folder)
    except BootError as err:
        if _NO_SUCH_ACCELERATOR not in err.message or spec.accelerator is not Accelerator.QTEST:
            raise
    return QtestMachine(replace(spec, accelerator=Accelerator.TCG), folder)


def _kill(process: QemuProcess) -> None:
    if process.exit_code() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.stop()
