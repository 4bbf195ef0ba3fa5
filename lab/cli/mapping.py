"""``lab mapping``: check, render and translate an iothread-vq-mapping. Starts nothing and touches nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, BinaryIO

import click

from lab.cli.output import print_json, print_text
from lab.command import text_from_argv
from lab.errors import ExitCode, InputError
from lab.machine.mapping import Device, Dialect, IOThreadMapping, MappingTypeError, iothreads_named
from lab.machine.mapping_libvirt import (
    SIZE_LIMIT_BYTES,
    LibvirtDevice,
    devices_from_xml,
    libvirt_ids,
    xml_from_device,
)
from lab.machine.mapping_placement import Placement
from lab.machine.mapping_render import argv_from_mapping, qmp_from_mapping, rows_from_queues, text_from_rows
from lab.machine.mapping_rules import CheckResult, MappedDevice, check

_QUEUE_COUNT_HIGHEST = 65534  # the next one means "as many as vCPUs" to virtio-blk (VIRTIO_BLK_AUTO_NUM_QUEUES)

_DIALECT = click.option(
    "--dialect",
    type=click.Choice([dialect.value for dialect in Dialect]),
    default=Dialect.MERGED.value,
    show_default=True,
    help="What numbers in a virtio-scsi mapping count: command virtqueues (QEMU 10.0 and newer), or all of them.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
_PINS = click.option(
    "--pin",
    "pins",
    multiple=True,
    metavar="THREAD=CPUS",
    help="Host CPUs of a thread: vcpu0=0 or t0=4-5. Again for each thread.",
)


def _device_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that describe the device, and the mapping itself."""
    names = [name for model in Device for name in (model.value.removesuffix("-pci"), model.value)]
    for option in (
        click.argument("mapping_text", metavar="[MAPPING]", required=False),
        _DIALECT,
        click.option("--ioeventfd/--no-ioeventfd", default=True, help="The device's ioeventfd property."),
        click.option("--iothread", help="The device's iothread property; leave it out where it is not set."),
        click.option(
            "--num-queues",
            type=click.IntRange(0, _QUEUE_COUNT_HIGHEST),
            required=True,
            help="Request virtqueues; of virtio-scsi the command virtqueues only.",
        ),
        click.option("--device", type=click.Choice(names), default="virtio-scsi", show_default=True),
    ):
        command = option(command)
    return command


def _device(device: str, num_queues: int, iothread: str | None, ioeventfd: bool, dialect: str) -> MappedDevice:
    model = Device(device.removesuffix("-pci") + "-pci")
    return MappedDevice(model, num_queues, Dialect(dialect), iothread, ioeventfd)


def _mapping(text: str | None, device: MappedDevice) -> IOThreadMapping | None:
    return None if text is None else IOThreadMapping.from_text(text, device.dialect, device.model)


def _placement(pins: tuple[str, ...], iothreads: Collection[str]) -> Placement | None:
    placement = Placement.from_pins(pins)
    for name in placement.iothreads:
        if name not in iothreads:
            raise InputError(
                f"--pin places '{name}', which is neither an IOThread here nor a vCPU",
                remedy=f"IOThreads here are: {', '.join(sorted(iothreads)) or 'none'}; vCPUs are called vcpu0, vcpu1",
            )
    return placement if pins else None


@click.group()
def mapping() -> None:
    """Check, render and translate the mapping of virtqueues to IOThreads.

    MAPPING is QEMU's JSON list, or short: t0,t1 deals the queues out in turn, t0:0-1,t1:2+3 says who serves which.

    \b
    Example: lab mapping check --num-queues 4 --iothreads t0,t1 t0:0-1,t1:2-3
    """


@mapping.command("check")
@_device_options
@click.option("--iothreads", metavar="NAMES", help="IOThread objects there are, t0,t1; else those the mapping names.")
@click.option("--vcpus", type=click.IntRange(1), help="vCPUs of the guest.")
@_PINS
@_JSON
def check_verb(
    mapping_text: str | None,
    iothreads: str | None,
    vcpus: int | None,
    pins: tuple[str, ...],
    as_json: bool,
    **device: Any,
) -> int:
    """Say what QEMU does with a mapping: refuses it (exit code 2), or who then serves which queue.

    Errors are QEMU's own sentences, the first is the one QEMU prints. Warnings are what QEMU takes in silence.

    \b
    Example: lab mapping check --device virtio-blk --num-queues 4 --iothreads t0,t1 --vcpus 4 t0,t1
    """
    target = _device(**device)
    placement: Placement | None = None
    try:
        asked = _mapping(mapping_text, target)
    except MappingTypeError as err:  # QEMU's verdict as well, only an earlier one
        result = CheckResult(errors=(err.message,))
    else:
        named = iothreads_named(asked, target.iothread)
        known = named if iothreads is None else tuple(filter(None, map(str.strip, iothreads.split(","))))
        placement = _placement(pins, {*named, *known})
        result = check(asked, target, iothreads=known, vcpus=vcpus, placement=placement)
    if as_json:
        print_json(
            {
                "ok": result.ok,
                "errors": list(result.errors),
                "warnings": list(result.warnings),
                "queues": result.queues,
            }
        )
    else:
        print_text(_text_from_result(result, placement))
    return int(ExitCode.DONE if result.ok else ExitCode.INPUT)


