from __future__ import annotations

import json
import time

from lab.build.arms import Arms, build_arms
from lab.build.build import Build
from lab.command import run
from lab.progress import SilentProgress

_QTEST = ("-accel", "qtest", "-display", "none", "-nodefaults", "-qmp", "stdio")
_QTEST_SESSION = b'{"execute":"qmp_capabilities"}\n{"execute":"query-version"}\n{"execute":"quit"}\n'


def test_the_binary_starts_with_the_qtest_accelerator(qemu_binary: Build) -> None:
    """The packaged one does not have it; ours is built from the package's source and says so."""
    lines = run([qemu_binary.qemu, *_QTEST, "-machine", "none"], stdin=_QTEST_SESSION, timeout_s=30).stdout.splitlines()
    version = json.loads(lines[2])["return"]["qemu"]
    assert qemu_binary.version == f"{version['major']}.{version['minor']}.{version['micro']}"
    assert (version["major"], version["minor"]) >= (10, 0)


def test_the_binary_has_what_the_lab_needs(qemu_binary: Build) -> None:
    """Accelerators, the devices, asynchronous I/O, user-mode network, and the trace backend."""
    devices = run([qemu_binary.qemu, "-device", "help"]).stdout
    assert all(name in devices for name in ('"virtio-scsi-pci"', '"virtio-blk-pci"', '"virtio-net-pci"'))
    accelerators = run([qemu_binary.qemu, "-accel", "help"]).stdout.split()
    assert {"tcg", "kvm"} <= set(accelerators)
    properties = run([qemu_binary.qemu, "-device", "virtio-scsi-pci,help"]).stdout
    assert "iothread-vq-mapping" in properties
    assert "log" in run([qemu_binary.qemu, "-trace", "help"]).stdout
    assert "user" in run([qemu_binary.qemu, "-netdev", "help"]).stdout.split()
    assert "null-co" in run([qemu_binary.qemu_img, "--help"]).stdout


def test_the_firmware_is_enough_to_boot(qemu_binary: Build) -> None:
    """A BIOS and the ROMs for -kernel: QEMU finds them by itself where it is told the folder."""
    folders = [word for folder in qemu_binary.firmware for word in ("-L", str(folder))]
    result = run([qemu_binary.qemu, *folders, *_QTEST], stdin=_QTEST_SESSION, timeout_s=30)
    assert "could not load" not in result.stderr.lower()
    names = {path.name for folder in qemu_binary.firmware for path in folder.iterdir()}
    assert {"bios-256k.bin", "pvh.bin", "linuxboot_dma.bin", "kvmvapic.bin"} <= names


def test_both_arms_are_built_alike_and_optimised(arms: Arms) -> None:
    """They differ in the series only."""
    assert arms.warnings == ()
    assert arms.baseline.c_flags == arms.candidate.c_flags and "-O2" in arms.baseline.c_flags
    assert "-g" not in arms.baseline.c_flags
    assert arms.baseline.binary_sha256 != arms.candidate.binary_sha256
    assert arms.baseline.firmware_sha256 == arms.candidate.firmware_sha256


def test_the_candidate_reuses_the_objects_of_the_baseline(arms: Arms) -> None:
    """A series that touches two files is a few steps of a build of more than a thousand."""
    assert arms.candidate.steps <= 10
    if arms.baseline.steps > 1000:  # it was built from nothing, on this machine
        assert arms.candidate.seconds < arms.baseline.seconds / 10


def test_a_second_call_is_a_hit_in_less_than_a_second(arms: Arms) -> None:
    """Although every byte of it is verified. The best of three: a busy machine is not what is tested."""

    def seconds() -> float:
        start = time.monotonic()
        again = build_arms(arms.source, arms.series, progress=SilentProgress())
        assert again.baseline.cached and again.candidate.cached
        return time.monotonic() - start

    assert min(seconds() for _ in range(3)) < 1.0
