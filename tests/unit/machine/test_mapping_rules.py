from __future__ import annotations

from dataclasses import replace

import pytest

from lab.machine.mapping import MAIN_LOOP, Device, Dialect, IOThreadMapping, MappingItem
from lab.machine.mapping_placement import Placement
from lab.machine.mapping_rules import CheckResult, MappedDevice, check

SCSI = MappedDevice(Device.VIRTIO_SCSI, 4)
BLK = MappedDevice(Device.VIRTIO_BLK, 4)
OLD = replace(SCSI, dialect=Dialect.ALL_QUEUES)
THREADS = ("t0", "t1")


def short(text: str, device: MappedDevice = SCSI) -> IOThreadMapping:
    """Read a mapping for a device."""
    return IOThreadMapping.from_text(text, device.dialect, device.model)


def warnings(text: str, device: MappedDevice = SCSI, known: tuple[str, ...] = THREADS) -> tuple[str, ...]:
    """Return the warnings about a mapping that QEMU takes."""
    result = check(short(text, device), device, iothreads=known)
    assert result.ok, result.errors
    return result.warnings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t0:0-1,t1:2", "missing vq 3 IOThread assignment in iothread-vq-mapping"),
        ("t0:0-1,t1:1-3", 'cannot assign vq 1 to IOThread "t1" because it is already assigned'),
        ("t0:0-1+0,t1:2-3", 'cannot assign vq 0 to IOThread "t0" because it is already assigned'),
        (
            "t0:0-4,t1",
            'vq index 4 for IOThread "t0" must be less than num_queues 4 in iothread-vq-mapping',
        ),
        ("t0,t0", 'duplicate IOThread name "t0" in iothread-vq-mapping'),
        ("t0:0-3,t1", "either all items in iothread-vq-mapping must have vqs or none of them must have it"),
        ("t0,t1:0", "either all items in iothread-vq-mapping must have vqs or none of them must have it"),
        ("t0,nope", 'IOThread "nope" object does not exist'),
    ],
)
def test_the_list_is_held_against_qemus_rules(text: str, message: str) -> None:
    """Both devices get the sentence of iothread_vq_mapping_validate(), and then no queue is served."""
    for device in (SCSI, BLK):
        result = check(short(text, device), device, iothreads=THREADS)
        assert result.errors[0] == message
        assert not result.ok
        assert result.queues == {}


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (replace(SCSI, iothread="gone"), "Device 'gone' not found"),
        (
            replace(SCSI, num_queues=0, iothread="t0"),
            "Invalid number of queues (= 0), must be a positive integer less than 1022.",
        ),
        (
            replace(SCSI, num_queues=1023),
            "Invalid number of queues (= 1023), must be a positive integer less than 1022.",
        ),
        (replace(BLK, num_queues=0), "num-queues property must be larger than 0"),
        (replace(BLK, num_queues=1025), "QEMU aborts: num-queues 1025 is more than the 1024 a device can have"),
        (
            replace(SCSI, iothread="t0", ioeventfd=False, notifiers=False),
            "iothread and iothread-vq-mapping properties cannot be set at the same time",
        ),
        (
            replace(SCSI, ioeventfd=False, notifiers=False),
            "device is incompatible with iothread (transport does not support notifiers)",
        ),
        (replace(SCSI, ioeventfd=False), "ioeventfd is required for iothread"),
    ],
)
def test_the_device_comes_before_the_list(device: MappedDevice, message: str) -> None:
    """What is wrong with the device is said before what is wrong with the list, in the order of QEMU's realize."""
    assert check(short("nope"), device, iothreads=THREADS).errors[0] == message


def test_the_highest_numbers_of_queues_are_taken() -> None:
    """1022 command queues beside ctrl and event, or 1024 request queues."""
    assert check(short("t0"), replace(SCSI, num_queues=1022)).ok
    assert check(short("t0"), replace(BLK, num_queues=1024)).ok


def test_further_errors_follow_the_first() -> None:
    """QEMU stops at the first; whoever corrects a mapping wants to see all of them."""
    result = check(short("t0:0+9,t0:0"), SCSI, iothreads=("t1",))
    assert result.errors == (
        'IOThread "t0" object does not exist',
        'vq index 9 for IOThread "t0" must be less than num_queues 4 in iothread-vq-mapping',
        'IOThread "t0" object does not exist',
        'cannot assign vq 0 to IOThread "t0" because it is already assigned',
        *(f"missing vq {vq} IOThread assignment in iothread-vq-mapping" for vq in (1, 2, 3)),
    )


def test_all_queues_have_to_be_assigned_in_the_old_dialect() -> None:
    """QEMU counts ctrl and event in its messages."""
    assert check(short("t0:0-3,t1:event", OLD), OLD).errors == (
        "missing vq 0 IOThread assignment in iothread-vq-mapping",
    )
    assert "num_queues 6" in check(short("t0:ctrl+event+0-4", OLD), OLD).errors[0]