@mapping.command("render")
@_device_options
@click.option("--to", "form", type=click.Choice(["qemu", "argv", "qmp", "table", "short"]), required=True)
@click.option("--id", "device_id", default="dev0", show_default=True, help="Id of the device.")
@click.option("--drive", default="drive0", show_default=True, help="Node-name behind a virtio-blk device.")
@_PINS
@_JSON
def render_verb(
    mapping_text: str | None,
    form: str,
    device_id: str,
    drive: str,
    pins: tuple[str, ...],
    as_json: bool,
    **device: Any,
) -> None:
    """Write a mapping as QEMU's JSON, as -object and -device arguments, as QMP commands, as a table, or short.

    \b
    Example: lab mapping render --num-queues 4 --to argv t0,t1
    """
    target = _device(**device)
    asked = _mapping(mapping_text, target)
    data: Any
    if form == "qemu":
        data = (asked or IOThreadMapping()).to_json()
        text = json.dumps(data)
    elif form == "argv":
        words = argv_from_mapping(asked, target, device_id, drive)
        data = list(words)
        text = " \\\n".join(text_from_argv(words[at : at + 2]) for at in range(0, len(words), 2))
    elif form == "qmp":
        data = list(qmp_from_mapping(asked, target, device_id, drive))
        text = "\n".join(json.dumps(command) for command in data)
    elif form == "table":
        rows = rows_from_queues(
            _accepted(asked, target).queues, _placement(pins, iothreads_named(asked, target.iothread))
        )
        data = [row.to_json() for row in rows]
        text = text_from_rows(rows)
    else:
        data = text = (asked or IOThreadMapping()).to_short(target.dialect, target.model)
    if as_json:
        print_json(data)
    else:
        print_text(text)


@mapping.command("from-libvirt")
@click.argument("file", type=click.File("rb"))
@_DIALECT
@_JSON
def from_libvirt_verb(file: BinaryIO, dialect: str, as_json: bool) -> None:
    """Show the mappings in libvirt XML: a domain, a <controller> or a <disk>; FILE may be - for stdin.

    \b
    Example: lab mapping from-libvirt domain.xml
    """
    spoken = Dialect(dialect)
    try:
        xml = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as err:
        raise InputError(f"{file.name} cannot be read: {err.strerror}") from err
    devices = devices_from_xml(xml, spoken)
    if as_json:
        print_json({"devices": [_json_from_device(device, spoken) for device in devices]})
    else:
        print_text("\n".join(_text_from_device(device, spoken) for device in devices))


@mapping.command("to-libvirt")
@_device_options
@click.option("--name", help="scsi0, scsi1, ... of a controller, vda, vdb, ... of a disk.")
@_JSON
def to_libvirt_verb(mapping_text: str | None, name: str | None, as_json: bool, **device: Any) -> None:
    """Write a mapping as a libvirt <controller> or <disk>.

    libvirt calls IOThreads iothread1, iothread2 and so on: other names get the numbers that are free, which is said
    on stderr.

    \b
    Example: lab mapping to-libvirt --num-queues 2 iothread4:0,iothread2:1
    """
    target = _device(**device)
    asked = _mapping(mapping_text, target)
    _accepted(asked, target)
    xml = xml_from_device(target, asked, name or ("scsi0" if target.model is Device.VIRTIO_SCSI else "vda"))
    ids = libvirt_ids(asked, target.iothread)
    if as_json:
        print_json({"xml": xml, "ids": ids})
        return
    for iothread, number in ids.items():
        if iothread != f"iothread{number}":
            click.echo(f"lab: IOThread '{iothread}' is thread {number} in libvirt", err=True)
    print_text(xml)


def _accepted(asked: IOThreadMapping | None, device: MappedDevice) -> CheckResult:
    result = check(asked, device)
    if not result.ok:
        raise InputError(f"QEMU refuses this mapping: {result.errors[0]}", remedy="see all of it: lab mapping check")
    return result


def _text_from_result(result: CheckResult, placement: Placement | None) -> str:
    lines = [*(f"error: {line}" for line in result.errors), *(f"warning: {line}" for line in result.warnings)]
    if result.ok:
        lines.append(text_from_rows(rows_from_queues(result.queues, placement)))
    return "\n".join(lines)


def _json_from_device(device: LibvirtDevice, dialect: Dialect) -> dict[str, Any]:
    return {
        "name": device.name,
        "device": device.model.value,
        "num_queues": device.num_queues,
        "iothread": device.iothread,
        "ioeventfd": device.ioeventfd,
        "mapping": device.mapping.to_json() if device.mapping is not None else None,
        "short": device.mapping.to_short(dialect, device.model) if device.mapping is not None else None,
    }


def _text_from_device(device: LibvirtDevice, dialect: Dialect) -> str:
    parts = [device.name, device.model.value]
    if device.num_queues is not None:
        parts.append(f"{device.model.num_queues_property}={device.num_queues}")
    if not device.ioeventfd:
        parts.append("ioeventfd=off")
    if device.iothread is not None:
        parts.append(f"iothread={device.iothread}")
    if device.mapping is not None:
        parts.append(device.mapping.to_short(dialect, device.model))
    return "  ".join(parts)
