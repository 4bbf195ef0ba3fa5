"""A QEMU that runs no guest: the words that every such machine begins with, and its firmware, which halts at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_FIRMWARE_BYTES = 65536
_RESET_VECTOR = 0xFFF0
_HALT = bytes((0xFA, 0xF4, 0xEB, 0xFD))
"""cli; hlt; and back to hlt should anything wake the CPU."""


@dataclass(frozen=True)
class Wiring:
    """File descriptors, and a path, that QEMU is started with."""

    memory: int
    qtest: int
    monitor: int
    firmware: Path


def bare_machine(
    qemu: Path, accelerator: str, memory_mib: int, wiring: Wiring, wrapper: Sequence[str] = ()
) -> list[str]:
    """Return the words that start a machine with nothing in it, driven over qtest and asked over QMP.

    It has no i8254: that waits for a moment of the virtual clock, which stands still under qtest, so the idle main loop
    would wake up every 27 ms. And no log of qtest, whose times cost more to print the later they are.

    :param wrapper: words before the command: a program that runs QEMU under its eyes, such as valgrind.
    """
    ram = f"memory-backend-file,id=ram,size={memory_mib}M,mem-path=/proc/self/fd/{wiring.memory},share=on"
    argv = [*wrapper, str(qemu), "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"]
    argv += ["-accel", accelerator, "-machine", "pc,pit=off,memory-backend=ram", "-m", f"{memory_mib}M", "-object", ram]
    argv += ["-bios", str(wiring.firmware)]
    argv += ["-chardev", f"socket,id=qtest,fd={wiring.qtest}", "-qtest", "chardev:qtest", "-qtest-log", "none"]
    return [*argv, "-chardev", f"socket,id=qmp,fd={wiring.monitor}", "-mon", "chardev=qmp,mode=control"]


def slowdown(wrapper: Sequence[str]) -> int:
    """Return how many times as long things may take with a wrapper; valgrind makes QEMU 50 times as slow."""
    return 10 if wrapper else 1


def write_halting_firmware(path: Path) -> None:
    """Write a firmware image that stops the CPU at its first instruction, for machines that run no guest."""
    image = bytearray(_FIRMWARE_BYTES)
    image[_RESET_VECTOR : _RESET_VECTOR + len(_HALT)] = _HALT
    path.write_bytes(image)
