"""What every machine without a guest begins with."""

from __future__ import annotations

from pathlib import Path

from lab.virtio.bare_machine import Wiring, bare_machine, slowdown, write_halting_firmware

WIRING = Wiring(memory=5, qtest=6, monitor=7, firmware=Path("halt.bin"))


def test_nothing_of_the_machine_wakes_up_or_prints_by_itself() -> None:
    """Its timer would, and so would a log of every register access."""
    text = " ".join(bare_machine(Path("/qemu"), "tcg", 32, WIRING))
    assert text.startswith("/qemu -nodefaults ") and "-accel tcg -machine pc,pit=off," in text
    assert "-qtest-log none" in text and "-m 32M" in text


def test_what_runs_in_a_wrapper_may_take_longer() -> None:
    """A program under valgrind is many times as slow."""
    assert bare_machine(Path("/qemu"), "qtest", 32, WIRING, ("valgrind",))[:2] == ["valgrind", "/qemu"]
    assert slowdown(()) == 1 and slowdown(("valgrind",)) > 1


def test_the_firmware_halts_at_the_reset_vector(tmp_path: Path) -> None:
    """The first instruction an x86 CPU runs is 16 bytes below the end of the image: cli, hlt, and back to hlt."""
    write_halting_firmware(tmp_path / "halt.bin")
    image = (tmp_path / "halt.bin").read_bytes()
    assert len(image) == 65536 and image[-16:-12] == bytes((0xFA, 0xF4, 0xEB, 0xFD))
