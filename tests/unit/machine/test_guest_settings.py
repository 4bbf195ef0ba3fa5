"""What only the guest can set or prove."""

from typing import cast

import pytest

from lab.errors import WorkloadError
from lab.machine.backend import NullBackend
from lab.machine.guest_settings import settle_guest
from lab.machine.guest_shell import GuestShell, ShellResult
from lab.machine.mapping import Device
from lab.machine.spec import Controller, Disk, MachineSpec

DISKS = tuple(Disk(name, NullBackend()) for name in ("a", "b"))


class FakeShell:
    """A guest whose files answer; anything else is refused."""

    def __init__(self, files: dict[str, str], *, obeys: bool = True) -> None:
        self.files = files
        self.obeys = obeys

    def run(self, command: str, *, timeout_s: float, check: bool = True) -> ShellResult:
        """Do what echo and cat do to a scheduler file."""
        assert timeout_s > 0
        words = command.split()
        if words[0] == "echo" and words[2] == ">":
            offered = self.files[words[3]].replace("[", "").replace("]", "").split()
            done = self.obeys and words[1] in offered
            if done:
                self.files[words[3]] = " ".join(f"[{name}]" if name == words[1] else name for name in offered)
            assert done or not check
            return ShellResult(command, 0 if done else 1, "", "")
        assert words[0] == "cat"
        return ShellResult(command, 0, self.files.get(words[1], "") + "\n", "")


def settle(shell: FakeShell, *, scheduler: str | None = None, haltpoll: bool = False) -> dict[str, object]:
    """Settle a guest with two SCSI disks."""
    controllers = (Controller("scsi0", Device.VIRTIO_SCSI, 1, DISKS),)
    spec = MachineSpec("kvm", 1, 256, (), controllers, scheduler=scheduler, haltpoll=haltpoll)
    return settle_guest(cast("GuestShell", shell), spec)


def schedulers(text: str) -> dict[str, str]:
    """The scheduler files of both disks."""
    return {f"/sys/block/{name}/queue/scheduler": text for name in ("sda", "sdb")}


def test_every_disk_gets_the_scheduler() -> None:
    """It is written and read back, and stands in the record."""
    shell = FakeShell(schedulers("[none] mq-deadline"))
    assert settle(shell, scheduler="mq-deadline") == {"scheduler": "mq-deadline"}
    assert set(shell.files.values()) == {"none [mq-deadline]"}


def test_a_disk_without_schedulers_has_none() -> None:
    """Old kernels print the word alone."""
    assert settle(FakeShell(schedulers("none"), obeys=False), scheduler="none") == {"scheduler": "none"}


def test_a_scheduler_that_is_not_there_ends_the_run() -> None:
    """With what the kernel offers."""
    with pytest.raises(WorkloadError, match=r"does not use the I/O scheduler 'bfq' for /dev/sda: it offers \[none\]"):
        settle(FakeShell(schedulers("[none] mq-deadline")), scheduler="bfq")


def test_a_guest_that_is_asked_nothing_is_left_alone() -> None:
    """No command is run."""
    assert settle(FakeShell({})) == {}


def test_haltpoll_is_proved() -> None:
    """The idle driver is read: the module refuses to load without KVM, and says so to nobody."""
    file = "/sys/devices/system/cpu/cpuidle/current_driver"
    assert settle(FakeShell({file: "haltpoll"}), haltpoll=True) == {"idle_driver": "haltpoll"}
    for found, told in (("acpi_idle", "acpi_idle"), ("", "none")):
        with pytest.raises(WorkloadError, match=f"the guest's idle driver is '{told}'"):
            settle(FakeShell({file: found}), haltpoll=True)
