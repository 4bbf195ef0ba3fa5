"""A host to one user of it at a time: experiments measure each other, and tuning changes what is being measured."""

from __future__ import annotations

import errno
import math
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from lab.command import text_from_argv
from lab.deadline import Deadline
from lab.errors import HostError
from lab.progress import Progress, shortened

LOCK_NAME = "\0qemu-patch-lab.host"
_LOOK_AGAIN_S = 1.0
_MOST_ASKERS = 4096
_CREDENTIALS = struct.Struct("3i")
"""``struct ucred`` of unix(7): process, user and group."""


@contextmanager
def host_lock(purpose: str, *, waiting: Progress | None = None, patience: Deadline | None = None) -> Iterator[None]:
    """Hold the whole host: one experiment, one tuning or one restoring at a time, whoever's they are.

    An abstract Unix socket (unix(7)): the kernel gives it free when its holder dies, it needs no file that any user
    may write, and children do not inherit it. It is shared by all that share a network namespace.

    :param purpose: finishes the sentence "cannot ... now".
    :param waiting: shows that, and for whom, it is waited; None does not wait.
    :param patience: for how long; None waits until somebody presses Ctrl-C.
    :raise HostError: somebody else holds it, and it is not to be waited for.
    :raise DeadlineError: it was waited for, and did not come free.
    """
    with socket.socket(socket.AF_UNIX) as lock:
        if not _taken(lock):
            if waiting is None:
                raise HostError(
                    f"cannot {purpose} now: {_holder()}",
                    remedy="wait for it to end; run, bench, bisect and calibrate do so with --wait",
                )
            waiting.say(_holder())
            with waiting.stage("waiting for it to end") as stage:

                def taken() -> bool | None:
                    stage.update(0, note="it goes on")
                    return _taken(lock) or None

                patience = patience or Deadline(math.inf)
                patience.wait_for("the host to be free", taken, interval_s=_LOOK_AGAIN_S)
        lock.listen(_MOST_ASKERS)  # nobody is answered; the kernel tells whoever connects who listens
        yield


def check_host_is_free(purpose: str, *, waiting: Progress | None = None) -> None:
    """Make sure, before what takes long, that the host can be held now; somebody else may still be quicker.

    :param purpose: as of :func:`host_lock`, and so is ``waiting``.
    :raise HostError: somebody else holds it, and it is not to be waited for.
    """
    with host_lock(purpose, waiting=waiting):
        pass


def _taken(lock: socket.socket) -> bool:
    try:
        lock.bind(LOCK_NAME)
    except OSError as err:
        if err.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def _holder() -> str:
    """Say who holds the host, as far as the kernel tells: in another PID namespace, say, a process has no number."""
    pid = 0
    with suppress(OSError), socket.socket(socket.AF_UNIX) as asker:
        asker.setblocking(False)
        asker.connect(LOCK_NAME)
        pid, *_ = _CREDENTIALS.unpack(asker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    who = "another experiment, tuning or restoring is under way on this host"
    if pid == 0:
        return f"{who}; 'ss -xap | grep qemu-patch-lab' may show whose"
    try:
        process = psutil.Process(pid)
        words, began = process.cmdline(), time.localtime(process.create_time())
    except psutil.Error:  # it has just ended
        return f"{who}: process {pid}"
    since = time.strftime("%Y-%m-%d %H:%M:%S", began)
    return f"{who}: process {pid}, '{shortened(text_from_argv(words))}', since {since}"
