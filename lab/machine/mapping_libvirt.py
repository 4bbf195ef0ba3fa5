"""A mapping in libvirt's words: domain XML to devices with their mappings, and back.

libvirt has the mapping since 10.0 for ``<disk>`` (virtio-blk) and 11.2 for ``<controller type='scsi'>``. It knows
command queues only, by ids from 0, and calls the IOThread object of thread id N ``iothreadN``. A proposal in the
thread of revision 1 of the series also had ``<queue id='ctrl'/>`` and ``<queue id='event'/>``; they are read and
written in that dialect, and no released libvirt takes them.

XML comes from strangers: a document type declaration, the way in for entities, is refused before anything is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from lab.errors import InputError
from lab.machine.mapping import Device, Dialect, IOThreadMapping, MappingItem, iothreads_named
from lab.machine.mapping_rules import MappedDevice

SIZE_LIMIT_BYTES = 4 << 20
"""Domain XML is some ten thousand bytes; more than this is something else."""

_SCSI_MODELS = ("virtio-scsi", "virtio-transitional", "virtio-non-transitional")
_OBJECT_PREFIX = "iothread"
_OBJECT = re.compile(r"iothread(?P<id>[1-9][0-9]{0,9})")
_ID = re.compile(r"[1-9][0-9]{0,9}")  # unsigned int, from 1
_NUMBER = re.compile(r"[0-9]{1,5}")
_CONTROLLER = re.compile(r"scsi(0|[1-9][0-9]{0,4})")
_TARGET = re.compile(r"[A-Za-z0-9]{1,32}")
_QUEUE = re.compile(r"[0-9]{1,5}|ctrl|event")


@dataclass(frozen=True)
class LibvirtDevice:
    """A virtio-scsi controller or virtio-blk disk as the XML has it.

    :param name: ``scsi1`` for a controller of index 1; the target (``vda``) of a disk.
    :param num_queues: None where the XML leaves it to QEMU.
    :param iothread: name of the one IOThread of all queues.
    """

    name: str
    model: Device
    num_queues: int | None = None
    iothread: str | None = None
    ioeventfd: bool = True
    mapping: IOThreadMapping | None = None


def devices_from_xml(xml: bytes, dialect: Dialect = Dialect.MERGED) -> tuple[LibvirtDevice, ...]:
    """Return the virtio-scsi controllers and virtio-blk disks of a domain, or of a single element.

    :raise InputError: not XML, with a document type declaration, too long, with a value that libvirt would not
        write, or without any such device.
    """
    root = _tree_from_xml(xml)
    devices = tuple(
        _device_from_element(element, model, dialect)
        for element in root.iter()
        if (model := _model_of_element(element)) is not None
    )
    if not devices:
        raise InputError(
            "the XML holds no virtio-scsi controller and no virtio disk",
            remedy="give a domain (virsh dumpxml), or one <controller type='scsi'> or <disk> element",
        )
    return devices


def xml_from_device(device: MappedDevice, mapping: IOThreadMapping | None, name: str) -> str:
    """Return the ``<controller>`` or ``<disk>`` element; a disk still needs its source.

    :param name: see :class:`LibvirtDevice`.
    :raise InputError: a name that libvirt does not give to such a device.
    """
    ids = libvirt_ids(mapping, device.iothread)
    attributes = [f"queues='{device.num_queues}'"]
    if not device.ioeventfd:
        attributes.append("ioeventfd='off'")
    if device.iothread is not None:
        attributes.append(f"iothread='{ids[device.iothread]}'")
    if device.model is Device.VIRTIO_BLK:
        target = f"  <target dev='{_checked_name(name, _TARGET, 'vda, vdb')}' bus='virtio'/>"
        driver = _driver_lines(["name='qemu'", *attributes], mapping, device, ids)
        return "\n".join(("<disk type='file' device='disk'>", *driver, target, "</disk>"))
    index = _checked_name(name, _CONTROLLER, "scsi0, scsi1").removeprefix("scsi")
    driver = _driver_lines(attributes, mapping, device, ids)
    return "\n".join((f"<controller type='scsi' index='{index}' model='virtio-scsi'>", *driver, "</controller>"))


def _checked_name(name: str, form: re.Pattern[str], examples: str) -> str:
    if not form.fullmatch(name):
        raise InputError(f"libvirt does not call such a device '{name}'", remedy=f"write {examples} and so on")
    return name


def libvirt_ids(mapping: IOThreadMapping | None, iothread: str | None = None) -> dict[str, int]:
    """Return libvirt's thread id of each IOThread: N for ``iothreadN``, the lowest free numbers for other names."""
    names = iothreads_named(mapping, iothread)
    ids = {name: int(match["id"]) for name in names if (match := _OBJECT.fullmatch(name))}
    free = (number for number in range(1, len(names) + len(ids) + 1) if number not in ids.values())
    for name in names:
        if name not in ids:
            ids[name] = next(free)
    return ids


