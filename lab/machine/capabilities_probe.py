"""A QEMU binary to its :class:`Capabilities`: started once without a guest and asked over QMP, then remembered.

Nothing is guessed from a version. ``-accel help`` never lists qtest, ``device_add`` of an old QEMU takes a mapping it
does not know (it was dropped in silence until QEMU 9.2), and the schema lists block drivers and ``aio`` modes that
were not compiled in: so each is tried. What is named may be any program: every wait has a deadline, what it prints
is cut off, and it can say nothing that is not checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from lab.errors import BootError, InputError, MonitorError, StageError
from lab.machine.capabilities import Capabilities
from lab.machine.mapping import PROPERTY, Device, Dialect, IOThreadMapping
from lab.machine.mapping_render import qmp_from_mapping
from lab.machine.mapping_rules import MappedDevice
from lab.machine.monitor import Monitor
from lab.machine.process import QemuProcess, tail_of
from lab.scratch import scratch_folder
from lab.settings import cache_dir

FORMAT = 1
_GREETING_S = 20.0
_BIOS_BYTES = 1 << 16
"""The smallest BIOS that a PC takes (hw/i386/x86-common.c wants a multiple of it); no vCPU runs, so it is empty."""
_MOST_OUTPUT_BYTES = 16 << 20
_SCHEMA_ROOTS = ("blockdev-add", "object-add", "netdev_add")
_AIO_MODES = ("threads", "native", "io_uring")
_NEEDS_DIRECT = "requires cache.direct=on"
"""What ``aio=native`` answers where it was compiled in: that is looked at first (block/file-posix.c)."""
_REFUSED = "QEMU refused a command: "
_MISSING = "missing vq 1 IOThread assignment in iothread-vq-mapping"
_TRACED = "handle_qmp_command"
_CPU = "-cpu"
_STORAGE = re.compile(r"virtio-(?:blk|scsi|net)|vhost-|scsi-|nvme|ide-|pcie?-")
"""Drivers whose properties are asked for: those of a storage path and what it hangs on. To ask all of them loads the
module of each, and a module that lacks its library ends QEMU 7.2 ("missing object type")."""
_FORMATS = re.compile(r"^Supported formats: (.*)$", re.MULTILINE)


def capabilities_of(qemu: Path) -> Capabilities:
    """Return what a binary can do: from the cache where this very file was asked before on this kernel.

    :raise InputError: it cannot be read or started, or is no QEMU.
    :raise HostError: there is no cache folder, or ``setpriv`` is not installed.
    """
    stored = cache_dir("capabilities") / f"{_digest_of(qemu)}.json"
    key = f"{FORMAT} {platform.release()}"
    with suppress(OSError, ValueError, InputError):
        seal, _, text = stored.read_text(encoding="utf-8").partition("\n")
        if seal == _seal(key, text):
            return Capabilities.from_json(json.loads(text))
    found = probe(qemu)
    text = json.dumps(found.to_json())
    fresh = stored.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # a full disk: the next call asks again
        fresh.write_text(f"{_seal(key, text)}\n{text}", encoding="utf-8")
        fresh.replace(stored)
    return found


def _seal(key: str, text: str) -> str:
    """Return the first line of a cache entry, which vouches for the rest of it."""
    return f"{key} {hashlib.sha256(text.encode()).hexdigest()}"


def _digest_of(qemu: Path) -> str:
    if not qemu.is_file():
        raise InputError(f"there is no QEMU at {qemu}", remedy="name the file qemu-system-x86_64")
    try:
        with qemu.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as err:
        raise InputError(f"{qemu} cannot be read: {err.strerror}") from err


def probe(qemu: Path, *, timeout_s: float = _GREETING_S) -> Capabilities:
    """Start a binary without a guest, ask it, and end it.

    :param timeout_s: how long it may take to greet.
    :raise InputError: it cannot be started, does not greet in time, or does not answer as a QEMU does.
    :raise HostError: ``setpriv`` is not installed.
    """
    with scratch_folder() as folder, ExitStack() as stack:
        log = folder / "qemu.log"
        try:
            monitor = stack.enter_context(_started(qemu.absolute(), folder, log, timeout_s))
            return _asked(monitor, folder, log)
        except StageError as err:
            raise _refusal(qemu, err.message, log) from err
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as err:
            raise _refusal(qemu, f"its answers are not QEMU's ({type(err).__name__})", log) from err


def _refusal(qemu: Path, why: str, log: Path) -> InputError:
    said = "\n".join(tail_of(log).strip().splitlines()[-5:])
    return InputError(
        f"{qemu} cannot be asked what it can do: {why}" + (f"\nit printed:\n{said}" if said else ""),
        remedy="name a qemu-system-x86_64 that starts on this host",
    )


@contextmanager
def _started(qemu: Path, folder: Path, log: Path, timeout_s: float) -> Iterator[Monitor]:
    bios = folder / "bios.bin"
    bios.write_bytes(bytes(_BIOS_BYTES))
    ours, theirs = socket.socketpair()
    with ExitStack() as stack:
        stack.callback(ours.close)
        with theirs:
            process = QemuProcess(_argv(qemu, bios, theirs.fileno()), log=log, pass_fds=(theirs.fileno(),))
        stack.callback(process.stop)
        try:
            monitor = Monitor(ours, log=folder / "qmp.log", timeout_s=timeout_s)
        except MonitorError as err:
            ended = process.ended_within(1.0)
            raise BootError(f"it ended with exit status {ended}" if ended is not None else err.message) from err
        stack.callback(monitor.close)
        yield monitor
        with suppress(StageError):
            monitor.execute("quit", timeout_s=2.0)


def _argv(qemu: Path, bios: Path, monitor_fd: int) -> tuple[str, ...]:
    """Return the command that starts a binary with its vCPU stopped; nothing it prints can fill the disk."""
    limit = ("prlimit", f"--fsize={_MOST_OUTPUT_BYTES}", "--")
    machine = ("-accel", "qtest", "-accel", "tcg", "-S", "-machine", "pc", "-bios", str(bios), "-display", "none")
    bare = ("-nodefaults", "-no-user-config")
    monitor = ("-chardev", f"socket,id=qmp0,fd={monitor_fd}", "-mon", "chardev=qmp0,mode=control")
    return (*limit, str(qemu), *machine, *bare, *monitor)


def _asked(monitor: Monitor, folder: Path, log: Path) -> Capabilities:
    version = monitor.execute("query-version")
    machines = monitor.execute("query-machines")
    accelerators = _types(monitor, "accel")
    cpus = [name for name in _types(monitor, "cpu") if name.endswith(_CPU)]
    drivers = [name for name in _types(monitor, "device") if name not in cpus]
    devices = {name: _properties(monitor, name) if _STORAGE.match(name) else [] for name in drivers}
    numbers = version["qemu"]
    text = f"{numbers['major']}.{numbers['minor']}.{numbers['micro']} {version['package']}".strip()
    return Capabilities.from_json(
        {
            "version": text,
            "accelerators": sorted(name.removesuffix("-accel") for name in accelerators if name.endswith("-accel")),
            "machine_types": sorted(name for m in machines for name in (m["name"], m.get("alias")) if name),
            "cpu_models": sorted(name.removesuffix(_CPU).rpartition("-")[0] for name in cpus),
            "devices": devices,
            "block_drivers": _block_drivers(monitor),
            "schema": _reachable(monitor.execute("query-qmp-schema")),
            "tried": _tried(monitor, folder / "disk.img"),
            "trace_backends": _trace_backends(monitor, log),
            "scsi_dialect": _scsi_dialect(monitor) if PROPERTY in devices.get(Device.VIRTIO_SCSI.value, ()) else None,
        }
    )


def _types(monitor: Monitor, parent: str) -> list[str]:
    found = monitor.execute("qom-list-types", {"implements": parent, "abstract": False})
    return sorted(str(item["name"]) for item in found)


def _properties(monitor: Monitor, driver: str) -> list[str]:
    try:
        found = monitor.execute("device-list-properties", {"typename": driver})
    except MonitorError:  # a type that cannot be made on its own has no list
        return []
    return sorted(str(item["name"]) for item in found)


def _block_drivers(monitor: Monitor) -> list[str]:
    """Return the block drivers; only the monitor for people lists them (blockdev.c, ``format=help``)."""
    found = _FORMATS.search(_hmp(monitor, "drive_add 0 if=none,format=help"))
    return sorted(found.group(1).split()) if found else []


def _hmp(monitor: Monitor, command: str) -> str:
    return str(monitor.execute("human-monitor-command", {"command-line": command}))


def _reachable(entities: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the commands whose arguments are checked, and every type their arguments are made of."""
    by_name = {str(entity["name"]): entity for entity in entities}
    found: dict[str, dict[str, Any]] = {}
    queue = [name for name in _SCHEMA_ROOTS if name in by_name]
    while queue:
        name = queue.pop()
        if name not in found:
            found[name] = by_name[name]
            queue += _types_in(by_name[name])
    return found


