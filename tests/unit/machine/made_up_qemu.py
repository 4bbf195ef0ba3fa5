"""A QEMU that nobody built: what it would answer when asked what it can do, small enough to read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.errors import RefusedError
from lab.machine.capabilities import Capabilities
from lab.machine.mapping import PROPERTY, Dialect
from lab.testing import FakeMonitor


def _object(name: str, **rest: Any) -> dict[str, Any]:
    members = [{"name": member, "type": kind} for member, kind in rest.pop("members", {}).items()]
    return {"name": name, "meta-type": "object", "members": members, **rest}


def _enum(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "meta-type": "enum", "values": list(values), "members": [{"name": value} for value in values]}


SCHEMA: list[dict[str, Any]] = [
    {"name": "blockdev-add", "meta-type": "command", "arg-type": "1", "ret-type": "0"},
    {"name": "object-add", "meta-type": "command", "arg-type": "2", "ret-type": "0"},
    {"name": "netdev_add", "meta-type": "command", "arg-type": "3", "ret-type": "0"},
    {"name": "query-name", "meta-type": "command", "arg-type": "0", "ret-type": "0"},
    _object("0"),
    _object(
        "1",
        members={"driver": "4", "node-name": "str", "cache": "5"},
        tag="driver",
        variants=[{"case": "null-co", "type": "6"}, {"case": "raw", "type": "7"}, {"case": "file", "type": "8"}],
    ),
    _object("2", members={"qom-type": "9", "id": "str"}, tag="qom-type", variants=[{"case": "iothread", "type": "10"}]),
    _object("3", members={"type": "11", "id": "str"}, tag="type", variants=[{"case": "user", "type": "12"}]),
    _enum("4", "null-co", "raw", "file", "ssh"),
    _object("5", members={"direct": "bool", "no-flush": "bool"}),
    _object("6", members={"size": "int", "latency-ns": "int"}),
    _object("7", members={"file": "13"}),
    _object("8", members={"filename": "str", "aio": "14"}),
    _enum("9", "iothread"),
    _object("10", members={"poll-max-ns": "int"}),
    _enum("11", "user"),
    _object("12", members={"hostfwd": "[15]", "restrict": "bool"}),
    {"name": "13", "meta-type": "alternate", "members": [{"type": "1"}, {"type": "str"}]},
    _enum("14", "threads", "native", "io_uring"),
    {"name": "[15]", "meta-type": "array", "element-type": "15"},
    _object("15", members={"str": "str"}),
    {"name": "str", "meta-type": "builtin", "json-type": "string"},
    {"name": "int", "meta-type": "builtin", "json-type": "int"},
    {"name": "bool", "meta-type": "builtin", "json-type": "boolean"},
]

PROPERTIES = {
    "virtio-scsi-pci": ["iothread", PROPERTY, "num_queues"],
    "virtio-blk-pci": ["drive", PROPERTY, "num-queues"],
    "virtio-net-pci": ["netdev", "romfile"],
    "scsi-hd": ["drive", "lun"],
}

CAPABILITIES = Capabilities(
    version="10.0.13",
    accelerators=("kvm", "qtest", "tcg"),
    machine_types=("pc", "pc-q35-10.0", "q35"),
    cpu_models=("Nehalem", "max"),
    devices={name: tuple(listed) for name, listed in sorted({**PROPERTIES, "vga": []}.items())},
    block_drivers=("file", "null-co", "raw"),
    schema={entity["name"]: entity for entity in SCHEMA if entity["name"] not in ("0", "query-name")},
    tried={"aio=threads": "", "aio=native": "", "aio=io_uring": "", "host-nodes": ""},
    trace_backends=("log",),
    scsi_dialect=Dialect.MERGED,
)

OLD = replace(
    CAPABILITIES,
    version="7.2.22",
    devices={name: tuple(p for p in listed if p != PROPERTY) for name, listed in CAPABILITIES.devices.items()},
    scsi_dialect=None,
)


class MadeUpQemu(FakeMonitor):
    """Answers as the QEMU of :data:`CAPABILITIES` does; refuses what it is told to refuse.

    :param log: where it prints what it traces.
    :param refuses: QEMU's words by command or ``aio`` mode.
    """

    def __init__(self, log: Path, refuses: dict[str, str] | None = None, **answers: Any) -> None:
        super().__init__({})
        self._log = log
        self._refuses = refuses or {}
        self._answers = {
            "query-version": {"qemu": {"major": 10, "minor": 0, "micro": 13}, "package": ""},
            "query-machines": [{"name": "pc-q35-10.0", "alias": "q35"}, {"name": "pc"}],
            "query-qmp-schema": SCHEMA,
            "object-add": {},
            "device_add": {},
            "blockdev-add": {},
            "query-name": {},
            "qom-get": [{"iothread": "t0", "vqs": [0]}],
            "quit": {},
            **answers,
        }

    def execute(self, command: str, arguments: Any = None, *, timeout_s: float = 15.0) -> Any:
        """Answer, or refuse."""
        given = dict(arguments or {})
        for name in (command, f"{command} {given.get('aio') or given.get('typename') or given.get('policy')}"):
            if name in self._refuses:
                raise RefusedError(f"QEMU refused a command: {self._refuses[name]}")
        if command == "qom-list-types":
            names = {
                "accel": ["tcg-accel", "kvm-accel", "qtest-accel"],
                "cpu": ["Nehalem-x86_64-cpu", "max-x86_64-cpu"],
                "device": [*PROPERTIES, "vga", "Nehalem-x86_64-cpu", "max-x86_64-cpu"],
            }
            return [{"name": name} for name in names[given["implements"]]]
        if command == "device-list-properties":
            return [{"name": name} for name in PROPERTIES[given["typename"]]]
        if command == "trace-event-set-state":
            self._log.write_text("handle_qmp_command req: {}\n" if given["enable"] else self._log.read_text())
            return {}
        if command == "human-monitor-command":
            answers = {
                "help trace-file": "unknown command: 'trace-file'\r\n",
                "drive_add 0 if=none,format=help": "Supported formats: file null-co raw\r\nSupported formats (read-"
                "only): file\r\n",
            }
            return self._answers.get(given["command-line"], answers[given["command-line"]])
        return super().execute(command, arguments, timeout_s=timeout_s)
