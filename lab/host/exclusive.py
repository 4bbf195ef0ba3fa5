"""A host to one user of it at a time: experiments measure each other, and tuning changes what is being measured."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from lab.errors import HostError

LOCK_NAME = "\0qemu-patch-lab.host"


@contextmanager
def host_lock(purpose: str) -> Iterator[None]:
    """Hold the whole host: one experiment, one tuning or one restoring at a time, whoever's they are.

    An abstract Unix socket (unix(7)): the kernel gives it free when its holder dies, it needs no file that any user
    may write, and children do not inherit it. It is shared by all that share a network namespace.

    :param purpose: finishes the sentence "cannot ... now".
    :raise HostError: somebody else holds it.
    """
    with socket.socket(socket.AF_UNIX) as holder:
        try:
            holder.bind(LOCK_NAME)
        except OSError as err:
            raise HostError(
                f"cannot {purpose} now: another experiment, tuning or restoring is under way on this host",
                remedy="wait for it to end; 'ss -xap | grep qemu-patch-lab' shows whose it is",
            ) from err
        yield
