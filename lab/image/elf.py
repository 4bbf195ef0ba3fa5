"""ELF files to what the lab must know of them: which libraries a program needs, how a kernel can be started."""

from __future__ import annotations

import io
import posixpath
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment, NoteSegment

from lab.errors import InputError

# In the order in which glibc's loader looks, Debian's folders and Fedora's; each distribution uses its own.
_LIBRARY_FOLDERS = (
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
)
_XEN_ELFNOTE_PHYS32_ENTRY = 18  # Linux, include/xen/interface/elfnote.h


@dataclass(frozen=True)
class ElfProgram:
    """What a program or library says about itself.

    :param machine: architecture and word size, for example ``("EM_X86_64", 64)``.
    :param interpreter: path of the dynamic loader; empty for a static program or a library.
    :param needed: names of libraries.
    :param run_path: folders to look in first; may begin with ``$ORIGIN``.
    """

    machine: tuple[str, int]
    interpreter: str
    needed: tuple[str, ...]
    run_path: tuple[str, ...]


def read_program(path: Path) -> ElfProgram:
    """Read an ELF program or library.

    :raise InputError: it cannot be read, or is not ELF.
    """
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            interpreter, needed, run_path = "", [], []
            for segment in elf.iter_segments():
                if isinstance(segment, InterpSegment):
                    interpreter = segment.get_interp_name()
                elif isinstance(segment, DynamicSegment):
                    tags: list[Any] = list(segment.iter_tags())  # each has an attribute named after what it is
                    needed = [tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"]
                    run_path = [tag.rpath for tag in tags if tag.entry.d_tag == "DT_RPATH"]
                    run_path += [tag.runpath for tag in tags if tag.entry.d_tag == "DT_RUNPATH"]
            machine = (elf["e_machine"], elf.elfclass)
    except OSError as err:
        raise InputError(f"'{path}' cannot be read: {err.strerror}") from err
    except ELFError as err:
        raise InputError(f"'{path}' is not a program: {err}") from err
    folders = (folder for path in run_path for folder in path.split(":"))
    return ElfProgram(machine, interpreter, tuple(needed), tuple(folder for folder in folders if folder))


def files_of_program(program: PurePosixPath, root: Path) -> dict[PurePosixPath, Path]:
    """Return the libraries and the loader that a program needs, by their path in the guest; nothing if it is static.

    What a program loads by itself while it runs is not seen.

    :param program: absolute path below ``root``.
    :param root: ``/``, or a folder that packages were unpacked in.
    :raise InputError: the program or a library is missing or cannot be read.
    """
    elf = read_program(root / program.relative_to("/"))
    found: dict[PurePosixPath, Path] = {}
    if elf.interpreter:
        loader = PurePosixPath(elf.interpreter)
        # In a package the loader may be an absolute link, which would lead out of root: look among the libraries first.
        _, found[loader] = _find_library(loader.name, elf, program, root, extra=(str(loader.parent),))
    waiting = [(program, elf)]
    while waiting:
        user, facts = waiting.pop()
        for name in facts.needed:
            if name == PurePosixPath(elf.interpreter).name:  # already in memory when libraries are looked for
                continue
            guest_path, path = _find_library(name, facts, user, root)
            if guest_path not in found:
                found[guest_path] = path
                waiting.append((guest_path, read_program(path)))
    return found


def has_pvh_entry(vmlinux: bytes) -> bool:
    """Tell whether QEMU can start an ELF kernel directly: it has the note that gives the PVH entry point.

    Source: QEMU, include/hw/elf_ops.h.inc and hw/i386/x86-common.c; Linux, arch/x86/platform/pvh/head.S.
    """
    try:
        elf = ELFFile(io.BytesIO(vmlinux))
        notes = (segment.data() for segment in elf.iter_segments() if isinstance(segment, NoteSegment))
        return any(note == ("Xen", _XEN_ELFNOTE_PHYS32_ENTRY) for data in notes for note in _notes(data))
    except ELFError:
        return False


def module_info(module: bytes) -> Iterator[tuple[str, str]]:
    """Yield the (key, value) pairs of a kernel module's ``.modinfo`` section.

    :raise InputError: not a kernel module.
    """
    try:
        section = ELFFile(io.BytesIO(module)).get_section_by_name(".modinfo")
    except ELFError as err:
        raise InputError(f"not a kernel module: {err}") from err
    if section is None:
        raise InputError("not a kernel module: it has no section .modinfo")
    for item in section.data().split(b"\0"):
        key, equals, value = item.decode(errors="replace").partition("=")
        if equals:
            yield key, value


def _notes(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield owner and type of each note; the library gives types as names, and has none for Xen's."""
    position = 0
    while position + 12 <= len(data):
        name_size, content_size, kind = struct.unpack_from("<III", data, position)
        position += 12
        yield data[position : position + name_size].rstrip(b"\0").decode(errors="replace"), kind
        position += -(-name_size // 4) * 4 + -(-content_size // 4) * 4


def _find_library(
    name: str, elf: ElfProgram, user: PurePosixPath, root: Path, *, extra: tuple[str, ...] = ()
) -> tuple[PurePosixPath, Path]:
    """Return a library's path in the guest and here.

    :raise InputError: it is nowhere.
    """
    origin = str(user.parent)
    run_path = (folder.replace("$ORIGIN", origin).replace("${ORIGIN}", origin) for folder in elf.run_path)
    for folder in (*run_path, *_LIBRARY_FOLDERS, *extra):
        guest_path = PurePosixPath(posixpath.normpath(folder)) / name
        if not guest_path.is_absolute():
            continue
        path = (root / guest_path.relative_to("/")).resolve()
        if not path.is_file() or not path.is_relative_to(root.resolve()):
            continue
        if read_program(path).machine == elf.machine:  # /lib may hold the 32-bit one
            return guest_path, path
    raise InputError(f"'{user}' needs the library '{name}', which is not there", remedy="install what it needs")
