"""Small ELF files for tests: no code, only what the lab reads of them. Layout: System V ABI, ELF-64."""

from __future__ import annotations

import struct
from collections.abc import Sequence

X86_64 = 62
AARCH64 = 183
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE = 1, 2, 3, 4
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH = 1, 5, 10, 15, 29


def program(
    *,
    interpreter: str = "",
    needed: Sequence[str] = (),
    run_path: str = "",
    r_path: str = "",
    machine: int = X86_64,
    filler: bytes = b"",
) -> bytes:
    """Return a program or library that is linked with others."""
    strings = b"\0"
    tags: list[tuple[int, int]] = []
    for tag, text in [*((_DT_NEEDED, name) for name in needed), (_DT_RUNPATH, run_path), (_DT_RPATH, r_path)]:
        if text:
            tags.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    segments: list[tuple[int, bytes]] = [(_PT_INTERP, interpreter.encode() + b"\0")] if interpreter else []
    if not tags:
        return _elf(machine, segments, filler)
    dynamic_size = 16 * (len(tags) + 3)
    strings_at = _start(len(segments) + 2) + sum(len(data) for _, data in segments) + dynamic_size
    tags += [(_DT_STRTAB, strings_at), (_DT_STRSZ, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    return _elf(machine, [*segments, (_PT_DYNAMIC, dynamic)], strings + filler, load=True)


def vmlinux(*, version: str = "6.1.0-test", pvh: bool = True) -> bytes:
    """Return a kernel with or without the note that gives the PVH entry point."""
    other, entry = _note("Linux", 257, b"\0" * 6), _note("Xen", 18, b"\0\0\0\1")
    return _elf(X86_64, [(_PT_NOTE, other + entry if pvh else other)], f"Linux version {version} (x@y)\0".encode())


def module(**info: str) -> bytes:
    """Return a kernel module whose ``.modinfo`` section holds these keys."""
    text = b"".join(f"{key}={value}".encode() + b"\0" for key, value in info.items()) + b"license\0"
    names = b"\0.modinfo\0.shstrtab\0"
    sections = [(0, 0, 0, 0), (1, 1, 64, len(text)), (10, 3, 64 + len(text), len(names))]
    table = b"".join(
        struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, 0, 0, 1, 0) for name, kind, offset, size in sections
    )
    header = _header(X86_64, 0, table_at=64 + len(text) + len(names), sections=len(sections), kind=1)
    return header + text + names + table


def _elf(machine: int, segments: Sequence[tuple[int, bytes]], rest: bytes, *, load: bool = False) -> bytes:
    """Return an ELF file: segments one after the other, then the rest; ``load`` maps the whole file at address 0."""
    count = len(segments) + load
    offset = _start(count)
    total = offset + sum(len(data) for _, data in segments) + len(rest)
    headers = [struct.pack("<IIQQQQQQ", _PT_LOAD, 4, 0, 0, 0, total, total, 1)] if load else []
    for kind, data in segments:
        headers.append(struct.pack("<IIQQQQQQ", kind, 4, offset, offset, offset, len(data), len(data), 1))
        offset += len(data)
    return _header(machine, count) + b"".join(headers) + b"".join(data for _, data in segments) + rest


def _start(segments: int) -> int:
    return 64 + 56 * segments


def _header(machine: int, segments: int, *, table_at: int = 0, sections: int = 0, kind: int = 2) -> bytes:
    names_index = sections - 1 if sections else 0
    fields = (kind, machine, 1, 0, 64 if segments else 0, table_at, 0, 64, 56, segments, 64, sections, names_index)
    return b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", *fields)


def _note(owner: str, kind: int, content: bytes) -> bytes:
    name = owner.encode() + b"\0"
    return (
        struct.pack("<III", len(name), len(content), kind)
        + name.ljust(-(-len(name) // 4) * 4, b"\0")
        + content.ljust(-(-len(content) // 4) * 4, b"\0")
    )
