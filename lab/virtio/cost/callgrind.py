"""A QEMU under valgrind's callgrind, and a profile for each piece of its life.

callgrind writes a profile, and starts the next at zero, whenever a function is entered that was named when it was
started (``--dump-before``). That function is the one behind an I/O port that nobody else reads: so a register access
cuts the life of QEMU into pieces, at a moment we choose, without attaching to it as ``callgrind_control`` does (ten
times slower, and not permitted in every container). A QMP command would do the same, with a thread, a coroutine and a
hash table between it and its function, none of which takes the same number of instructions twice.

What would make counts of the same work differ is taken out. Threads of valgrind run one at a time and in turn. glibc's
malloc has one arena, as an address in another one costs ``free`` more, and keeps all that it is given back in its
per-thread cache: merging and splitting free chunks costs up to 3 % of a request, more or less as the heap happens to
lie. Its memset and memcpy use vector stores for large blocks, too: of ``rep stosb``, which they would use, callgrind
counts every byte as an instruction, and no processor does.
"""

from __future__ import annotations

from pathlib import Path

from lab.errors import InputError
from lab.virtio.qtest_client import QtestClient

PROGRAM = "valgrind"
_CUT_PORT = 0x92
_CUT_FUNCTION = "port92_read"
"""Of the PC's fast A20 gate (hw/i386/port92.c, of this name since 0.14): reading it changes nothing."""
_GLIBC = (
    "malloc.arena_max=1",
    "malloc.tcache_count=4096",
    "malloc.tcache_max=65536",
    "cpu.x86_rep_stosb_threshold=1073741824",
    "cpu.x86_rep_movsb_threshold=1073741824",
)
_PROFILE = "profile"


def wrapper(folder: Path) -> tuple[str, ...]:
    """Return the words before QEMU's command line that make callgrind count.

    :param folder: gets the profiles.
    """
    options = ("--tool=callgrind", "--vgdb=no", "--fair-sched=try", f"--dump-before={_CUT_FUNCTION}")
    tunables = ":".join(f"glibc.{setting}" for setting in _GLIBC)
    return ("env", f"GLIBC_TUNABLES={tunables}", PROGRAM, *options, f"--callgrind-out-file={folder / _PROFILE}")


class Profiles:
    """The profiles of one QEMU, in the order of its life.

    :param qtest: its registers.
    :param folder: the one of :func:`wrapper`.
    """

    def __init__(self, qtest: QtestClient, folder: Path) -> None:
        self._qtest = qtest
        self._folder = folder
        self._count = 0

    def cut(self) -> Path:
        """End the current piece and return its profile, which is complete; the next piece begins.

        :raise DeadlineError: QEMU's main loop does not answer.
        :raise StageError: QEMU is gone.
        :raise InputError: the binary has no symbols, so that nothing is written.
        """
        self._qtest.port_in(_CUT_PORT, 1)
        self._count += 1
        path = self._folder / f"{_PROFILE}.{self._count}"
        if not path.is_file():
            raise InputError(
                f"callgrind does not find {_CUT_FUNCTION} in the binary: it was stripped of its symbols",
                remedy="give a QEMU that was not stripped, such as one that 'lab build' makes",
            )
        return path
