"""The host's settings as named texts that can be read and written: files below a root folder, and services.

A target is a path below the root (``sys/kernel/mm/transparent_hugepage/enabled``) or ``service:NAME``. This is the
only module that changes the host.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from lab.command import is_installed, run
from lab.errors import HostError, StageError

SERVICE = "service:"
_MARKED = re.compile(r"\[([^\]\s]+)\]")
_SERVICE_TIMEOUT_S = 30.0


class ControlError(HostError):
    """A setting could not be read or written."""


class GoneError(ControlError):
    """There is no such setting (any more)."""


class Controls(Protocol):
    """Settings that can be found, read and written."""

    def find(self, pattern: str) -> tuple[str, ...]:
        """Return the targets that there are for a pattern, in order; a service is its own pattern."""
        ...

    def read(self, target: str) -> str:
        """Return a value; of ``always [madvise] never`` the one that is marked.

        :raise GoneError: there is no such setting.
        :raise ControlError: it cannot be read.
        """
        ...

    def write(self, target: str, value: str) -> None:
        """Change a value.

        :raise GoneError: there is no such setting.
        :raise ControlError: the kernel or the service manager refuses.
        """


class HostControls:
    """The settings of a host.

    :param root: ``/``, or a folder that looks like it; services exist only on ``/``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def find(self, pattern: str) -> tuple[str, ...]:
        """Return the targets that there are for a pattern."""
        if pattern.startswith(SERVICE):
            return (pattern,) if self._root == Path("/") and _has_service(pattern.removeprefix(SERVICE)) else ()
        found = (str(path.relative_to(self._root)) for path in self._root.glob(pattern))
        return tuple(sorted(found, key=_natural))

    def read(self, target: str) -> str:
        """Return a value.

        :raise GoneError: there is no such setting.
        :raise ControlError: it cannot be read.
        """
        if target.startswith(SERVICE):
            return _service_state(target.removeprefix(SERVICE))
        try:
            text = (self._root / target).read_text(encoding="utf-8", errors="replace").strip()
        except OSError as err:
            raise _error("read", target, err) from err
        marked = _MARKED.search(text)
        return marked.group(1) if marked else text

    def write(self, target: str, value: str) -> None:
        """Change a value. The file is never made: what is not there cannot be set.

        :raise GoneError: there is no such setting.
        :raise ControlError: the kernel or the service manager refuses.
        """
        if target.startswith(SERVICE):
            _set_service(target.removeprefix(SERVICE), value)
            return
        try:
            descriptor = os.open(self._root / target, os.O_WRONLY | os.O_TRUNC)
            try:
                os.write(descriptor, f"{value}\n".encode())
            finally:
                os.close(descriptor)
        except OSError as err:
            raise _error(f"set to '{value}'", target, err) from err


def _natural(target: str) -> list[tuple[int, str]]:
    """Sort cpu10 after cpu9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", target)]


def _error(what: str, target: str, err: OSError) -> ControlError:
    kind = GoneError if isinstance(err, FileNotFoundError | NotADirectoryError) else ControlError
    return kind(f"/{target} cannot be {what}: {err.strerror}")


def _is_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()  # sd_booted(3)


def _has_service(name: str) -> bool:
    """Tell whether systemd knows a service or, without systemd, there is an init script for it."""
    if _is_systemd():
        return _property(name, "LoadState") == "loaded"
    return Path("/etc/init.d", name).is_file() and is_installed("service")


def _service_state(name: str) -> str:
    """Return ``active`` or ``inactive``; without systemd that is what the pid file says."""
    if _is_systemd():
        return "active" if _property(name, "ActiveState") in ("active", "activating", "reloading") else "inactive"
    try:
        pid = int(Path("/run", f"{name}.pid").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "inactive"
    return "active" if Path("/proc", str(pid)).is_dir() else "inactive"


def _property(name: str, key: str) -> str:
    """Ask systemd, systemctl(1); a service it does not know has properties, too."""
    argv = ["systemctl", "show", f"--property={key}", "--value", f"{name}.service"]
    try:
        return run(argv, timeout_s=_SERVICE_TIMEOUT_S).stdout.strip()
    except StageError as err:
        raise ControlError(f"systemd does not say how service {name} is: {err.message}") from err


def _set_service(name: str, value: str) -> None:
    action = {"active": "start", "inactive": "stop"}[value]
    argv = ["systemctl", action, f"{name}.service"] if _is_systemd() else ["service", name, action]
    try:
        run(argv, timeout_s=_SERVICE_TIMEOUT_S)
    except StageError as err:
        raise ControlError(f"the service {name} did not {action}: {err.message}") from err