def _driver_lines(
    attributes: Sequence[str], mapping: IOThreadMapping | None, device: MappedDevice, ids: Mapping[str, int]
) -> Iterator[str]:
    opening = " ".join(("<driver", *attributes))
    if mapping is None or not mapping.items:
        yield f"  {opening}/>"
        return
    yield f"  {opening}>"
    yield "    <iothreads>"
    for item in mapping.items:
        queues = [device.dialect.queue_from_index(vq, device.model) for vq in item.vqs or ()]
        if queues:
            yield f"      <iothread id='{ids[item.iothread]}'>"
            yield from (f"        <queue id='{queue}'/>" for queue in queues)
            yield "      </iothread>"
        else:
            yield f"      <iothread id='{ids[item.iothread]}'/>"
    yield "    </iothreads>"
    yield "  </driver>"


def _tree_from_xml(xml: bytes) -> Element:
    if len(xml) > SIZE_LIMIT_BYTES:
        raise InputError(f"the XML has more than {SIZE_LIMIT_BYTES} bytes", remedy="give the domain's XML only")
    builder = TreeBuilder()
    parser = expat.ParserCreate("utf-8")  # what libvirt writes; a declared encoding would bring in Python's decoders
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as err:
        raise InputError(f"the XML cannot be read: {err}", remedy="give the output of virsh dumpxml") from None
    return builder.close()


def _refuse_doctype(name: str, system_id: str | None, public_id: str | None, has_subset: bool) -> NoReturn:  # noqa: ARG001
    raise InputError("the XML has a document type declaration; libvirt writes none", remedy="take it out")


def _model_of_element(element: Element) -> Device | None:
    if element.tag == "controller" and element.get("type") == "scsi" and element.get("model") in _SCSI_MODELS:
        return Device.VIRTIO_SCSI
    if element.tag == "disk" and (target := element.find("target")) is not None and target.get("bus") == "virtio":
        return Device.VIRTIO_BLK
    return None


def _device_from_element(element: Element, model: Device, dialect: Dialect) -> LibvirtDevice:
    name = _name_of_element(element, model)
    driver = element.find("driver")
    if driver is None:
        return LibvirtDevice(name, model)
    iothreads = driver.find("iothreads")
    return LibvirtDevice(
        name,
        model,
        int(_attribute(driver, "queues", _NUMBER)) if "queues" in driver.attrib else None,
        f"{_OBJECT_PREFIX}{_attribute(driver, 'iothread', _ID)}" if "iothread" in driver.attrib else None,
        ioeventfd=driver.get("ioeventfd") != "off",
        mapping=_mapping_from_element(iothreads, dialect, model) if iothreads is not None else None,
    )


def _name_of_element(element: Element, model: Device) -> str:
    if model is Device.VIRTIO_BLK:
        target = element.find("target")
        return target.get("dev", "?") if target is not None else "?"
    return f"scsi{_attribute(element, 'index', _NUMBER)}" if "index" in element.attrib else "scsi0"


def _mapping_from_element(iothreads: Element, dialect: Dialect, model: Device) -> IOThreadMapping:
    return IOThreadMapping(
        tuple(
            MappingItem(
                f"{_OBJECT_PREFIX}{_attribute(iothread, 'id', _ID)}",
                tuple(
                    dialect.index_from_queue(_attribute(queue, "id", _QUEUE), model)
                    for queue in iothread.findall("queue")
                )
                or None,
            )
            for iothread in iothreads.findall("iothread")
        )
    )


def _attribute(element: Element, name: str, form: re.Pattern[str]) -> str:
    value = element.get(name, "")
    if not form.fullmatch(value):
        raise InputError(
            f"{name}='{value}' of <{element.tag}> is not what libvirt writes there",
            remedy="thread ids count from 1, queue ids from 0",
        )
    return value
