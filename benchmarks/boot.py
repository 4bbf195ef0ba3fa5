"""Prints how long the guest image takes from process start to the first command over SSH, beside the floor.

The floor is the same QEMU, machine and kernel with an initramfs that holds one static program of a few instructions,
which prints a line and waits. Between the two lies what the image costs; the floor is QEMU, firmware and kernel.

    python benchmarks/boot.py --qemu build/qemu-system-x86_64 -L build/pc-bios/optionrom -L /usr/share/seabios

The two take turns, so that what else the host does meets both.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import tempfile
from pathlib import Path

from lab.command import run
from lab.deadline import Deadline
from lab.image.build import build_image, default_recipe_path
from lab.image.cpio import archive_from_entries, character_device, regular_file
from lab.image.recipe import load_recipe
from lab.machine.command_line import GuestBoot, Wiring, argv_from_spec
from lab.machine.guest import booted
from lab.machine.process import QemuProcess
from lab.machine.spec import MachineSpec
from lab.progress import TerminalProgress

LINE = "floor: init"
TIMEOUT_S = 120.0
# write(1, line), then pause() for ever; an init that ends would panic the kernel.
FLOOR_INIT = f"""
static const char line[] = "{LINE}\\n";
static long call(long number, long a, const void *b, long c) {{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}}
void _start(void) {{
    call(1, 1, line, sizeof line - 1);
    for (;;) call(34, 0, 0, 0);
}}
"""


def floor_initrd(folder: Path) -> Path:
    """Compile the floor's only program and return an initramfs of it."""
    source, program, initrd = folder / "init.c", folder / "init", folder / "floor.cpio"
    source.write_text(FLOOR_INIT)
    run(("gcc", "-static", "-nostdlib", "-Os", "-o", program, source))
    entries = [character_device("/dev/console", 5, 1), regular_file("/init", program.read_bytes(), 0o755)]
    initrd.write_bytes(archive_from_entries(entries))
    return initrd


def floor_s(qemu: Path, firmware: list[Path], spec: MachineSpec, boot: GuestBoot, evidence: Path) -> float:
    """Return the seconds from process start to the floor's line on the console."""
    console = evidence / "console.log"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        deadline = Deadline(TIMEOUT_S)
        argv = argv_from_spec(qemu, firmware, spec, boot, Wiring.for_lab(theirs.fileno(), console))
        with QemuProcess(argv, log=evidence / "qemu.log", pass_fds=(theirs.fileno(),)):
            deadline.wait_for("the floor's line", lambda: (console.exists() and LINE in console.read_text()) or None)
            return deadline.elapsed_s()


def main() -> None:
    """Boot both as often as asked for and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qemu", type=Path, required=True, help="a qemu-system-x86_64")
    parser.add_argument("-L", dest="firmware", type=Path, action="append", default=[], help="folder with ROM images")
    parser.add_argument("--recipe", type=Path, default=default_recipe_path())
    parser.add_argument("--boots", type=int, default=5, help="of each of the two")
    parser.add_argument("--accelerator", choices=("tcg", "kvm"), default="tcg")
    parser.add_argument("--cpu", default=None, help="for -cpu; the lab's own choice by default")
    options = parser.parse_args()

    image = build_image(load_recipe(options.recipe), progress=TerminalProgress())
    cpu = options.cpu or ("host" if options.accelerator == "kvm" else MachineSpec.cpu_model)
    spec = MachineSpec(options.accelerator, vcpus=4, memory_mib=1024, iothreads=(), controllers=(), cpu_model=cpu)
    whole = GuestBoot(image.kernel, image.initrd, image.cmdline)
    image_times, floor_times = [], []
    with tempfile.TemporaryDirectory() as folder:
        bare = GuestBoot(image.kernel, floor_initrd(Path(folder)), image.cmdline)
        for number in range(options.boots):
            evidence = [Path(folder) / f"{name}-{number}" for name in ("floor", "image")]
            for path in evidence:
                path.mkdir()
            floor_times.append(floor_s(options.qemu, options.firmware, spec, bare, evidence[0]))
            with booted(
                options.qemu, options.firmware, spec, whole, evidence=evidence[1], timeout_s=TIMEOUT_S
            ) as guest:
                image_times.append(guest.boot_s)
    floor, median = statistics.median(floor_times), statistics.median(image_times)
    load = os.getloadavg()[0]
    print(f"{spec.accelerator}, -cpu {cpu}, {spec.vcpus} vCPUs, {os.cpu_count()} host CPUs, load {load:.1f}, seconds")
    for name, times in (("floor: first line of an init", floor_times), ("image: first command over SSH", image_times)):
        print(f"{name}   median {statistics.median(times):.2f}   best {min(times):.2f}   worst {max(times):.2f}")
    print(f"image / floor   {median / floor:.2f}")


if __name__ == "__main__":
    main()
