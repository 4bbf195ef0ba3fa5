from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lab.errors import InputError
from lab.machine.capabilities import Capabilities, differences, is_left_out, values_of_enum
from lab.machine.mapping import Device, Dialect
from tests.unit.machine.made_up_qemu import CAPABILITIES, OLD


def test_capabilities_survive_the_cache() -> None:
    """Through JSON and back, nothing is lost."""
    assert Capabilities.from_json(json.loads(json.dumps(CAPABILITIES.to_json()))) == CAPABILITIES
    assert Capabilities.from_json(json.loads(json.dumps(OLD.to_json()))) == OLD


@pytest.mark.parametrize(
    "change", [{"devices": []}, {"scsi_dialect": "other"}, {"schema": 3}, {"version": None, "tried": "x"}]
)
def test_what_is_no_capabilities_is_refused(change: dict[str, Any]) -> None:
    """A damaged entry of the cache, or another program's file."""
    with pytest.raises(InputError, match="no capabilities"):
        Capabilities.from_json({**CAPABILITIES.to_json(), **change})
    with pytest.raises(InputError, match="no capabilities"):
        Capabilities.from_json([])


def test_the_summary_says_which_devices_have_a_mapping() -> None:
    """And leaves the schema out, which is long and for machines."""
    shown = CAPABILITIES.to_summary()
    assert shown["iothread_vq_mapping"] == {"virtio-blk-pci": True, "virtio-scsi-pci": True}
    assert shown["object_types"] == ["iothread"] and "schema" not in shown
    assert not OLD.has_mapping(Device.VIRTIO_SCSI)
    json.dumps(shown)


def test_equal_binaries_do_not_differ() -> None:
    """Nothing is said."""
    assert differences(CAPABILITIES, CAPABILITIES) == ()


def test_what_a_series_adds_is_said_in_words() -> None:
    """The series the lab was built for, seen from outside."""
    assert differences(OLD, CAPABILITIES) == (
        "the candidate adds iothread-vq-mapping to virtio-blk-pci",
        "the candidate adds iothread-vq-mapping to virtio-scsi-pci",
    )


def test_what_a_series_takes_away_is_said_in_words() -> None:
    """Of each kind of thing."""
    lacking = replace(
        CAPABILITIES,
        block_drivers=("file",),
        tried={**CAPABILITIES.tried, "aio=io_uring": "no"},
        accelerators=("tcg", "kvm"),
    )
    assert differences(CAPABILITIES, lacking) == (
        "the candidate removes the accelerator qtest",
        "the candidate removes the block driver null-co, raw",
        "the candidate removes the option aio=io_uring",
    )


def test_another_dialect_is_said() -> None:
    """The same job file would be two machines."""
    (text,) = differences(CAPABILITIES, replace(CAPABILITIES, scsi_dialect=Dialect.ALL_QUEUES))
    assert "from merged to all-queues" in text


def test_long_lists_are_cut() -> None:
    """A removed block layer is one line."""
    many = replace(CAPABILITIES, machine_types=tuple(f"pc-{number:02}" for number in range(20)))
    assert any("pc-11 and 8 more" in text for text in differences(CAPABILITIES, many))


def test_what_was_left_out_of_a_build_is_told_from_what_the_host_refuses() -> None:
    """By QEMU's words."""
    assert is_left_out("aio=native was specified, but is not supported in this build.")
    assert is_left_out("Parameter 'aio' does not accept value 'io_uring'")
    assert not is_left_out("Unable to use io_uring: Operation not permitted")


def test_an_enum_of_old_has_its_values_only() -> None:
    """Members came with QEMU 6.1."""
    assert values_of_enum({"values": ["a"]}) == ("a",)
    assert values_of_enum({}) == ()
