import json
from pathlib import Path

import pytest

from lab.errors import MonitorError
from lab.virtio.qtest_machine import (
    Accelerator,
    BackgroundCommand,
    InheritedFiles,
    LogicalUnit,
    QtestSpec,
    argv_from_spec,
)
from lab.virtio.virtio_scsi import Lun

FILES = InheritedFiles(
    memory=5, qtest=6, monitor=7, firmware=Path("halt.bin"), disk_socket=Path("nbd"), trace_log=Path("trace.log")
)
UNIT = LogicalUnit("lun0", Lun(2, 3))


def values(argv: tuple[str, ...], option: str) -> list[str]:
    """Return the values of an option, in order."""
    return [argv[index + 1] for index, word in enumerate(argv) if word == option]


def test_devices_are_json_and_in_order() -> None:
    """The controller comes before its disks, with the properties it was given."""
    spec = QtestSpec(Path("qemu"), (UNIT,), num_queues=3, iothreads=("t0",), controller={"iothread": "t0"})
    argv = argv_from_spec(spec, FILES)
    controller, disk = (json.loads(value) for value in values(argv, "-device"))
    assert controller == {
        "driver": "virtio-scsi-pci",
        "id": "scsi0",
        "disable-legacy": "on",
        "num_queues": 3,
        "iothread": "t0",
    }
    assert disk == UNIT.device_json() and disk["scsi-id"] == 2 and disk["lun"] == 3
    assert json.loads(values(argv, "-object")[1]) == {"qom-type": "iothread", "id": "t0"}
    (node,) = (json.loads(value) for value in values(argv, "-blockdev"))
    assert (node["node-name"], node["export"], node["server"]["path"]) == ("lun0", "lun0", "nbd")


def test_memory_and_sockets_are_inherited() -> None:
    """RAM, qtest and QMP come by descriptor: no path that could be taken by somebody else."""
    argv = argv_from_spec(QtestSpec(Path("qemu"), ()), FILES)
    assert "mem-path=/proc/self/fd/5" in values(argv, "-object")[0]
    assert values(argv, "-chardev") == ["socket,id=qtest,fd=6", "socket,id=qmp,fd=7"]
    assert values(argv, "-accel") == ["qtest"] and "-D" not in argv


def test_a_wrapper_comes_before_the_binary() -> None:
    """So that another program can start it; without one the binary is first."""
    spec = QtestSpec(Path("qemu"), (), wrapper=("valgrind", "--tool=callgrind"))
    assert argv_from_spec(spec, FILES)[:3] == ("valgrind", "--tool=callgrind", "qemu")
    assert argv_from_spec(QtestSpec(Path("qemu"), ()), FILES)[0] == "qemu"


def test_tracing_and_the_other_accelerator() -> None:
    """Trace events go to a file of their own; without the qtest accelerator the vCPU runs the halting firmware."""
    spec = QtestSpec(Path("qemu"), (), trace=("a_*", "b"), accelerator=Accelerator.TCG)
    argv = argv_from_spec(spec, FILES)
    assert values(argv, "-trace") == ["a_*", "b"] and values(argv, "-D") == ["trace.log"]
    assert values(argv, "-accel") == ["tcg"] and values(argv, "-bios") == ["halt.bin"]


@pytest.mark.parametrize(("error", "text"), [(None, ""), (MonitorError("QEMU refused"), "QEMU refused")])
def test_a_command_in_the_background_keeps_its_error(error: MonitorError | None, text: str) -> None:
    """What went wrong is there when it has finished."""

    def action() -> None:
        if error is not None:
            raise error

    command = BackgroundCommand(action)
    command.wait()
    assert command.finished and command.error == text
