"""A QEMU command line to what it makes a binary load, and to what a given binary lacks for it. Pure.

There is no list of what a machine needs: the words that start it are read back, so that whatever a specification
learns to say is checked here without another word. Read are the options that are written as JSON (``-device``,
``-blockdev``, ``-object``, ``-netdev``) and ``-machine``, ``-accel``, ``-cpu``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.machine.capabilities import Capabilities, is_left_out, values_of_enum
from lab.machine.mapping import PROPERTY, Device

_COMMANDS = {"-blockdev": "blockdev-add", "-object": "object-add", "-netdev": "netdev_add"}
_PLAIN = ("-machine", "-accel", "-cpu")
_OF_DEVICE = frozenset({"driver", "id", "bus"})
"""What ``-device`` takes for every driver; it is in no list of properties (system/qdev-monitor.c)."""
_DEFAULT_AIO = "threads"
_VALUES_SHOWN = 8
_OPENS_FILES = ("file", "host_device")


def loads_from_argv(argv: Sequence[str]) -> frozenset[str]:
    """Return what a machine makes QEMU run, in the words of lab/series/scope.toml.

    These are ``device:virtio-scsi-pci``, ``property:iothread-vq-mapping``, ``blockdev:null-co``, ``aio:io_uring``,
    ``object:iothread``, ``netdev:user``, ``machine:q35``, ``accel:tcg``.
    """
    return frozenset(_loads(argv))


def _loads(argv: Sequence[str]) -> Iterator[str]:
    for option, value in _options(argv):
        if option in _PLAIN:
            yield f"{option[1:]}:{_first(value)}"
        elif option == "-device":
            yield f"device:{value.get('driver')}"
            yield from (f"property:{name}" for name in value if name not in _OF_DEVICE)
        elif option == "-object":
            yield f"object:{value.get('qom-type')}"
        elif option == "-netdev":
            yield f"netdev:{value.get('type')}"
        else:
            for node in _block_nodes(value):
                yield f"blockdev:{node['driver']}"
                if node["driver"] in _OPENS_FILES:
                    yield f"aio:{node.get('aio', _DEFAULT_AIO)}"


def missing_from(capabilities: Capabilities, argv: Sequence[str]) -> tuple[str, ...]:
    """Return what a binary lacks to start an argv, each as the end of "it has no ..."; empty where it lacks nothing."""
    return tuple(dict.fromkeys(_missing(capabilities, argv)))


def host_refusals(capabilities: Capabilities, argv: Sequence[str]) -> tuple[str, ...]:
    """Return what an argv asks for that the binary has and this host refuses, with QEMU's words."""
    refused = ((name, capabilities.tried.get(name, "")) for name in sorted(set(_tried(argv))))
    return tuple(f"{name}: {why}" for name, why in refused if why and not is_left_out(why))


def _tried(argv: Sequence[str]) -> Iterator[str]:
    """Yield the keys of :attr:`Capabilities.tried` that an argv asks for."""
    for option, value in _options(argv):
        if option == "-blockdev":
            for node in _block_nodes(value):
                if node["driver"] in _OPENS_FILES:
                    yield f"aio={node.get('aio', _DEFAULT_AIO)}"
        elif option == "-object" and "host-nodes" in value:
            yield "host-nodes"


def _missing(capabilities: Capabilities, argv: Sequence[str]) -> Iterator[str]:
    plain = {
        "-machine": ("machine type", capabilities.machine_types),
        "-accel": ("accelerator", capabilities.accelerators),
        "-cpu": ("CPU model", capabilities.cpu_models),
    }
    yield from (name for name in _tried(argv) if is_left_out(capabilities.tried.get(name, "")))
    for option, value in _options(argv):
        if option in _PLAIN:
            kind, known = plain[option]
            if _first(value) not in known:
                yield f"{kind} {_first(value)}"
        elif option == "-device":
            yield from _missing_of_device(capabilities, value)
        else:
            drivers = {str(node["driver"]) for node in _block_nodes(value)} if option == "-blockdev" else set()
            lacking = sorted(drivers - set(capabilities.block_drivers))
            yield from (f"block driver {driver}" for driver in lacking)
            root = capabilities.schema.get(_COMMANDS[option], {}).get("arg-type", "")
            name = value.get("node-name") or value.get("id") or "?"
            if not lacking:
                yield from (f"{what} ({option} {name})" for what in _unknown(capabilities.schema, root, value))


