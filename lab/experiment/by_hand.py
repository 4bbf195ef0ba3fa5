"""A cell to a session in its guest: booted, talked to, and gone again however the session ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lab.errors import CrashError, GuestError, HostError, StageError
from lab.experiment.one_cell import OneCell
from lab.experiment.storage import storage_held
from lab.machine.command_line import GuestBoot
from lab.machine.guest import Guest, booted
from lab.machine.guest_disks import disks_of
from lab.machine.terminal import Ends, TerminalSize, relay

BOOT_TIMEOUT_S = 60.0
_LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), less its end
_ENDING_S = 5.0


@dataclass(frozen=True)
class ByHand:
    """A guest for somebody at a terminal.

    :param qmp: path of a socket that speaks QMP, beside the lab's own.
    """

    guest: Guest
    qmp: Path


@contextmanager
def evidence_folder(purpose: str) -> Iterator[Path]:
    """Make a folder for a boot, and remove it afterwards unless an error is on its way that may name a file in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"lab-{purpose}-"))
    try:
        yield folder
    except StageError:
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def booted_by_hand(cell: OneCell, folder: Path) -> Iterator[ByHand]:
    """Boot a cell with a second monitor, and hand it over with all its disks there.

    :param folder: an existing one for the socket and the logs.
    :raise HostError: the folder's name is too long for a socket, or a device of the host is in use.
    :raise StageError: it does not boot, or not all disks appear.
    """
    qmp = folder / "qmp.sock"
    if len(os.fsencode(qmp)) > _LONGEST_SOCKET_PATH:
        raise HostError(f"{qmp} is too long a path for a socket", remedy="set TMPDIR to a shorter one")
    chardev = f"socket,id=by-hand,path={str(qmp).replace(',', ',,')},server=on,wait=off"
    words = ("-chardev", chardev, "-mon", "chardev=by-hand,mode=control")
    boot = GuestBoot(cell.image.kernel, cell.image.initrd, cell.image.cmdline)
    with (
        storage_held(cell.spec),
        booted(
            cell.build.qemu,
            cell.build.firmware,
            cell.spec,
            boot,
            evidence=folder,
            timeout_s=BOOT_TIMEOUT_S,
            words=words,
        ) as guest,
    ):
        disks_of(guest)
        yield ByHand(guest, qmp)


def talk(guest: Guest, command: str | None, ends: Ends) -> int | None:
    """Connect somebody with the login shell of a guest, or with a command in it.

    :param command: None for the login shell, with a terminal if there is one at this end.
    :return: its exit status; None where the guest was shut down meanwhile.
    :raise GuestError: the guest went away in another manner than being shut down.
    :raise CrashError: QEMU crashed.
    """
    size = TerminalSize.of(ends.stdin) if command is None else None
    session = guest.shell.session(command, size=size)
    try:
        status = relay(session, ends, size)
    finally:
        with suppress(OSError, EOFError):
            session.close()
    if status is not None:
        return status
    if guest.process.ended_within(_ENDING_S) is None:
        raise GuestError("the guest went away during the session", evidence=guest.evidence)
    if guest.process.exit_code() != 0:
        raise CrashError(guest.process.failure("during the session").message, evidence=guest.evidence)
    return None