def test_a_good_mapping_says_who_serves_what() -> None:
    """No errors, no warnings, and every queue with its IOThread."""
    assert check(short("t0:0-1,t1:2-3"), SCSI, iothreads=THREADS, vcpus=4) == CheckResult(
        queues={"ctrl": MAIN_LOOP, "event": MAIN_LOOP, "0": "t0", "1": "t0", "2": "t1", "3": "t1"}
    )


def test_without_known_iothreads_those_named_exist() -> None:
    """A mapping can be checked before there is a machine; a name that no object can have is wrong even so."""
    assert check(short("a,b"), replace(SCSI, num_queues=2)).ok
    assert check(IOThreadMapping.round_robin(("a b",)), SCSI).errors == ('IOThread "a b" object does not exist',)


def test_the_iothread_property_serves_all_command_queues() -> None:
    """In the old dialect it also gets event, as it always had."""
    assert check(None, replace(BLK, iothread="t0", num_queues=2)).queues == {"0": "t0", "1": "t0"}
    merged = check(None, replace(SCSI, iothread="t0", num_queues=1))
    assert merged.queues == {"ctrl": MAIN_LOOP, "event": MAIN_LOOP, "0": "t0"}
    assert merged.warnings == ()
    old = check(None, replace(OLD, iothread="t0", num_queues=1))
    assert old.queues == {"ctrl": MAIN_LOOP, "event": "t0", "0": "t0"}


def test_an_empty_list_is_taken_as_not_set() -> None:
    """It excludes nothing, needs no ioeventfd, and is warned about; an absent property is not."""
    assert warnings("[]", known=()) == (
        "the mapping is an empty list: QEMU takes it as not set, so it gives no queue an IOThread",
    )
    assert check(IOThreadMapping(), replace(SCSI, iothread="t0")).queues["0"] == "t0"
    assert check(IOThreadMapping(), replace(SCSI, ioeventfd=False)).ok
    assert check(None, SCSI).warnings == ()


def test_an_empty_vqs_is_warned_about() -> None:
    """Whoever writes it means "no queue" and gets a round robin."""
    result = check(IOThreadMapping((MappingItem("t0", ()), MappingItem("t1"))), SCSI)
    assert result.warnings == ('"vqs": [] of IOThread "t0" means round robin, not "no queue": leave vqs out to say so',)
    assert result.queues["0"] == "t0"


def test_idle_iothreads_are_named() -> None:
    """More IOThreads than queues, IOThreads that no item names, and one that got ctrl only stay idle."""
    idle = 'IOThread "{}" stays idle: it serves no queue of this device'
    assert warnings("t0,t1", replace(BLK, num_queues=1)) == (idle.format("t1"),)
    assert warnings("t1:0-3") == (idle.format("t0"),)
    assert idle.format("t1") in warnings("t0:event+0-3,t1:ctrl", OLD)


def test_very_many_iothreads_are_checked_in_no_time() -> None:
    """Each is looked up once; it took a minute when each was searched for among all others."""
    names = tuple(f"t{number}" for number in range(100_000))
    assert len(check(IOThreadMapping.round_robin(names), SCSI).warnings) == len(names) - SCSI.num_queues


def test_assigning_ctrl_has_no_effect() -> None:
    """Only where somebody asked for it: a round robin puts it somewhere without being asked."""
    assert warnings("t0:ctrl+0-3,t1:event", OLD) == (
        'assigning ctrl to IOThread "t0" has no effect: the ctrl queue always runs in the main loop',
    )
    assert not any("ctrl" in warning for warning in warnings("t0,t1", OLD))


def test_event_beside_command_queues_is_warned_about() -> None:
    """In an IOThread of its own, or in the main loop, it does no harm."""
    shared = 'the event queue shares IOThread "t1" with command queues'
    assert any(warning.startswith(shared) for warning in warnings("t0:ctrl+0-1,t1:event+2-3", OLD))
    assert any(warning.startswith(shared) for warning in warnings("t0,t1", OLD))
    assert not any("event" in warning for warning in warnings("t0:ctrl+0-3,t1:event", OLD))
    assert warnings("t0,t1") == ()


def test_more_queues_than_vcpus_are_warned_about() -> None:
    """As many are fine."""
    assert check(short("t0"), SCSI, vcpus=4).warnings == ()
    assert check(short("t0"), SCSI, vcpus=2).warnings == (
        "4 queues but 2 vCPUs: a Linux guest uses no more queues than it has CPUs, so queues from 2 up stay empty",
    )


def test_an_iothread_on_the_cpu_of_its_vcpu_is_warned_about() -> None:
    """The plan is held against who serves the queue that the vCPU fills."""
    placement = Placement({0: frozenset({0}), 1: frozenset({1})}, {"t0": frozenset({0}), "t1": frozenset({2})})
    result = check(short("t0,t1"), replace(BLK, num_queues=2), vcpus=2, placement=placement)
    assert result.warnings == ('queue 0: IOThread "t0" and vCPU 0, which fills the queue, share CPU 0',)