def _missing_of_device(capabilities: Capabilities, value: Mapping[str, Any]) -> Iterator[str]:
    driver = str(value.get("driver"))
    if driver not in capabilities.devices:
        yield f"device {driver}"
        return
    known = capabilities.devices[driver]
    for name in value:
        if known and name not in known and name not in _OF_DEVICE:
            yield f"property {name} of {driver}"
    dialect = capabilities.scsi_dialect
    listed = [index for item in value.get(PROPERTY, ()) for index in item.get("vqs") or ()]
    if driver == Device.VIRTIO_SCSI.value and listed and dialect is not None:
        wanted = dialect.mapped_queue_count(Device.VIRTIO_SCSI, int(value.get("num_queues", 0)))
        if len(listed) != wanted:
            yield (
                f"mapping that counts like this one: it speaks the {dialect} dialect, in which {wanted} virtqueues are "
                f"assigned, and {value.get('id')} assigns {len(listed)}"
            )


def _unknown(schema: Mapping[str, Mapping[str, Any]], type_name: str, value: Any) -> Iterator[str]:
    """Yield the names and values in a QAPI value that its type does not have.

    The forms of ``query-qmp-schema`` are those of qapi/introspect.json. What a type leaves open is not looked at.
    """
    entity = schema.get(type_name, {})
    kind = entity.get("meta-type")
    if kind == "enum" and isinstance(value, str):
        known = values_of_enum(entity)
        if value not in known:
            yield f"'{value}'" + (f" among {', '.join(known)}" if len(known) <= _VALUES_SHOWN else "")
    elif kind == "array" and isinstance(value, list):
        for item in value:
            yield from _unknown(schema, entity["element-type"], item)
    elif kind == "alternate":
        for member in entity["members"]:
            if schema.get(member["type"], {}).get("meta-type") == ("object" if isinstance(value, dict) else "enum"):
                yield from _unknown(schema, member["type"], value)
    elif kind == "object" and isinstance(value, dict):
        members = _members(schema, entity, value)
        tag = entity.get("tag", "")
        for name, item in value.items():
            if name in members:
                yield from _unknown(schema, members[name], item)
            elif not tag or value.get(tag) in {variant["case"] for variant in entity.get("variants", ())}:
                yield f"option {name}" + (f" of {value[tag]}" if tag else "")


def _members(
    schema: Mapping[str, Mapping[str, Any]], entity: Mapping[str, Any], value: Mapping[str, Any]
) -> dict[str, str]:
    """Return the members of an object type by name: its own, and those of the variant that its tag chooses."""
    own = {member["name"]: member["type"] for member in entity.get("members", ())}
    chosen = [v["type"] for v in entity.get("variants", ()) if v["case"] == value.get(entity.get("tag", ""))]
    for name in chosen:
        own |= _members(schema, schema.get(name, {}), value)
    return own


def _block_nodes(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a block node and those it is built on."""
    if isinstance(value.get("driver"), str):
        yield value
    for child in value.values():
        if isinstance(child, dict):
            yield from _block_nodes(child)
        elif isinstance(child, list):
            for item in child:
                if isinstance(item, dict):
                    yield from _block_nodes(item)


def _options(argv: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the options that are looked at, each with its value; JSON as an object."""
    for option, text in itertools.pairwise(argv):
        if option in _PLAIN:
            yield option, text
        elif (option == "-device" or option in _COMMANDS) and text.startswith("{"):
            yield option, json.loads(text)


def _first(text: str) -> str:
    """Return the name that a list of settings begins with: ``q35`` of ``q35,smm=off``."""
    return text.split(",", 1)[0].removeprefix("type=")