def _types_in(entity: Mapping[str, Any]) -> list[str]:
    parts = [*entity.get("members", ()), *entity.get("variants", ())]
    own = [entity[key] for key in ("arg-type", "element-type") if key in entity]
    return [*own, *(part["type"] for part in parts if "type" in part)]


def _tried(monitor: Monitor, image: Path) -> dict[str, str]:
    """Return QEMU's refusal of each thing that only a try can tell; empty for what it took."""
    image.write_bytes(bytes(4096))
    tries: dict[str, tuple[str, dict[str, object]]] = {
        f"aio={mode}": (
            "blockdev-add",
            {"driver": "file", "node-name": f"aio-{mode}", "filename": str(image), "aio": mode},
        )
        for mode in _AIO_MODES
    }
    bound = {"qom-type": "memory-backend-ram", "id": "bound", "size": 1 << 20, "policy": "bind", "host-nodes": [0]}
    tries["host-nodes"] = ("object-add", bound)
    found = dict.fromkeys(tries, "")
    for name, (command, arguments) in tries.items():
        try:
            monitor.execute(command, arguments)
        except MonitorError as err:
            found[name] = "" if _NEEDS_DIRECT in err.message else err.message.removeprefix(_REFUSED)
    return found


def _trace_backends(monitor: Monitor, log: Path) -> list[str]:
    """Return the trace backends that show: ``log`` by a line that comes, ``simple`` by the command it brings along."""
    found = []
    with suppress(MonitorError):  # no such event
        monitor.execute("trace-event-set-state", {"name": _TRACED, "enable": True})
        monitor.execute("query-name")
        monitor.execute("trace-event-set-state", {"name": _TRACED, "enable": False})
    if _TRACED in tail_of(log):
        found.append("log")
    if _hmp(monitor, "help trace-file").startswith("trace-file"):
        found.append("simple")
    return found


def _scsi_dialect(monitor: Monitor) -> Dialect | None:
    """Ask with one command virtqueue and a mapping of index 0 alone.

    Where 0 is the first command virtqueue that is complete; where 0 is ctrl, virtqueue 1 is missing. Whether it was
    stored is looked at, too: to be accepted is not to be taken.
    """
    device = MappedDevice(Device.VIRTIO_SCSI, 1)
    mapping = IOThreadMapping.explicit({"t0": (0,)})
    try:
        for command in qmp_from_mapping(mapping, device, "scsi0", drive=""):
            monitor.execute(command["execute"], command["arguments"])
    except MonitorError as err:
        if _MISSING in err.message:
            return Dialect.ALL_QUEUES
        raise
    path = "/machine/peripheral/scsi0/virtio-backend"
    stored = monitor.execute("qom-get", {"path": path, "property": PROPERTY})
    return Dialect.MERGED if stored else None
