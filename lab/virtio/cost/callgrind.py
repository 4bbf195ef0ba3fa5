"""A QEMU under valgrind's callgrind, and a profile for each piece of its life.

callgrind writes a profile, and starts the next at zero, whenever a function is entered that was named when it was
started (``--dump-before``). That function is the one behind a QMP command that does next to nothing: so a command cuts
the life of QEMU into pieces, at a moment we choose, without attaching to it as ``callgrind_control`` does (ten times
slower, and not permitted in every container).

What would make counts of the same work differ is taken out. Threads of valgrind run one at a time and in turn. glibc's
malloc keeps all that it is given back in its per-thread cache: merging and splitting free chunks costs up to 3 % of
a request, more or less as the heap happens to lie. Its memset and memcpy use vector stores for large blocks, too:
of ``rep stosb``, which they would use, callgrind counts every byte as an instruction, and no processor does.
"""

from __future__ import annotations

from pathlib import Path

from lab.errors import InputError
from lab.machine.monitor import Monitor

PROGRAM = "valgrind"
_CUT_COMMAND = "query-name"
_CUT_FUNCTION = "qmp_marshal_query_name"
"""Generated from the command's name in QEMU's QAPI schema (since 0.14) by scripts/qapi/commands.py."""
_GLIBC = (
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

    :param folder: the one of :func:`wrapper`.
    """

    def __init__(self, monitor: Monitor, folder: Path) -> None:
        self._monitor = monitor
        self._folder = folder
        self._count = 0

    def cut(self) -> Path:
        """End the current piece and return its profile, which is complete; the next piece begins.

        :raise StageError: QEMU does not answer or is gone.
        :raise InputError: the binary has no symbols, so that nothing is written.
        """
        self._monitor.execute(_CUT_COMMAND)
        self._count += 1
        path = self._folder / f"{_PROFILE}.{self._count}"
        if not path.is_file():
            raise InputError(
                f"callgrind does not find {_CUT_FUNCTION} in the binary: it was stripped of its symbols",
                remedy="give a QEMU that was not stripped, such as one that 'lab build' makes",
            )
        return path
