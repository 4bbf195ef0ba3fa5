from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.machine.mapping import Device, Dialect, IOThreadMapping, MappingItem
from lab.machine.mapping_libvirt import (
    SIZE_LIMIT_BYTES,
    LibvirtDevice,
    devices_from_xml,
    libvirt_ids,
    xml_from_device,
)
from lab.machine.mapping_rules import MappedDevice
from tests.unit.project import PROJECT

DOMAIN = PROJECT / "tests" / "data" / "libvirt" / "domain.xml"


def test_a_domain_gives_its_virtio_devices() -> None:
    """Controllers and disks are read with queues, one IOThread or a mapping; other devices are passed over."""
    assert devices_from_xml(DOMAIN.read_bytes()) == (
        LibvirtDevice("vda", Device.VIRTIO_BLK, 2, "iothread3"),
        LibvirtDevice(
            "vdb",
            Device.VIRTIO_BLK,
            3,
            ioeventfd=False,
            mapping=IOThreadMapping.explicit({"iothread2": (1,), "iothread3": (0, 2)}),
        ),
        LibvirtDevice("vdc", Device.VIRTIO_BLK),
        LibvirtDevice("scsi1", Device.VIRTIO_SCSI, mapping=IOThreadMapping.round_robin(("iothread4", "iothread2"))),
        LibvirtDevice("scsi0", Device.VIRTIO_SCSI),
    )


def test_queues_by_name_belong_to_the_old_dialect() -> None:
    """The proposal's ctrl and event are indices 0 and 1 there, and refused in the merged dialect."""
    xml = (
        b"<controller type='scsi' model='virtio-scsi'><driver queues='1'><iothreads><iothread id='1'>"
        b"<queue id='ctrl'/><queue id='event'/><queue id='0'/></iothread></iothreads></driver></controller>"
    )
    (device,) = devices_from_xml(xml, Dialect.ALL_QUEUES)
    assert device.mapping == IOThreadMapping.explicit({"iothread1": (0, 1, 2)})
    with pytest.raises(InputError, match="always runs in the main loop"):
        devices_from_xml(xml)


BOMB = b'<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize(
    ("xml", "complaint"),
    [
        (BOMB, "document type declaration"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>', "document type declaration"),
        (b'<!DOCTYPE a [<!ENTITY % b SYSTEM "http://127.0.0.1/">%b;]><a/>', "document type declaration"),
        (b"<a>&b;</a>", "cannot be read"),
        (b"<a>", "cannot be read"),
        (b"", "cannot be read"),
        (b"\x00\xff", "cannot be read"),
        (b" " * (SIZE_LIMIT_BYTES + 1), "more than"),
        (b'<?xml version="1.0" encoding="x-nonsense"?><domain/>', "no virtio-scsi controller and no virtio disk"),
        (b"<a>" * 20_000 + b"</a>" * 20_000, "no virtio-scsi controller and no virtio disk"),
    ],
)
def test_hostile_and_broken_xml_is_an_input_error(xml: bytes, complaint: str) -> None:
    """Entities are refused before they are expanded; whatever else is wrong ends in a sentence, not a traceback."""
    with pytest.raises(InputError, match=complaint):
        devices_from_xml(xml)


@pytest.mark.parametrize(
    "driver",
    [
        "iothread='0'",
        "iothread='one'",
        "queues='-1'",
        "queues='4'><iothreads><iothread/></iothreads",
        "queues='4'><iothreads><iothread id='1'><queue/></iothread></iothreads",
        "queues='4'><iothreads><iothread id='1'><queue id='cmd'/></iothread></iothreads",
    ],
)
def test_values_that_libvirt_would_not_write_are_refused(driver: str) -> None:
    """Numbers of threads and queues are numbers, and thread ids count from 1."""
    xml = f"<disk><driver {driver}></driver><target dev='vda' bus='virtio'/></disk>"
    with pytest.raises(InputError, match="is not what libvirt writes there"):
        devices_from_xml(xml.encode())


def test_a_controller_is_written_as_in_libvirts_manual() -> None:
    """Queue ids count the command queues from 0."""
    mapping = IOThreadMapping.explicit({"iothread4": (0,), "iothread2": (1,)})
    assert xml_from_device(MappedDevice(Device.VIRTIO_SCSI, 2), mapping, "scsi1").splitlines() == [
        "<controller type='scsi' index='1' model='virtio-scsi'>",
        "  <driver queues='2'>",
        "    <iothreads>",
        "      <iothread id='4'>",
        "        <queue id='0'/>",
        "      </iothread>",
        "      <iothread id='2'>",
        "        <queue id='1'/>",
        "      </iothread>",
        "    </iothreads>",
        "  </driver>",
        "</controller>",
    ]


@st.composite
def libvirt_devices(draw: st.DrawFn) -> tuple[LibvirtDevice, MappedDevice]:
    """Generate what libvirt can say, and the same as the lab says it."""
    model, dialect = draw(st.sampled_from(Device)), draw(st.sampled_from(Dialect))
    num_queues = draw(st.integers(1, 64))
    name = "vda" if model is Device.VIRTIO_BLK else f"scsi{draw(st.integers(0, 99))}"
    ids = draw(st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True))
    indices = st.integers(0, dialect.mapped_queue_count(model, num_queues) - 1)
    vqs = st.one_of(st.none(), st.lists(indices, min_size=1, max_size=4).map(tuple))
    mapping = IOThreadMapping(tuple(MappingItem(f"iothread{number}", draw(vqs)) for number in ids))
    device = MappedDevice(model, num_queues, dialect, ioeventfd=draw(st.booleans()))
    if draw(st.booleans()):
        device = replace(device, iothread=f"iothread{ids[0]}")
    asked = draw(st.sampled_from((None, mapping)))
    return LibvirtDevice(name, model, num_queues, device.iothread, device.ioeventfd, asked), device


@given(pair=libvirt_devices())
def test_what_is_written_is_read_back(pair: tuple[LibvirtDevice, MappedDevice]) -> None:
    """Both ways of the translation undo each other for names that libvirt has."""
    expected, device = pair
    xml = xml_from_device(device, expected.mapping, expected.name)
    assert devices_from_xml(xml.encode(), device.dialect) == (expected,)


def test_names_of_our_own_get_free_numbers() -> None:
    """Names of libvirt's kind keep their number; iothread0 is none of them, for libvirt counts from 1."""
    mapping = IOThreadMapping.round_robin(("t0", "iothread1", "iothread0", "iothread3"))
    assert libvirt_ids(mapping, "io") == {"iothread1": 1, "iothread3": 3, "t0": 2, "iothread0": 4, "io": 5}
    xml = xml_from_device(MappedDevice(Device.VIRTIO_BLK, 1, iothread="t0"), None, "vda")
    assert "iothread='1'" in xml


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Device.VIRTIO_SCSI, "vda"),
        (Device.VIRTIO_SCSI, "scsi"),
        (Device.VIRTIO_SCSI, "scsi01"),
        (Device.VIRTIO_BLK, "a'b"),
    ],
)
def test_a_name_that_libvirt_does_not_give_is_refused(model: Device, name: str) -> None:
    """A controller is scsi and its index, a disk a plain word."""
    with pytest.raises(InputError, match="does not call such a device"):
        xml_from_device(MappedDevice(model, 1), None, name)
