"""The guest image, built from the distribution's packages and booted."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.build.build import Build
from lab.deadline import Deadline
from lab.host.accelerator_choice import AcceleratorChoice
from lab.image.build import build_image
from lab.image.guest_image import GuestImage
from lab.image.recipe import load_recipe
from lab.machine.blockdev import blockdev_from_backend
from lab.machine.command_line import GuestBoot, Wiring, argv_from_spec
from lab.machine.guest import Guest, booted
from lab.machine.mapping import Device
from lab.machine.process import QemuProcess
from lab.machine.spec import Controller, Disk, MachineSpec, NullBackend
from lab.progress import SilentProgress
from lab.settings import project_dir
from tests.real.conftest import boot_of

# One queue: with several the kernel takes the scheduler "none" by itself.
ONE_QUEUE = Controller("scsi0", Device.VIRTIO_SCSI, 1, (Disk("disk0", NullBackend()),))


def machine(accelerator: AcceleratorChoice) -> MachineSpec:
    """A machine with one SCSI disk."""
    return MachineSpec(accelerator.accelerator, 2, 512, (), (ONE_QUEUE,))


@pytest.fixture(scope="module")
def guest(
    tmp_path_factory: pytest.TempPathFactory,
    qemu_binary: Build,
    guest_image: GuestImage,
    accelerator: AcceleratorChoice,
) -> Iterator[Guest]:
    """One guest for the tests that only look."""
    evidence = tmp_path_factory.mktemp("image")
    with booted(
        qemu_binary.qemu, qemu_binary.firmware, machine(accelerator), boot_of(guest_image), evidence=evidence
    ) as running:
        yield running


def said(guest: Guest, command: str) -> str:
    """Return what a command in the guest printed."""
    return guest.shell.run(command, timeout_s=30).stdout


def test_the_image_is_small_and_its_kernel_is_started_directly(guest_image: GuestImage) -> None:
    """A static fio of 3 MB instead of 64 libraries; Debian's kernel has a PVH entry, so no note says otherwise."""
    assert guest_image.initrd.stat().st_size < 16 << 20
    assert guest_image.kernel.read_bytes()[:4] == b"\x7fELF" and guest_image.notes == ()


def test_the_second_call_finds_the_image(guest_image: GuestImage) -> None:
    """The same folder."""
    recipe = load_recipe(project_dir() / "guest-images" / "default.toml")
    assert build_image(recipe, progress=SilentProgress()) == guest_image


def test_the_guest_runs_what_the_image_says(guest: Guest, guest_image: GuestImage) -> None:
    """Kernel and fio, with the engines that the lab's jobs use."""
    assert said(guest, "uname -r").strip() == guest_image.kernel_version
    assert guest_image.programs["fio"].startswith(said(guest, "fio --version").strip().removeprefix("fio-"))
    assert {"libaio", "io_uring", "psync"} <= set(said(guest, "fio --enghelp").split())


def test_disks_have_the_scheduler_none_and_answer_fio_and_a_reset(guest: Guest) -> None:
    """Each of the three engines reads; sg_reset asks for a LOGICAL_UNIT_RESET."""
    assert "[none]" in said(guest, "cat /sys/block/sda/queue/scheduler")
    for engine in ("libaio", "io_uring", "psync"):
        words = f"--name=x --filename=/dev/sda --direct=1 --rw=randread --size=256k --ioengine={engine} --minimal"
        assert said(guest, f"fio {words}").startswith("3;")
    said(guest, "sg_reset -d -N /dev/sg0")


def test_a_disk_that_is_plugged_in_shows_up_with_the_scheduler_none(guest: Guest) -> None:
    """Nobody types anything in the guest: the kernel makes the node, on-uevent sets the scheduler."""
    guest.monitor.execute("blockdev-add", blockdev_from_backend("disk1", NullBackend()))
    guest.monitor.execute("device_add", {"driver": "scsi-hd", "id": "late", "bus": "scsi0.0", "drive": "disk1"})
    wait = "for i in $(seq 100); do grep -q '\\[none\\]' /sys/block/sdb/queue/scheduler && break; sleep 0.1; done"
    assert "[none]" in said(guest, f"{wait}; cat /sys/block/sdb/queue/scheduler; test -b /dev/sdb")


def test_orphans_do_not_stay_zombies(guest: Guest) -> None:
    """The init waits for whoever it inherits, as a fio whose connection broke."""
    said(guest, "(sleep 0.2 &) ; sleep 1")
    states = said(guest, "cat /proc/[0-9]*/stat")
    assert not re.search(r"^\d+ \(sleep\) Z", states, re.MULTILINE)


def test_only_the_key_of_the_run_opens_the_guest(guest: Guest) -> None:
    """No password, and the file holds one key."""
    assert said(guest, "cat /root/.ssh/authorized_keys").count("ssh-ed25519 ") == 1
    assert "-s" in said(guest, "cat /proc/$(cat /var/run/dropbear.pid)/cmdline").split("\0")


def test_a_guest_with_a_key_it_cannot_trust_says_so_and_ends(
    qemu_binary: Build, guest_image: GuestImage, accelerator: AcceleratorChoice, tmp_path: Path
) -> None:
    """Right length, wrong characters: the console names the cause, the panic ends QEMU, nothing was carried out."""
    key = "AAAAC3NzaC1lZDI1NTE5AAAAI$(poweroff)`id`;*" + "A" * 26
    assert len(key) == 68
    boot = GuestBoot(guest_image.kernel, guest_image.initrd, f"{guest_image.cmdline} lab.key={key}")
    console = tmp_path / "console.log"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wiring = Wiring.for_lab(theirs.fileno(), console)
        argv = argv_from_spec(qemu_binary.qemu, qemu_binary.firmware, machine(accelerator), boot, wiring)
        with QemuProcess(argv, log=tmp_path / "qemu.log", pass_fds=(theirs.fileno(),)) as process:
            Deadline(60).wait_for("QEMU to end", process.exit_code)
    text = console.read_text(errors="replace")
    assert "lab: init" in text and "lab: ready" not in text
    assert re.search(r"^lab: error: reading lab\.key", text, re.MULTILINE) and "Kernel panic" in text
