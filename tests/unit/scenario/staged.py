"""A stage whose guest, monitor and load answer from tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from lab.errors import DeadlineError
from lab.machine.command_line import GuestBoot
from lab.machine.guest import Guest
from lab.machine.guest_clock import ClockReading
from lab.machine.mapping import Device, IOThreadMapping
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, NullBackend
from lab.scenario.load import AREA_MIB, Load
from lab.scenario.region import REGION_BYTES
from lab.scenario.site import Site
from lab.scenario.stage import Stage
from lab.testing import Answer, FakeClock, FakeMonitor, FakeProcess, FakeShell

QUIET: dict[str, Answer] = {
    "test ! -e /tmp/lab/load.status": "",
    "true": "",
}


class EventMonitor(FakeMonitor):
    """A fake monitor with events to come.

    :param events: name to the data of each, in order; a name that has none left never comes.
    """

    def __init__(self, answers: Mapping[str, object], events: Mapping[str, list[dict[str, object]]]) -> None:
        super().__init__(answers)
        self._to_come = {name: list(data) for name, data in events.items()}
        self.clock: FakeClock | None = None

    def wait_event(self, name: str, *, timeout_s: float, match: Callable[[Any], bool] = lambda _: True) -> Any:
        """Return the next event that matches; one that does not come takes its time on the clock."""
        for data in self._to_come.get(name, []):
            if match(data):
                self._to_come[name].remove(data)
                return data
        if self.clock is not None:
            self.clock.advance(timeout_s)
        raise DeadlineError(f"waited {timeout_s:g} s for event {name}, and it did not come")


def staged(
    folder: Path,
    *,
    qmp: Mapping[str, object] | None = None,
    events: Mapping[str, list[dict[str, object]]] | None = None,
    shell: Mapping[str, Answer] | None = None,
    device: Device = Device.VIRTIO_SCSI,
    exited: int | None = None,
) -> Stage:
    """Return a stage; what it is asked and not told fails the test."""
    controller = Controller(
        "ctl0", device, 2, (Disk("disk0", NullBackend()),), IOThreadMapping.round_robin(("iothread0", "iothread1"))
    )
    spec = MachineSpec("tcg", 2, 512, (IOThread("iothread0"), IOThread("iothread1")), (controller,))
    (folder / "qemu.log").touch()
    (folder / "console.log").touch()
    disk_file = folder / "disk0.raw"
    disk_file.touch()
    os.truncate(disk_file, (AREA_MIB << 20) + REGION_BYTES)
    talk = FakeShell(QUIET)
    talk.answers |= {**_region_answers(disk_file, talk), **(shell or {})}
    clock = FakeClock()
    monitor = EventMonitor(qmp or {}, events or {})
    monitor.clock = clock
    guest = Guest(
        spec,
        FakeProcess(log=folder / "qemu.log", exited=exited),
        monitor,
        talk,
        cast("Any", None),
        1.0,
        folder,
    )
    load = Load(talk, "/dev/sda", folder, make_deadline=clock.deadline)
    site = Site(Path("qemu"), (), GuestBoot(Path("k"), Path("i"), ""), cast("Any", None), disk_file, folder, folder)
    return Stage(guest, load, site, ExitStack(), make_deadline=clock.deadline, read_clock=clocks(clock))


def _region_answers(disk_file: Path, talk: FakeShell) -> dict[str, Answer]:
    """Return a guest's answers where it writes the end of its disk, and where it reads it."""

    def write() -> str:
        end_of_disk(disk_file, talk.files["/region"])
        return ""

    def read() -> str:
        return disk_file.read_bytes()[-REGION_BYTES:].decode("latin-1")

    return {"if=/region": write, "iflag=direct 2>/dev/null": read}


def end_of_disk(image: Path, content: bytes) -> None:
    """Overwrite the last 64 KiB of an image."""
    with image.open("r+b") as stream:
        stream.seek(-REGION_BYTES, os.SEEK_END)
        stream.write(content)


def clocks(clock: FakeClock, rate: float = 1.0) -> Callable[[object], ClockReading]:
    """Return a reader of a guest's clock that began at 1000 s and runs at this rate."""
    return lambda _shell: ClockReading(1000 + rate * clock.now(), clock.now(), 0.001)


def executed(stage: Stage) -> list[str]:
    """Return the QMP commands so far."""
    monitor = stage.guest.monitor
    assert isinstance(monitor, FakeMonitor)
    return [command for command, _arguments in monitor.executed]
